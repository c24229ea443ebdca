"""From a file to the crop that a backbone sees: box, display values, side, size."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from radboost.data.boxes import Box, Found, find_body, find_breast, stride_of
from radboost.data.codecs import read_raster
from radboost.data.dicom import Frame, Source, Window, classify, open_frame
from radboost.data.sampling import View, fit, may_halve, reduction
from radboost.errors import PixelError, UserError

__all__ = ["CropInfo", "CropJob", "PixelPolicy", "load", "render"]

# Raised whenever the same file under the same policy would give other pixels: a store made before is another store.
POLICY_VERSION = 2
_J2K = (
    "most levels left out that keep the crop's long side at twice its size or more, shifted by (2^r-1)/2 pixels, "
    "then area; full for min-max, bright padding, signs or colours that averages would break"
)
_BOXES = {
    "breast": "about 1 of 8 pixels, border bands off, triangle, again within film, otsu on log, else whole frame",
    "body": "about 1 of 8 pixels, air to soft tissue if Hounsfield, triangle, otsu, otsu on log, else whole frame",
}

# From air to soft tissue: skin shows, noise in air does not.
_AIR = Window(-300.0, 400.0, "LINEAR_EXACT")

CropKind = Literal["frame", "breast", "body", "box"]


@dataclass(frozen=True)
class PixelPolicy:
    """All that decides a crop's pixels, given file, frame and box. Valid once built.

    Attributes
    ----------
    size
        Height and width of the crop in pixels.
    crop
        ``frame``: the whole frame; ``breast``, ``body``: the box around it; ``box``: the job's box.
    windows
        (centre, width) in rescaled units, one channel each (CT); none: one channel, shown as the file asks.
    mirror
        Put the chest wall on the left.
    full_decode
        Decode JPEG 2000 in full, also where a smaller picture would do.
    """

    size: int = 512
    crop: CropKind = "frame"
    windows: tuple[tuple[float, float], ...] = ()
    mirror: bool = False
    full_decode: bool = False

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
    def of(
        cls, crop: str, size: int, windows: tuple[tuple[float, float], ...] = (), *, full_decode: bool = False
    ) -> PixelPolicy:
        """Build a policy from what a task or a command line says; breasts are mirrored.

        Raises
        ------
        UserError
            A value is out of range.
        """
        try:
            kind: CropKind = crop  # type: ignore[assignment]
            return cls(size=size, crop=kind, windows=windows, mirror=crop == "breast", full_decode=full_decode)
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
            "j2k": "full" if self.full_decode else _J2K,
            "window": "table, else first window, else min-max",
            "boxes": _BOXES,
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
        (left, top, right, bottom) from the frame's top left corner, right and bottom exclusive; for policy ``box``.
    unit
        Of the box: ``px``, pixels of the frame, or ``mm``, which the file's pixel spacing turns into pixels.
    """

    path: str
    frame: int = -1
    box: tuple[float, float, float, float] | None = None
    unit: Literal["px", "mm"] = "px"


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
        What gave the box: ``given``, or a reason of `radboost.data.boxes.Found`.
    shown
        What gave the display values: ``given`` window, ``voi lut``, ``window``, ``min-max`` or ``as stored``.
    decode_s, crop_s
        Seconds for reading and decoding, and for all else.
    reduce
        Wavelet levels left out while decoding.
    chest_wall
        Side of the frame where the chest wall is, ``left`` or ``right``; empty where nobody looked.
    shape
        (rows, columns) of the frame.
    """

    box: Box
    mirrored: bool
    reason: str
    shown: str
    decode_s: float
    crop_s: float
    reduce: int = 0
    chest_wall: str = ""
    shape: tuple[int, int] = (0, 0)


def load(path: Path, frame: int = -1) -> Frame:
    """Read one frame of a DICOM file or a raster image, in full.

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
    return _open(path, frame).read(0)


def _open(path: Path, frame: int) -> Source:
    kind = classify(path)
    if kind == "dicom":
        return open_frame(path, frame)
    if kind == "raster":
        if frame > 0:
            raise PixelError("a raster image has one frame", got=f"frame {frame}")
        image = Frame(read_raster(path), None)
        rows, columns = image.pixels.shape
        return Source((rows, columns), 0, None, None, lambda _: image)
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
    frame = _Decoder(job, policy)
    found = _found(frame, job, policy)
    mirrored = policy.mirror and found.right_sided
    left, top, right, bottom = found.box
    view = frame.view(reduction(max(right - left, bottom - top), policy.size, frame.levels))
    for channel, window in enumerate(frame.windows):
        fit(view.part(found.box, window), found.box, out[channel], mirrored=mirrored, to_left=policy.mirror)
    shown = "as stored" if frame.presentation is None else frame.presentation.rule(frame.windows[0])[0]
    return CropInfo(
        box=found.box,
        mirrored=mirrored,
        reason=found.reason,
        shown=shown,
        decode_s=frame.seconds,
        crop_s=time.perf_counter() - frame.begun - frame.seconds,
        reduce=frame.reduce,
        chest_wall="" if policy.crop != "breast" and not policy.mirror else "right" if found.right_sided else "left",
        shape=frame.shape,
    )


class _Decoder:
    """The frame of one job; it is decoded again only when more of it is asked for."""

    def __init__(self, job: CropJob, policy: PixelPolicy) -> None:
        self.begun = time.perf_counter()
        source = _open(Path(job.path), job.frame)
        self.presentation, self.shape, self.spacing = source.presentation, source.shape, source.spacing
        self.windows: list[Window | None] = [Window(*window) for window in policy.windows] or [None]
        if policy.windows and self.presentation is None:
            got = "a raster or colour image"
            raise PixelError("windows were asked for, but the image has no rescaled units", got=got)
        shown = self.presentation
        halvable = shown is not None and all(may_halve(shown, window) for window in self.windows)
        self.levels = source.levels if halvable and not policy.full_decode else 0
        self.reduce = -1
        self.seconds = time.perf_counter() - self.begun
        self._read = source.read
        self._view: View | None = None

    def view(self, reduce: int) -> View:
        """Give the frame, halved so many times or, where the codestream does not allow that, not at all."""
        # What could not be halved is whole already, and serves.
        if self._view is None or self.reduce not in (reduce, 0):
            begun = time.perf_counter()
            frame = self._read(reduce)
            self.reduce = frame.reduce
            self.seconds += time.perf_counter() - begun
            self._view = View(frame, self.shape)
        return self._view


def _found(frame: _Decoder, job: CropJob, policy: PixelPolicy) -> Found:
    """Choose the box, and tell whether the chest wall is on the right."""
    rows, columns = frame.shape
    whole = (0, 0, columns, rows)
    if policy.crop == "box":
        return Found(_given(job, frame), False, "given")
    if policy.crop == "frame" and not policy.mirror:
        return Found(whole, False, "whole frame")
    # Looked for at one scale, whatever the crop's size: the same box serves crops of every size.
    stride = stride_of(frame.shape)
    times = min(frame.levels, stride.bit_length() - 1)
    view = frame.view(times)
    step = 1 << frame.reduce
    stride = max(1, stride // step) * step
    if policy.crop == "body":
        hounsfield = _has_air(view.sparse(stride))
        return find_body(view.small(stride, _AIR if hounsfield else None), stride, frame.shape, saturated=hounsfield)
    found = find_breast(view.small(stride), stride, frame.shape)
    return found if policy.crop == "breast" else Found(whole, found.right_sided, "whole frame")


def _has_air(sparse: Frame) -> bool:
    """Whether rescaled values reach far below those of fat: Hounsfield units, in which air is about -1000."""
    return sparse.presentation is not None and sparse.extent()[0] < _AIR.centre - _AIR.width / 2


def _given(job: CropJob, frame: _Decoder) -> Box:
    if job.box is None:
        raise PixelError("the crop policy needs a box and the job has none")
    rows, columns = frame.shape
    left, top, right, bottom = job.box
    if job.unit == "mm":
        if frame.spacing is None:
            raise PixelError("the box is in millimetres and the file gives no pixel spacing")
        down, across = frame.spacing
        left, right, top, bottom = left / across, right / across, top / down, bottom / down
    inside = (max(round(left), 0), max(round(top), 0), min(round(right), columns), min(round(bottom), rows))
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        raise PixelError(f"the box lies outside the frame of {rows} rows x {columns} columns", got=job.box)
    return inside
