"""From a file to the crop that a backbone sees: box, display values, side, size."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from radboost.data.boxes import Box, Found, find_body, find_breast, stride_of
from radboost.data.codecs import DeviceDecoder, read_raster
from radboost.data.crop import CropInfo, CropJob, Flaw, PixelPolicy
from radboost.data.dicom import Frame, Source, Window, classify, open_frame
from radboost.data.sampling import View, fit, may_halve, reduction
from radboost.errors import PixelError

__all__ = ["load", "render", "render_each"]

# From air to soft tissue: skin shows, noise in air does not.
_AIR = Window(-300.0, 400.0, "LINEAR_EXACT")


class _BoxError(PixelError):
    """A box that this frame cannot give; other boxes may do."""


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


def _open(path: Path, frame: int, device: DeviceDecoder | None = None) -> Source:
    kind = classify(path)
    if kind == "dicom":
        return open_frame(path, frame, device)
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
    return _cut(_Decoder(job, policy), job, policy, out)


def render_each(
    jobs: Sequence[CropJob], policy: PixelPolicy, out: np.ndarray, device: DeviceDecoder | None = None
) -> tuple[CropInfo | Flaw, ...]:
    """Make several crops of one frame, which is decoded once; each is what `render` makes of it alone.

    Parameters
    ----------
    jobs
        All of the same file and frame.
    policy
        How.
    out
        uint16 (crops or more, `*policy.shape`); as many as there are jobs are overwritten, the rest is left alone.
    device
        Decodes what it can before the CPU's decoders are asked.

    Returns
    -------
    tuple
        How each crop came about, or why it could not be cut.

    Raises
    ------
    PixelError
        When the frame cannot be read.
    """
    cv2.setNumThreads(1)
    frame = _Decoder(jobs[0], policy, device)
    return tuple(_tried(frame, job, policy, out[number]) for number, job in enumerate(jobs))


def _tried(frame: _Decoder, job: CropJob, policy: PixelPolicy, out: np.ndarray) -> CropInfo | Flaw:
    try:
        return _cut(frame, job, policy, out)
    except _BoxError as error:
        return Flaw(str(error))


def _cut(frame: _Decoder, job: CropJob, policy: PixelPolicy, out: np.ndarray) -> CropInfo:
    found = _found(frame, job, policy)
    mirrored = (policy.mirror and found.right_sided) != job.mirrored
    left, top, right, bottom = found.box
    for channel, (slice_, window) in enumerate(_channels(frame, job, policy)):
        view = slice_.view(reduction(max(right - left, bottom - top), policy.size, slice_.levels))
        fit(view.part(found.box, window), found.box, out[channel], mirrored=mirrored, to_left=policy.mirror)
    view = frame.view(reduction(max(right - left, bottom - top), policy.size, frame.levels))
    shown = "as stored" if frame.presentation is None else frame.presentation.rule(frame.windows[0])[0]
    read, decode, crop = frame.times()
    return CropInfo(
        box=found.box,
        mirrored=mirrored,
        reason=found.reason,
        shown=shown,
        read_s=read,
        decode_s=decode,
        crop_s=crop,
        reduce=view.reduce,
        chest_wall="" if policy.crop != "breast" and not policy.mirror else "right" if found.right_sided else "left",
        shape=frame.shape,
        spacing=frame.spacing[:2] if frame.spacing is not None and len(frame.spacing) >= 2 else None,
    )


def _channels(frame: _Decoder, job: CropJob, policy: PixelPolicy) -> Iterator[tuple[_Decoder, Window | None]]:
    """Give what each channel shows: the frame through each window, or each slice of its stack through one."""
    if policy.stack == 1:
        yield from ((frame, window) for window in frame.windows)
        return
    for path, number in job.stack or ((job.path, job.frame),) * policy.stack:
        slice_ = frame if (path, number) == (job.path, job.frame) else frame.beside(path, number)
        if slice_.shape != frame.shape:
            raise _BoxError("a neighbouring slice is of another size", got=f"{slice_.shape} beside {frame.shape}")
        yield slice_, frame.windows[0]


class _Decoder:
    """One frame; what was decoded of it is kept for the crops to come."""

    def __init__(self, job: CropJob, policy: PixelPolicy, device: DeviceDecoder | None = None) -> None:
        self._begun = time.perf_counter()
        source = _open(Path(job.path), job.frame, device)
        self.presentation, self.shape, self.spacing = source.presentation, source.shape, source.spacing
        self.windows: list[Window | None] = [Window(*window) for window in policy.windows] or [None]
        if policy.windows and self.presentation is None:
            got = "a raster or colour image"
            raise PixelError("windows were asked for, but the image has no rescaled units", got=got)
        shown = self.presentation
        halvable = shown is not None and all(may_halve(shown, window) for window in self.windows)
        self.levels = source.levels if halvable and not policy.full_decode else 0
        self._reading = source.read
        self._views: dict[int, View] = {}
        self._open_beside = partial(_Decoder, policy=policy, device=device)
        self._beside: dict[tuple[str, int], _Decoder] = {}
        self._read_s, self._decode_s = time.perf_counter() - self._begun, 0.0

    def view(self, reduce: int) -> View:
        """Give the frame, halved so many times or, where the codestream does not allow that, not at all.

        By what is asked, never by what is there: a crop must not depend on the ones before it.
        """
        if reduce not in self._views:
            begun = time.perf_counter()
            # What once could not be halved is whole, and never can be.
            stuck = next((view for asked, view in self._views.items() if asked > 0 and view.reduce == 0), None)
            self._views[reduce] = stuck or View(self._reading(reduce), self.shape)
            self._decode_s += time.perf_counter() - begun
        return self._views[reduce]

    def beside(self, path: str, number: int) -> _Decoder:
        """Give another slice of the stack, opened once for all crops of this frame."""
        if (path, number) not in self._beside:
            begun = time.perf_counter()
            self._beside[path, number] = self._open_beside(CropJob(path, number))
            self._decode_s += time.perf_counter() - begun
        return self._beside[path, number]

    def times(self) -> tuple[float, float, float]:
        """Seconds of reading, of decoding, and of all else since this was last asked."""
        now = time.perf_counter()
        spent = self._read_s, self._decode_s, now - self._begun - self._read_s - self._decode_s
        self._begun, self._read_s, self._decode_s = now, 0.0, 0.0
        return spent


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
    step = 1 << view.reduce
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
        raise _BoxError("the crop policy needs a box and the job has none")
    rows, columns = frame.shape
    left, top, right, bottom = job.box
    if job.unit == "mm":
        if frame.spacing is None:
            raise _BoxError("the box is in millimetres and the file gives no pixel spacing")
        down, across = frame.spacing
        left, right, top, bottom = left / across, right / across, top / down, bottom / down
    inside = (max(round(left), 0), max(round(top), 0), min(round(right), columns), min(round(bottom), rows))
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        raise _BoxError(f"the box lies outside the frame of {rows} rows x {columns} columns", got=job.box)
    return inside
