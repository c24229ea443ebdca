"""Make one crop and write it as a file, in a worker: it imports no more than it needs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from radboost.data.crop import CropInfo, CropJob, PixelPolicy
from radboost.data.render import render
from radboost.errors import UserError

__all__ = ["FORMATS", "PictureJob", "thumbnails", "write_picture"]

FORMATS: Mapping[str, str] = {"png": ".png", "png16": ".png", "npy": ".npy"}
"""How a crop is written: 8 bits, 16 bits, or (channels, size, size) uint16 as numpy saves it."""


@dataclass(frozen=True)
class PictureJob:
    """One crop to be written.

    Attributes
    ----------
    crop
        What to cut.
    crop_id
        Its name.
    target
        The file.
    """

    crop: CropJob
    crop_id: str
    target: str


def write_picture(job: PictureJob, policy: PixelPolicy, kind: str) -> CropInfo:
    """Make one crop and write it whole: temporary name, then moved into place.

    Raises
    ------
    PixelError
        The file cannot become this crop.
    UserError
        The picture cannot be written.
    """
    pixels = np.zeros(policy.shape, np.uint16)
    info = render(job.crop, policy, pixels)
    target = Path(job.target)
    temporary = target.with_name(f".{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(_encoded(pixels, kind))
        temporary.replace(target)
    except OSError as error:
        # The request's fault, not the image's: it must not end in quarantine.
        do = "Free space or choose another --out; what was written is kept"
        raise UserError("cannot be written", where=target.parent, got=error.strerror, do=do) from error
    return info


def _encoded(pixels: npt.NDArray[np.uint16], kind: str) -> bytes:
    if kind == "npy":
        stream = io.BytesIO()
        np.save(stream, pixels, allow_pickle=False)
        return stream.getvalue()
    # The first channel is red in the file; OpenCV takes it last.
    picture = pixels[0] if len(pixels) == 1 else np.moveaxis(pixels[::-1], 0, -1)
    shown = picture if kind == "png16" else np.round(picture / 257).astype(np.uint8)
    return cv2.imencode(".png", shown)[1].tobytes()


def thumbnails(job: CropJob, out: npt.NDArray[np.uint16], policy: PixelPolicy) -> CropInfo:
    """Make a small crop and, beside it, the whole frame that it was cut from.

    Parameters
    ----------
    job
        What to cut.
    out
        uint16 (2 x channels, size, size): first the crop, then the frame, neither mirrored nor cut.
    policy
        How, with the size of a thumbnail.
    """
    info = render(job, policy, out[: policy.channels])
    render(replace(job, box=None), replace(policy, crop="frame", mirror=False), out[policy.channels :])
    return info
