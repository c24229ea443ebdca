"""What a file of a region's folder shows, told in a worker: a mask has two values, a picture has many."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radboost.data.boxes import breast_outline, stride_of
from radboost.data.journal import Values
from radboost.data.render import load
from radboost.data.sampling import View
from radboost.errors import PixelError

__all__ = ["BREAST", "MASK", "Seen", "Sight", "see", "see_breast", "see_mask"]

MASK, BREAST = "mask", "breast"
"""What is looked for in a file."""
Sight = tuple[str, str]
"""What is looked for, and the file, relative to the data folder."""

# Masks kept as JPEG are not quite black and white.
_NEAR, _MOST = 0.05, 0.995
_BANDS = 64


@dataclass(frozen=True)
class Seen:
    """What one file shows, with its size and time of change.

    Attributes
    ----------
    size, modified
        Bytes, and nanoseconds since 1970.
    values
        Of a mask: whether it is one (0 or 1); left, top, right, bottom of the region; its centre x, y; rows, columns
        of the frame. Of a breast: rows, columns of the frame, whether it is a mask (0 or 1); then left and right end
        of the breast in each of several bands of equal height, from the top, equal where there is none.
    """

    size: int
    modified: int
    values: Values


def see(sight: Sight, root: str) -> Seen:
    """Look at one file below `root`, as `see_mask` or `see_breast` does.

    Raises
    ------
    PixelError
        The file cannot be read as an image.
    """
    what, path = sight
    return see_mask(path, root) if what == MASK else see_breast(path, root)


def see_mask(path: str, root: str) -> Seen:
    """Tell whether a file is a mask, and where its region is.

    Raises
    ------
    PixelError
        The file cannot be read as an image.
    """
    full = Path(root) / path
    size, modified = _stamp(full)
    pixels = load(full).pixels
    rows, columns = pixels.shape
    region = _bright(pixels)
    if region is None:
        return Seen(size, modified, ((0.0, *[0.0] * 6, float(rows), float(columns)),))
    down, across = region.sum(axis=1, dtype=np.int64), region.sum(axis=0, dtype=np.int64)
    y, x = np.flatnonzero(down), np.flatnonzero(across)
    box = (x[0], y[0], x[-1] + 1, y[-1] + 1)
    # Of pixels as squares, so that a mask of another size gives the same point.
    centre = (np.average(np.arange(columns) + 0.5, weights=across), np.average(np.arange(rows) + 0.5, weights=down))
    return Seen(size, modified, ((1.0, *map(float, box), *map(float, centre), float(rows), float(columns)),))


def _bright(pixels: np.ndarray) -> np.ndarray | None:
    """Where the brighter of two values stands; None where there are more than two, or one."""
    low, high = float(pixels.min()), float(pixels.max())
    if not low < high:
        return None
    near = _NEAR * (high - low)
    bright = pixels >= high - near
    ends = np.count_nonzero(bright) + np.count_nonzero(pixels <= low + near)
    return bright if ends >= _MOST * pixels.size else None


def see_breast(path: str, root: str) -> Seen:
    """Tell an image's size, and where in it the breast is.

    Raises
    ------
    PixelError
        The file cannot be read as an image.
    """
    full = Path(root) / path
    size, modified = _stamp(full)
    frame = load(full)
    rows, columns = shape = frame.pixels.shape
    stride = stride_of(shape)
    edges = breast_outline(View(frame, shape).small(stride), stride, shape, _BANDS)
    mask = float(_bright(frame.pixels) is not None)
    return Seen(size, modified, ((float(rows), float(columns), mask), *((float(a), float(b)) for a, b in edges)))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise PixelError("the file cannot be opened", got=error.strerror) from error
    return stat.st_size, stat.st_mtime_ns
