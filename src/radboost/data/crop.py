"""From a file to the crop that a backbone sees: box, display values, side, size."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from radboost.data.boxes import Box, find_breast
from radboost.data.codecs import read_raster
from radboost.data.dicom import Frame, Window, classify, display, read_frame
from radboost.errors import PixelError, UserError

__all__ = ["CropInfo", "CropJob", "PixelPolicy", "load", "render"]

# Raised whenever the same file under the same policy would give other pixels: a store made before is another store.
POLICY_VERSION = 1

CropKind = Literal["frame", "breast", "body", "box"]


@dataclass(frozen=True)
class PixelPolicy:
    """All that decides a crop's pixels, given file, frame and box. Valid once built.

    Attributes
    ----------
    size
        Height and width of the crop in pixels.
    crop
        ``frame``: the whole frame; ``breast``: the box around the breast; ``box``: the job's box;
        ``body``: reserved, the whole frame for now.
    windows
        (centre, width) in rescaled units, one channel each (CT); none: one channel, shown as the file asks.
    mirror
        Put the chest wall on the left.
    """

    size: int = 512
    crop: CropKind = "frame"
    windows: tuple[tuple[float, float], ...] = ()
    mirror: bool = False

    def __post_init__(self) -> None:
        """Refuse what no crop can be.

        Raises
        ------
        ValueError
            When a value is out of range.
        """
        if not 1 <= self.size <= 1 << 14:
            msg = f"size must lie in 1..16384 pixels, got {self.size}"
            raise ValueError(msg)
        if self.crop not in ("frame", "breast", "body", "box"):
            msg = f"crop must be frame, breast, body or box, got {self.crop!r}"
            raise ValueError(msg)
        if any(not width >= 1 for _, width in self.windows):
            msg = f"a window is at least 1 wide, got {self.windows}"
            raise ValueError(msg)

    @classmethod
    def of(cls, crop: str, size: int, windows: tuple[tuple[float, float], ...] = ()) -> PixelPolicy:
        """Build a policy from what a task or a command line says; breasts are mirrored.

        Raises
        ------
        UserError
            A value is out of range.
        """
        try:
            return cls(size=size, crop=crop, windows=windows, mirror=crop == "breast")  # type: ignore[arg-type]
        except ValueError as error:
            raise UserError("the pixels asked for cannot be had", got=str(error)) from error

    @property
    def channels(self) -> int:
        """Number of channels of a crop."""
        return max(1, len(self.windows))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, size, size): what `render` writes."""
        return self.channels, self.size, self.size

    def as_dict(self) -> dict[str, object]:
        """All fields and the fixed rules behind them, for the fingerprint of a store."""
        return asdict(self) | {
            "windows": [list(window) for window in self.windows],
            "depth": 16,
            "interpolation": {"shrink": "area", "grow": "linear"},
            "padding": "zero, at the far side from the chest wall" if self.mirror else "zero, both sides",
            "j2k": "full",
            "window": "table, else first window, else min-max",
            "breast": "stride, triangle, largest component; else otsu on log; else whole frame",
            "version": POLICY_VERSION,
        }


@dataclass(frozen=True)
class CropJob:
    """One crop to be made.

    Attributes
    ----------
    path
        The file.
    frame
        Frame number from 0; -1 is the middle one.
    box
        (left, top, right, bottom) in pixels of the frame, right and bottom exclusive; for policy ``box``.
    """

    path: str
    frame: int = -1
    box: Box | None = None


@dataclass(frozen=True)
class CropInfo:
    """How a crop came about.

    Attributes
    ----------
    box
        (left, top, right, bottom) in pixels of the frame, right and bottom exclusive.
    mirrored
        The crop shows the frame left to right reversed.
    reason
        What gave the box: ``triangle``, ``otsu``, ``whole frame`` or ``given``.
    shown
        What gave the display values: ``given`` window, ``voi lut``, ``window``, ``min-max`` or ``as stored``.
    decode_s, crop_s
        Seconds for reading and decoding, and for all that follows.
    """

    box: Box
    mirrored: bool
    reason: str
    shown: str
    decode_s: float
    crop_s: float


def load(path: Path, frame: int = -1) -> Frame:
    """Read one frame of a DICOM file or a raster image.

    Parameters
    ----------
    path
        The file.
    frame
        Frame number from 0; -1 is the middle one.

    Raises
    ------
    PixelError
        When the file is neither, or cannot be read.
    """
    kind = classify(path)
    if kind == "dicom":
        return read_frame(path, frame)
    if kind == "raster":
        if frame > 0:
            raise PixelError("a raster image has one frame", got=f"frame {frame}")
        return Frame(read_raster(path), None)
    raise PixelError("the file is neither DICOM nor PNG, JPEG, TIFF or PGM", got=path.suffix or "no file name ending")


def render(job: CropJob, policy: PixelPolicy, out: np.ndarray) -> CropInfo:
    """Make one crop.

    Parameters
    ----------
    job
        Which part of which file.
    policy
        How.
    out
        uint16 of `policy.shape`; overwritten with display values, 0 black to 65535 white.

    Returns
    -------
    CropInfo
        How it came about.

    Raises
    ------
    PixelError
        When the file cannot become this crop.
    """
    if out.shape != policy.shape or out.dtype != np.uint16:
        msg = f"out must be uint16 {policy.shape}, got {out.dtype} {out.shape}"
        raise ValueError(msg)
    cv2.setNumThreads(1)
    begun = time.perf_counter()
    frame = load(Path(job.path), job.frame)
    decoded = time.perf_counter()
    view = _View(frame)
    box, right_sided, reason = _box(view, job, policy)
    mirrored = policy.mirror and right_sided
    windows: list[Window | None] = [Window(*window) for window in policy.windows]
    if windows and frame.presentation is None:
        raise PixelError("windows were asked for, but the image has no rescaled units", got="a raster or colour image")
    for channel, window in enumerate(windows or [None]):
        _fit(view(box, window=window), out[channel], mirrored=mirrored, to_left=policy.mirror)
    shown = "as stored" if frame.presentation is None else frame.presentation.rule(next(iter(windows), None))[0]
    return CropInfo(box, mirrored, reason, shown, decoded - begun, time.perf_counter() - decoded)


class _View:
    """Display values of any part of a frame; the frame's extent is found once, when a part needs it."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        shown = frame.presentation
        needs_extent = shown is not None and shown.rule()[0] == "min-max"
        self._extent = frame.extent() if needs_extent else (0.0, 0.0)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the frame."""
        rows, columns = self._frame.pixels.shape
        return rows, columns

    def __call__(self, box: Box, *, stride: int = 1, window: Window | None = None) -> np.ndarray:
        """Give the display values of a box, every `stride`-th pixel."""
        left, top, right, bottom = box
        part = self._frame.pixels[top:bottom:stride, left:right:stride]
        if self._frame.presentation is None:
            return part
        return display(part, self._frame.presentation, self._extent, window)


def _box(view: _View, job: CropJob, policy: PixelPolicy) -> tuple[Box, bool, str]:
    """Choose the box, and tell whether the chest wall is on the right."""
    rows, columns = view.shape
    whole = (0, 0, columns, rows)
    if policy.crop == "box":
        return _given(job, whole), False, "given"
    if policy.crop != "breast" and not policy.mirror:
        return whole, False, "whole frame"
    stride = max(1, min(8, max(rows, columns) // 128))
    found = find_breast(view(whole, stride=stride), stride, (rows, columns))
    if policy.crop == "breast":
        return found.box, found.right_sided, found.reason
    return whole, found.right_sided, "whole frame"


def _given(job: CropJob, whole: Box) -> Box:
    if job.box is None:
        raise PixelError("the crop policy needs a box and the job has none")
    left, top, right, bottom = job.box
    inside = (max(left, 0), max(top, 0), min(right, whole[2]), min(bottom, whole[3]))
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        raise PixelError(f"the box lies outside the frame of {whole[3]} rows x {whole[2]} columns", got=job.box)
    return inside


def _fit(part: np.ndarray, out: np.ndarray, *, mirrored: bool, to_left: bool) -> None:
    """Resize with the ratio kept and place on black: against the left edge, or centred."""
    size = out.shape[0]
    rows, columns = part.shape
    scale = size / max(rows, columns)
    height, width = (max(1, min(size, round(side * scale))) for side in (rows, columns))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = np.asarray(cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=interpolation))
    top, left = (size - height) // 2, 0 if to_left else (size - width) // 2
    out[:] = 0
    out[top : top + height, left : left + width] = resized[:, ::-1] if mirrored else resized
