"""Read a file up to its pixel data, and find where these lie, so that one frame of many costs one frame."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_file_meta_info, read_partial
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from radboost.data.dicom.diagnosis import meta_fault
from radboost.data.dicom.door import door
from radboost.errors import PixelError

__all__ = ["BUFFER", "MAX_INFLATED", "Parsed", "Pixels", "parse"]

BUFFER = 4096
"""Bytes read at a time: a block of most file systems, and more than most headers need."""

MAX_INFLATED = 1 << 30
"""Bytes that a deflated data set may have: deflate packs a thousand to one, so that a small file could ask for all."""

_DEFLATED = b"1.2.840.10008.1.2.1.99"
# Pixel Data first: Float and Double Float Pixel Data stand before it in a file and never beside it.
_KEYWORDS = {0x7FE00010: "PixelData", 0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData"}
_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class Pixels:
    """Where a file's pixel data lie.

    Attributes
    ----------
    keyword
        The attribute that holds them.
    vr
        As the file states it; empty in the implicit syntax.
    start
        First byte of the value.
    length
        Bytes that the file states; None for encapsulated pixel data, whose length is undefined.
    available
        Bytes from `start` to the end of the file.
    source
        The file, or the inflated data set.
    """

    keyword: str
    vr: str
    start: int
    length: int | None
    available: int
    source: Path | bytes

    def map(self, first: int, size: int) -> np.ndarray:
        """Give bytes `first` to `first + size` of the value, (size,) uint8; a file is mapped, not read."""
        if isinstance(self.source, bytes):
            return np.frombuffer(self.source, np.uint8, size, self.start + first)
        return np.memmap(self.source, np.uint8, "r", self.start + first, (size,))

    def open(self) -> BinaryIO:
        """Open the source for reading, at the start of the value."""
        stream = BytesIO(self.source) if isinstance(self.source, bytes) else self.source.open("rb")
        stream.seek(self.start)
        return stream


@dataclass(frozen=True)
class Parsed:
    """A data set without its pixels.

    Attributes
    ----------
    dataset
        All that stands before the pixel data.
    pixels
        Where they lie; None where there are none.
    """

    dataset: FileDataset
    pixels: Pixels | None


def parse(path: Path, tags: Sequence[int] | None = None, file: BinaryIO | None = None) -> Parsed:
    """Read a file, with or without preamble, up to its pixel data.

    Parameters
    ----------
    path
        The file.
    tags
        Attributes to keep; the others are passed over, and the long ones not even read. All if None.
    file
        The file, open at its start; it stays open. Opened and closed if None.

    Raises
    ------
    PixelError
        When the file cannot be read as DICOM, or inflates to more than `MAX_INFLATED`.
    """
    try:
        with door("the DICOM header cannot be read"):
            if file is not None:
                return _parse(path, file, tags)
            with path.open("rb", buffering=BUFFER) as opened:
                return _parse(path, opened, tags)
    except PixelError as error:
        if isinstance(error.__cause__, OSError):
            raise
        # pydicom stumbles over the consequence of a damaged file meta information; its cause says more.
        raise meta_fault(path) or error from error.__cause__


def _parse(path: Path, file: BinaryIO, tags: Sequence[int] | None) -> Parsed:
    # Half a buffer, so that going back to the start stays within it.
    start = file.read(BUFFER // 2)
    file.seek(0)
    if _DEFLATED in start:
        meta = read_file_meta_info(path)
        if str(meta.get("TransferSyntaxUID", "")).encode() == _DEFLATED:
            return _deflated(meta, file)
    stop = _Stop()
    dataset = read_partial(file, stop, force=True, specific_tags=None if tags is None else [BaseTag(t) for t in tags])
    return Parsed(dataset, stop.found(file, path))


class _Stop:
    """pydicom asks this for every element whether to stop; it stops at the pixels and keeps what it saw of them."""

    def __init__(self) -> None:
        self._at: tuple[str, str, int] | None = None

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        keyword = _KEYWORDS.get(int(tag))
        if keyword is not None:
            self._at = keyword, vr or "", length
        return keyword is not None

    def found(self, stream: BinaryIO, source: Path | bytes) -> Pixels | None:
        """Say where the pixels lie; `stream` stands at the first byte of their element."""
        if self._at is None:
            return None
        keyword, vr, length = self._at
        # Tag and length of 4 bytes each; VRs of long values have 4 bytes more (PS3.5 7.1.2).
        start = stream.tell() + (12 if vr in EXPLICIT_VR_LENGTH_32 else 8)
        size = len(source) if isinstance(source, bytes) else os.fstat(stream.fileno()).st_size
        stated = None if length == _UNDEFINED else length
        return Pixels(keyword, vr, start, stated, max(0, size - start), source)


def _deflated(meta: FileMetaDataset, file: BinaryIO) -> Parsed:
    """Inflate all behind the file meta information (PS3.5 A.5), bounded, and read that."""
    # The preamble, DICM, and the group length's own element of 12 bytes, from whose end it counts (PS3.10 7.1).
    file.seek(132 + 12 + int(meta.FileMetaInformationGroupLength))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = inflater.decompress(file.read(), MAX_INFLATED)
    if not inflater.eof:
        if len(plain) < MAX_INFLATED:
            raise PixelError("the deflated data set ends early", got=f"{len(plain):,} bytes after inflating")
        raise PixelError(f"the deflated data set inflates to more than {MAX_INFLATED:,} bytes")
    stop, stream = _Stop(), BytesIO(plain)
    dataset = read_dataset(stream, is_implicit_VR=False, is_little_endian=True, stop_when=stop)
    whole = FileDataset(stream, dataset, file_meta=meta, is_implicit_VR=False, is_little_endian=True)
    whole.set_original_encoding(False, True, "iso8859")
    return Parsed(whole, stop.found(stream, plain))
