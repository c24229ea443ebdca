"""From a decoded frame, whole or halved, to a crop's pixels: where samples lie, and how they are resized."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from radboost.data.boxes import Box
from radboost.data.dicom import DISPLAY_MAX, Frame, Presentation, Window, display
from radboost.data.placement import Placement

__all__ = ["View", "fit", "may_halve", "reduction"]


def reduction(long_side: int, size: int, levels: int) -> int:
    """How often a frame may be halved while it is decoded: the longest side stays at least twice the target.

    Twice, because the wavelet's low-pass filter is no average: what it lets through or holds back near its own limit
    is then averaged away or lost anyhow when the crop is resized.

    >>> [reduction(4096, size, 5) for size in (3000, 2048, 1024, 512, 100)]
    [0, 0, 1, 2, 4]

    Parameters
    ----------
    long_side
        Of the crop, in pixels of the frame.
    size
        Of the crop when finished, pixels.
    levels
        How often the codestream can be halved.
    """
    times = 0
    while times < levels and long_side >> (times + 1) >= 2 * size:
        times += 1
    return times


def may_halve(shown: Presentation, window: Window | None) -> bool:
    """Whether averages of stored values, shown, are averages of what the values show.

    Not without table and window: the frame's extremes, which then become black and white, are not among averages.
    Not with a padding value that would be bright: between it and the tissue, averages would leave a bright fringe.
    """
    if shown.rule(window)[0] == "min-max":
        return False
    if shown.padding is None:
        return True
    ends = display(np.array([shown.padding]), replace(shown, padding=None), (0.0, 0.0), window)
    return bool(ends.max() <= 0.02 * DISPLAY_MAX)


class View:
    """Display values of any part of a frame, by pixels of the full frame, whether or not it was halved.

    Parameters
    ----------
    frame
        As it was decoded.
    shape
        (rows, columns) of the full frame.
    """

    def __init__(self, frame: Frame, shape: tuple[int, int]) -> None:
        self._frame = frame
        self.shape = shape
        self.reduce = frame.reduce
        shown = frame.presentation
        needs_extent = shown is not None and shown.rule()[0] == "min-max"
        # Found once: two parts of a frame must look alike.
        self._extent = frame.extent() if needs_extent else (0.0, 0.0)

    def small(self, stride: int, window: Window | None = None) -> np.ndarray:
        """Give the display values of every `stride`-th pixel of the full frame; a multiple of what was halved."""
        return self._shown(self.sparse(stride).pixels, window)

    def sparse(self, stride: int) -> Frame:
        """Give every `stride`-th pixel of the full frame as a frame of its own."""
        step = stride >> self._frame.reduce
        return replace(self._frame, pixels=np.ascontiguousarray(self._frame.pixels[::step, ::step]))

    def part(self, box: Box, window: Window | None = None) -> np.ndarray:
        """Give the display values of a box of the full frame; a halved frame gives about as many times fewer."""
        left, top, right, bottom = box
        if not self._frame.reduce:
            return self._shown(self._frame.pixels[top:bottom, left:right], window)
        x, y = self._axis(left, right, 1), self._axis(top, bottom, 0)
        shown = self._shown(self._frame.pixels[y.first : y.last, x.first : x.last], window)
        return np.asarray(
            cv2.warpAffine(
                shown,
                np.array([[x.scale, 0, x.shift], [0, y.scale, y.shift]]),
                (x.count, y.count),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )

    def _axis(self, start: int, stop: int, axis: int) -> _Axis:
        return _Axis.of(start, stop, 1 << self._frame.reduce, self._frame.pixels.shape[axis])

    def _shown(self, part: np.ndarray, window: Window | None) -> np.ndarray:
        if self._frame.presentation is None:
            return part
        return display(part, self._frame.presentation, self._extent, window)


@dataclass(frozen=True)
class _Axis:
    """Where the samples of a stretch of the full frame lie among those of the halved one, along one axis.

    Halved pixel n lies at pixel ``n * step``, not amid the ``step`` pixels from there on: the picture is shifted by
    (step - 1) / 2 pixels. With pixel n covering [n, n + 1), edge e of the full frame is edge
    ``(e - 1/2) / step + 1/2`` of the halved one. Pixels `first` to `last` are needed; sample k of `count` lies at
    ``k * scale + shift`` among them.
    """

    first: int
    last: int
    count: int
    scale: float
    shift: float

    @classmethod
    def of(cls, start: int, stop: int, step: int, available: int) -> _Axis:
        edge = (start - 0.5) / step + 0.5
        length = (stop - start) / step
        count = max(1, round(length))
        scale = length / count
        # One pixel more on each side, for interpolation.
        first = max(0, int(edge) - 1)
        last = min(available, int(edge + length) + 2)
        # Sample k, whose centre lies (k + 1/2) * scale from the edge; -1/2 since pixel numbers are centres.
        return cls(first, last, count, scale, edge + scale / 2 - 0.5 - first)


def fit(part: np.ndarray, box: Box, out: np.ndarray, *, mirrored: bool, to_left: bool) -> None:
    """Resize with the ratio kept and place on black: against the left edge, or centred.

    Parameters
    ----------
    part
        (rows, columns) uint16, the box as it was decoded.
    box
        In pixels of the full frame: its ratio counts, whatever rounding did to that of a halved one.
    out
        (size, size) uint16; overwritten.
    mirrored
        Reverse left and right.
    to_left
        Place against the left edge instead of centred.
    """
    left, top, right, bottom = box
    x, y, width, height = Placement(box, out.shape[0], mirrored, to_left).seat
    interpolation = cv2.INTER_AREA if out.shape[0] < max(right - left, bottom - top) else cv2.INTER_LINEAR
    resized = np.asarray(cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=interpolation))
    out[:] = 0
    out[y : y + height, x : x + width] = resized[:, ::-1] if mirrored else resized
