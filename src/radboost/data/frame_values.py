"""What the values of whole frames are like: lowest, highest, mean, spread, and how much of a frame is padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from radboost.data.codecs import read_raster
from radboost.data.dicom import MIDDLE, Frame, read_frame
from radboost.data.journal import Journal, Values
from radboost.data.pool import Failed
from radboost.data.progress import Progress
from radboost.data.scan import Reading, Scan
from radboost.errors import PixelError

__all__ = ["PIXELS", "Measured", "frame_values", "measure"]

PIXELS = ["pixel_min", "pixel_max", "pixel_mean", "pixel_std", "padding_share"]
"""In rescaled units (HU for CT), padding included; display values, 0 to 65535, of colour and of pictures."""


@dataclass(frozen=True)
class Measured:
    """Values of the frames of one file, and the file's size and time of change."""

    size: int
    modified: int
    values: Values


def measure(job: tuple[str, tuple[int, ...], bool], root: str) -> Measured:
    """Decode frames of one file, in a worker, and describe their values.

    Parameters
    ----------
    job
        Path, frame numbers, and whether it is a DICOM file.
    root
        The data folder.

    Returns
    -------
    Measured
        One tuple of `PIXELS` a frame.

    Raises
    ------
    PixelError
        A frame cannot be decoded.
    """
    path, frames, dicom = job
    full = Path(root) / path
    try:
        stat = full.stat()
    except OSError as error:
        raise PixelError("the file cannot be opened", got=error.strerror) from error
    values = tuple(_described(read_frame(full, k) if dicom else Frame(read_raster(full), None)) for k in frames)
    return Measured(stat.st_size, stat.st_mtime_ns, values)


def _described(frame: Frame) -> tuple[float, ...]:
    shown, stored = frame.presentation, frame.pixels
    padding = 0.0
    if shown is not None and shown.padding is not None:
        low, high = shown.padding
        padding = float(np.mean((stored >= low) & (stored <= high)))
    table = shown is not None and shown.modality is not None
    values = shown.rescale(stored) if table and shown is not None else stored
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if not values.size:
        return (*[float("nan")] * 4, padding)
    ends = np.array([values.min(), values.max(), values.mean(dtype=np.float64)], np.float64)
    spread = float(values.std(dtype=np.float64))
    if shown is not None and not table:
        # Four numbers are rescaled instead of a whole frame.
        ends, spread = shown.rescale(ends), spread * abs(shown.slope)
    return float(ends[:2].min()), float(ends[:2].max()), float(ends[2]), spread, padding


def frame_values(
    root: Path, found: Scan, frames: str, sources: tuple[Reading, Journal], progress: Progress
) -> dict[str, Values]:
    """Describe the frames of every image that a scan found.

    Parameters
    ----------
    root
        The data folder.
    found
        Images; a file whose pixels cannot be decoded is set aside, and has no values.
    frames
        Which frames of multi-frame files: ``middle``, ``first`` or ``all``.
    sources
        How files are read, and what an earlier scan noted.
    progress
        Who listens.

    Returns
    -------
    dict
        By path: one tuple of `PIXELS` a chosen frame.
    """
    reading, journal = sources
    progress.start("reading pixels", len(found.headers))
    values: dict[str, Values] = {}
    for path, (size, modified, policy, noted) in journal.values.items():
        if path in found.headers and policy == frames and _as_it_was(root / path, size, modified):
            values[path] = noted
    if values:
        progress.say(f"{len(values):,} files' pixels read before")
        progress.advance(len(values))
    jobs = [(p, _numbers(found, p, frames), h is not None) for p, h in found.headers.items() if p not in values]
    with reading.pool(len(jobs)) as pool:
        for outcome in pool.map(partial(measure, root=str(root)), jobs):
            path = outcome.job[0]
            if isinstance(outcome, Failed):
                found.set_aside(path, outcome.kind, outcome.reason)
            else:
                told = outcome.value
                values[path] = told.values
                journal.add_values(path, (told.size, told.modified), frames, told.values)
            progress.advance()
    return values


def _as_it_was(path: Path, size: int, modified: int) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (size, modified)


def _numbers(found: Scan, path: str, frames: str) -> Sequence[int]:
    header = found.headers[path]
    if header is None or frames == "first":
        return (0,)
    return tuple(range(header.frames)) if frames == "all" else (MIDDLE,)
