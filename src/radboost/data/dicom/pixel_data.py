"""From a data set to one frame's bytes, and to what its header promises about them (PS3.5 8, annex A.4)."""

from __future__ import annotations

from typing import cast

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import get_frame

from radboost.data.codecs import BIG_ENDIAN, NATIVE, FrameSpec
from radboost.data.dicom.door import attribute, door, number, text
from radboost.data.dicom.kinds import NotAnImage
from radboost.errors import PixelError

__all__ = ["frame_bytes", "pixel_keyword", "spec_of", "swapped", "syntax_of", "without_pixels"]

_DIRECTORY = "1.2.840.10008.1.3.10"
_IMPLICIT = "1.2.840.10008.1.2"
_FLOATS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}


def pixel_keyword(dataset: Dataset) -> str | None:
    """Name the attribute that holds the pixels, if any: integers first, then floats of 32 and of 64 bits."""
    return next((keyword for keyword in ("PixelData", *_FLOATS) if keyword in dataset), None)


def without_pixels(dataset: FileDataset) -> PixelError:
    """Say why a data set has no pixel data: it is no image, or it is damaged.

    Returns
    -------
    PixelError
        A `NotAnImage` for sound objects of another kind; to be raised.
    """
    stored = text(dataset.file_meta, "MediaStorageSOPClassUID")
    if stored == _DIRECTORY or "DirectoryRecordSequence" in dataset:
        return NotAnImage("a DICOMDIR lists images and holds none")
    if "Rows" in dataset:
        return PixelError("the header describes an image, but the file ends before its pixel data is complete")
    kind = text(dataset, "Modality") or text(dataset, "SOPClassUID")
    if not kind:
        return PixelError("the file is no DICOM file, or ends before its pixel data")
    return NotAnImage("the object holds no image", got=kind)


def syntax_of(dataset: FileDataset) -> str:
    """Give the transfer syntax's UID; where file meta information lacks it, the way the data set was written tells."""
    stated = text(dataset.file_meta, "TransferSyntaxUID")
    if stated:
        return stated
    # PS3.5 10.1: implicit little endian unless agreed otherwise.
    return BIG_ENDIAN if dataset.original_encoding[1] is False else _IMPLICIT


def spec_of(dataset: Dataset, keyword: str) -> FrameSpec:
    """Read the Image Pixel attributes.

    Parameters
    ----------
    dataset
        The image.
    keyword
        The attribute that holds its pixels.

    Raises
    ------
    PixelError
        When they are unreadable or describe no image.
    """

    def whole(name: str, default: int) -> int:
        return int(cast(float, number(dataset, name, default)))

    samples = whole("SamplesPerPixel", 1)
    floating = keyword in _FLOATS
    allocated = _FLOATS[keyword] if floating else whole("BitsAllocated", 0)
    stored = allocated if floating else whole("BitsStored", allocated)
    return FrameSpec(
        rows=whole("Rows", 0),
        columns=whole("Columns", 0),
        samples=samples,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=stored - 1 if floating else whole("HighBit", stored - 1),
        signed=whole("PixelRepresentation", 0) == 1,
        photometric=text(dataset, "PhotometricInterpretation").upper() or ("RGB" if samples == 3 else "MONOCHROME2"),
        planar=whole("PlanarConfiguration", 0) == 1,
        floating=floating,
    )


def frame_bytes(dataset: FileDataset, keyword: str, index: int, frames: int) -> bytes:
    """Cut one frame's bytes out of the pixel data, without encapsulation.

    Parameters
    ----------
    dataset
        The image.
    keyword
        The attribute that holds its pixels.
    index, frames
        Which frame of how many, from 0.

    Raises
    ------
    PixelError
        When the pixel data holds less than the header promises for all frames together.
    """
    data = attribute(dataset, keyword)
    if not isinstance(data, bytes):
        raise PixelError("the pixel data is empty")
    syntax = syntax_of(dataset)
    if syntax not in NATIVE:
        with door("the encapsulated pixel data cannot be taken apart"):
            return get_frame(data, index, number_of_frames=frames)
    spec = spec_of(dataset, keyword)
    needed = (spec.frame_bits * frames + 7) // 8
    if len(data) < needed:
        raise PixelError("the pixel data ends early", got=f"{len(data):,} of {needed:,} bytes in {frames} frames")
    if syntax == BIG_ENDIAN and spec.bits_allocated == 8 and dataset[keyword].VR == "OW":
        # 8-bit samples in 16-bit words: big endian swaps neighbours (PS3.5 annex A.3).
        data = swapped(data)
    start, skip = divmod(spec.frame_bits * index, 8)
    part = data[start : start + (skip + spec.frame_bits + 7) // 8]
    if not skip:
        return part
    # 1-bit frames follow each other without padding (PS3.5 8.1.1): bring this one to a byte's border.
    bits = np.unpackbits(np.frombuffer(part, np.uint8), bitorder="little")
    return np.packbits(bits[skip:], bitorder="little").tobytes()


def swapped(data: bytes) -> bytes:
    """Swap the two bytes of every 16-bit word."""
    return np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes()
