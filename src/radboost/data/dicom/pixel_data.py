"""From a data set to one frame's bytes, and to what its header promises about them (PS3.5 8, annex A.4)."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from pydicom.dataset import Dataset, FileDataset

from radboost.data.codecs import BIG_ENDIAN, NATIVE, SUPPORTED, FrameSpec, name_of
from radboost.data.dicom.diagnosis import diagnosis
from radboost.data.dicom.door import door, number, text
from radboost.data.dicom.fragments import frame_of
from radboost.data.dicom.kinds import NotAnImage
from radboost.data.dicom.parse import Parsed, Pixels
from radboost.errors import PixelError

__all__ = ["frame_data", "spec_of", "swapped", "syntax_of", "without_pixels"]

_DIRECTORY = "1.2.840.10008.1.3.10"
_IMPLICIT = "1.2.840.10008.1.2"
_FLOATS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}


def without_pixels(dataset: FileDataset, path: Path) -> PixelError:
    """Say why a data set has no pixel data: it is no image, or it is damaged.

    Parameters
    ----------
    dataset
        What was read.
    path
        The file it came from.

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
        return diagnosis(path)
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


def frame_data(parsed: Parsed, spec: FrameSpec, index: int, frames: int) -> bytes | np.ndarray:
    """Find one frame's bytes in the pixel data, without encapsulation; the other frames are not read.

    Parameters
    ----------
    parsed
        The file; it has pixel data.
    spec
        What its header promises of a frame.
    index, frames
        Which frame of how many, from 0.

    Returns
    -------
    bytes or numpy.ndarray
        A codestream; or the samples of an uncompressed frame, mapped from the file, (n,) uint8.

    Raises
    ------
    PixelError
        When the pixel data holds less than the header promises for all frames together.
    """
    pixels, syntax = parsed.pixels, syntax_of(parsed.dataset)
    if pixels is None or pixels.length == 0:
        raise PixelError("the pixel data is empty")
    if syntax not in SUPPORTED:
        raise PixelError("no decoder for this transfer syntax", got=name_of(syntax))
    if syntax not in NATIVE:
        if pixels.length is not None:
            raise PixelError(
                "the transfer syntax is a compressed one, but the pixel data is not encapsulated", got=name_of(syntax)
            )
        with door("the encapsulated pixel data cannot be taken apart"), pixels.open() as stream:
            return frame_of(stream, pixels.available, parsed.dataset, index, frames)
    if pixels.length is None:
        raise PixelError("the transfer syntax is uncompressed, but the pixel data is encapsulated")
    return _native(pixels, spec, index, frames, swap=syntax == BIG_ENDIAN)


def _native(pixels: Pixels, spec: FrameSpec, index: int, frames: int, *, swap: bool) -> np.ndarray:
    needed = (spec.frame_bits * frames + 7) // 8
    held = min(pixels.length or 0, pixels.available)
    if held < needed:
        where = "file" if pixels.available < needed else "element"
        raise PixelError(
            "the pixel data ends early",
            got=f"{held:,} bytes in the {where}, {needed:,} for {frames} frame(s) of {spec.rows} x {spec.columns}",
        )
    start, skip = divmod(spec.frame_bits * index, 8)
    size = (skip + spec.frame_bits + 7) // 8
    if swap and spec.bits_allocated == 8 and pixels.vr == "OW":
        # 8-bit samples in 16-bit words: big endian swaps neighbours (PS3.5 annex A.3).
        even = start // 2 * 2
        words = pixels.map(even, min(size + 2, held - even) // 2 * 2)
        part = np.frombuffer(swapped(words.tobytes()), np.uint8)[start - even :][:size]
    else:
        part = pixels.map(start, size)
    if not skip:
        return part
    # 1-bit frames follow each other without padding (PS3.5 8.1.1): bring this one to a byte's border.
    return np.packbits(np.unpackbits(part, bitorder="little")[skip:], bitorder="little")


def swapped(data: bytes) -> bytes:
    """Swap the two bytes of every 16-bit word."""
    return np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes()
