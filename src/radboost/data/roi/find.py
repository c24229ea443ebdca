"""Which file is a row's mask, and where in the image its region lies."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from radboost.data.journal import Journal, Values
from radboost.data.pool import Failed
from radboost.data.progress import Progress
from radboost.data.roi.mask import BREAST, MASK, Sight, see
from radboost.data.roi.sampler import Ground
from radboost.data.scan import Reading, Scan

__all__ = ["Eyes", "Located", "find_regions", "grounds"]

REGION = ["left", "top", "right", "bottom", "x", "y"]


@dataclass(frozen=True)
class Eyes:
    """How files are looked at, and what was seen.

    Attributes
    ----------
    root
        The data folder.
    reading, journal, progress
        How files are read, what an earlier run noted, and who listens.
    found
        Takes files that cannot be used.
    """

    root: Path
    reading: Reading
    journal: Journal
    progress: Progress
    found: Scan
    _seen: dict[Sight, Values] = field(default_factory=dict)
    _blind: set[Sight] = field(default_factory=set)

    def look(self, sights: Iterable[Sight]) -> None:
        """Look at files, each once; those that cannot be read are set aside."""
        wanted = [sight for sight in dict.fromkeys(sights) if sight not in self._seen and sight not in self._blind]
        self.progress.start("reading masks and breasts", len(wanted))
        for sight in wanted:
            noted = self._noted(sight)
            if noted is not None:
                self._seen[sight] = noted
                self.progress.advance()
        left = [sight for sight in wanted if sight not in self._seen]
        with self.reading.pool(len(left)) as pool:
            for outcome in pool.map(partial(see, root=str(self.root)), left):
                what, path = outcome.job
                if isinstance(outcome, Failed):
                    self._blind.add(outcome.job)
                    self.found.set_aside(path, outcome.kind, outcome.reason)
                else:
                    told = outcome.value
                    self._seen[outcome.job] = told.values
                    self.journal.add_values(_name(outcome.job), (told.size, told.modified), what, told.values)
                self.progress.advance()

    def see(self, what: str, paths: Iterable[str]) -> dict[str, Values]:
        """Give what is seen in files of one kind, in their order, without those that cannot be read."""
        sights = [(what, path) for path in dict.fromkeys(paths)]
        self.look(sights)
        return {sight[1]: self._seen[sight] for sight in sights if sight in self._seen}

    def _noted(self, sight: Sight) -> Values | None:
        size, modified, kind, values = self.journal.values.get(_name(sight), (-1, -1, "", ()))
        if kind != sight[0]:
            return None
        try:
            stat = os.stat(self.root / sight[1])  # noqa: PTH116 - as in scan
        except OSError:
            return None
        return values if (stat.st_size, stat.st_mtime_ns) == (size, modified) else None


def _name(sight: Sight) -> str:
    """Apart from what else is noted of the same file; no path begins so."""
    return "://".join(sight)


@dataclass(frozen=True, eq=False)
class Located:
    """Where the regions of a table's rows are.

    Attributes
    ----------
    regions
        `left`, `top`, `right`, `bottom`, `x`, `y` (its centre) of each row, in pixels of its image; all NaN where it
        is not known.
    faults
        Why it is not known, by row; empty where it is.
    shapes
        (rows, columns) of each image that can be read, by path.
    """

    regions: pd.DataFrame
    faults: pd.Series
    shapes: Mapping[str, tuple[int, int]]


def find_regions(paths: pd.Series, files: pd.Series, eyes: Eyes) -> Located:
    """Find each row's region.

    Parameters
    ----------
    paths
        Image of each row.
    files
        The files among which its mask is, by row.
    eyes
        Its scan knows the images' sizes.
    """
    masks = eyes.see(MASK, [file for row in files for file in row])
    shapes = _shapes(paths, eyes)
    regions = np.full((len(files), len(REGION)), np.nan)
    faults = []
    for number, (path, row) in enumerate(zip(paths, files, strict=True)):
        told = [masks[file][0] for file in row if file in masks and masks[file][0][0]]
        # A crop that was cut from a mask is smaller than the mask.
        told = [values for values in told if values[7] * values[8] == max(v[7] * v[8] for v in told)]
        if path not in shapes:
            faults.append("its image cannot be read")
        elif len({values[1:5] for values in told}) != 1:
            faults.append(f"{len(told) or 'none'} of its {len(row)} files may be the mask")
        else:
            faults.append("")
            # A mask may have another size than its image.
            down, across = np.divide(shapes[path], told[0][7:9])
            regions[number] = np.multiply(told[0][1:7], [across, down] * 3)
    table = pd.DataFrame(regions, columns=REGION, index=paths.index)
    return Located(table, pd.Series(faults, index=paths.index, dtype=object), shapes)


def _shapes(paths: pd.Series, eyes: Eyes) -> dict[str, tuple[int, int]]:
    """Size of each image that can be read: from its header, or of a picture from its pixels."""
    headers = {path: eyes.found.headers[path] for path in paths.unique() if path in eyes.found.headers}
    shapes = {path: (header.rows, header.columns) for path, header in headers.items() if header is not None}
    pictures = eyes.see(BREAST, [path for path, header in headers.items() if header is None])
    return shapes | {path: (int(values[0][0]), int(values[0][1])) for path, values in pictures.items()}


def grounds(paths: Iterable[str], eyes: Eyes) -> dict[str, Ground]:
    """Find the breast in each image that can be read; one that is a mask is set aside."""
    seen = eyes.see(BREAST, paths)
    made = {}
    for path, ((rows, columns, mask), *bands) in seen.items():
        if mask:
            eyes.found.set_aside(path, "no image", "a mask lies where the image should be")
        else:
            made[path] = Ground((int(rows), int(columns)), np.array(bands))
    return made
