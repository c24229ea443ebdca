"""What a page may look up in the files themselves: headers of a sample, and parts of files to find copies."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from radboost.data.cohort import Cohort
from radboost.data.header_features import GEOMETRY, WORDS, header_features
from radboost.data.journal import Journal
from radboost.data.progress import Progress
from radboost.data.scan import Reading, scan
from radboost.data.series import arrange

__all__ = ["Opened", "end_digest", "open_files"]

BLOCK = 4096
DISTANCES = tuple(1 << k for k in range(13, 31))
"""Blocks are compared at these distances from the end of a file: pixels stand last, and a header that was changed
moves them as a whole."""

# What one file alone does not tell.
_OF_SERIES = {
    *("series_first", "series_last", "series_range", "relative_position", "gap_before", "gap_after", "slice_distance"),
    *("gap_ratio", "doubles_in_series", "rank_in_series", "rank_from_end", "slices_in_series", "series_of_patient"),
    "grain_gap",
}


@dataclass(frozen=True)
class Opened:
    """What was looked up.

    Attributes
    ----------
    headers
        Header features of the files read; None where the cohort holds its own, or none was read.
    digest
        By path, equal for files that end alike; empty text where a file cannot be read or is blank.
    files
        How many files were opened.
    sizes
        (rows, columns) of pictures, by path.
    """

    headers: pd.DataFrame | None = None
    digest: dict[str, str] = field(default_factory=dict)
    files: int = 0
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def filled(self, cohort: Cohort) -> Cohort:
        """Give the cohort with the sizes of pictures that `index` does not read."""
        if not self.sizes:
            return cohort
        table = cohort.manifest
        known = pd.DataFrame([self.sizes.get(path, (-1, -1)) for path in table["path"]], index=table.index)
        here = table["rows"] > 0
        rows, columns = (table[name].where(here, known[k]) for k, name in enumerate(("rows", "columns")))
        return replace(cohort, manifest=table.assign(rows=rows, columns=columns))


def open_files(cohort: Cohort, most: int, seed: int, workers: int | None, progress: Progress) -> Opened:
    """Open files of a cohort, at most so many, drawn at random.

    Nothing is opened where the cohort is a shared one or its data folder is not here.
    """
    if most < 1 or cohort.shared is not None or not cohort.root.is_dir():
        return Opened()
    paths = cohort.manifest["path"].drop_duplicates().to_numpy(str)
    if len(paths) > most:
        paths = np.sort(np.random.default_rng(seed).choice(paths, most, replace=False))
    digest = {path: end_digest(cohort.root / path) for path in paths.tolist()}
    headers = None
    if cohort.header_features() is None:
        headers = _headers(cohort, paths.tolist(), Reading(workers), progress)
    return Opened(headers, digest, len(paths), _sizes(cohort, set(paths.tolist())))


def _sizes(cohort: Cohort, paths: set[str]) -> dict[str, tuple[int, int]]:
    """Read the sizes of pictures from their first bytes; one that is damaged has none."""
    if "rows" not in cohort.manifest.columns:
        return {}
    unknown = cohort.manifest["path"][cohort.manifest["rows"] < 0]
    found = {}
    for path in (one for one in unknown.unique() if one in paths):
        try:
            # Nothing is decoded, so that a picture of any size costs the same.
            with warnings.catch_warnings(action="ignore"), Image.open(cohort.root / path) as picture:
                found[path] = (picture.height, picture.width)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            found[path] = (-1, -1)
    return found


def _headers(cohort: Cohort, paths: Sequence[str], reading: Reading, progress: Progress) -> pd.DataFrame | None:
    with Journal(None, cohort.root) as journal:
        found = scan(cohort.root, paths, reading, journal, progress)
    if not any(header is not None for header in found.headers.values()):
        return None
    chosen = cohort.manifest[cohort.manifest["path"].isin(set(paths))].reset_index(drop=True)
    table = header_features(chosen, found, arrange(found.headers), "geometry", {})
    return table[["crop_id", *(name for name in (*GEOMETRY, *WORDS) if name not in _OF_SERIES)]]


def end_digest(path: Path) -> str:
    """Hash blocks of a file at fixed distances from its end: two files whose pixels are stored alike share it.

    Returns
    -------
    str
        Empty where the file cannot be read, or where every block holds one value alone.
    """
    blocks = []
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            # Nothing that a header could reach: the nearer half of the file.
            for distance in (BLOCK, *(d for d in DISTANCES if d <= size // 2)):
                file.seek(max(0, size - distance))
                blocks.append(file.read(BLOCK))
    except OSError:
        return ""
    if all(len(set(block)) <= 1 for block in blocks):
        return ""
    return hashlib.blake2b(b"".join(blocks), digest_size=16).hexdigest()
