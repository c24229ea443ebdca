"""Encapsulated pixel data: items in a row, each a fragment of a frame, told apart without reading them (PS3.5 A.4)."""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np
from pydicom.dataset import Dataset

from radboost.errors import PixelError

__all__ = ["frame_of"]

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_END_OF_IMAGE = b"\xff\xd9"


def frame_of(stream: BinaryIO, available: int, dataset: Dataset, index: int, frames: int) -> bytes:
    """Read one frame's fragments, joined.

    Which fragments make a frame: all, of a single frame; one each, where there are as many as frames; else as the
    extended or the basic offset table says; else a frame ends where a fragment ends with an end-of-image marker.

    Parameters
    ----------
    stream
        At the first item of the pixel data.
    available
        Bytes from there to the end of the file.
    dataset
        Holds the extended offset table, if there is one (PS3.3 C.7.6.3.1.8).
    index, frames
        Which frame of how many, from 0.

    Raises
    ------
    PixelError
        When items are damaged or missing.
    """
    base = stream.tell()
    items = _items(stream, available)
    if not items:
        raise PixelError("the pixel data is empty")
    (table_at, table_size), fragments = items[0], items[1:]
    if not fragments:
        raise PixelError("the encapsulated pixel data has an offset table and no frame")
    if frames == 1:
        chosen = fragments
    elif len(fragments) == frames:
        chosen = fragments[index : index + 1]
    else:
        stream.seek(base + table_at)
        offsets = _offsets(dataset, stream.read(table_size), frames)
        chosen = _by_marker(stream, base, fragments, index) if offsets is None else _between(fragments, offsets, index)
    parts = []
    for at, size in chosen:
        stream.seek(base + at)
        parts.append(stream.read(size))
    data = b"".join(parts)
    if not data:
        raise PixelError(f"frame {index} of {frames} is missing", got=f"{len(fragments)} fragments")
    return data


def _items(stream: BinaryIO, available: int) -> list[tuple[int, int]]:
    """Walk over the items: (first byte of the value, bytes) of each, counted from where the stream stands."""
    base, at = stream.tell(), 0
    found: list[tuple[int, int]] = []
    while True:
        stream.seek(base + at)
        head = stream.read(8)
        # A file may end right behind its last complete item: what the codestream says then counts.
        if head[:4] == _END or (not head and found):
            return found
        if len(head) < 8:
            raise PixelError("the file ends inside its pixel data", got=f"{available:,} bytes of it are there")
        if head[:4] != _ITEM:
            raise PixelError(f"fragment {len(found)} of the pixel data does not begin as an item", got=head[:4].hex())
        size = struct.unpack("<I", head[4:])[0]
        at += 8
        if size > available - at:
            raise PixelError(
                f"the file ends inside fragment {len(found)} of its pixel data",
                got=f"{max(0, available - at):,} of {size:,} bytes are there",
            )
        found.append((at, size))
        at += size


def _offsets(dataset: Dataset, table: bytes, frames: int) -> np.ndarray | None:
    """Give where each frame's first item begins, from the first fragment's item; None where no table says so."""
    extended = dataset.get("ExtendedOffsetTable")
    for values in (
        np.frombuffer(extended, "<u8") if isinstance(extended, bytes) and len(extended) % 8 == 0 else None,
        np.frombuffer(table, "<u4") if len(table) % 4 == 0 else None,
    ):
        if values is not None and len(values) == frames and np.all(np.diff(values.astype(np.int64)) > 0):
            return values.astype(np.int64)
    return None


def _between(fragments: list[tuple[int, int]], offsets: np.ndarray, index: int) -> list[tuple[int, int]]:
    first = fragments[0][0]
    starts = np.array([at - first for at, _ in fragments])
    frame = np.searchsorted(offsets, starts, side="right") - 1
    return [fragment for fragment, number in zip(fragments, frame, strict=True) if number == index]


def _by_marker(stream: BinaryIO, base: int, fragments: list[tuple[int, int]], index: int) -> list[tuple[int, int]]:
    frame, chosen = 0, []
    for at, size in fragments:
        if frame == index:
            chosen.append((at, size))
        stream.seek(base + at + max(0, size - 10))
        # A zero may follow the marker, to make the length even.
        frame += _END_OF_IMAGE in stream.read(min(size, 10))
    return chosen
