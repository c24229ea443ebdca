"""Say what is wrong with a file in which no data set was found: the first fault of its file meta information."""

from __future__ import annotations

import struct
from pathlib import Path

from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from radboost.errors import PixelError

__all__ = ["diagnosis", "meta_fault"]

_READ = 1 << 16
_VRS = {vr.value for vr in VR if len(vr.value) == 2}
_TRANSFER_SYNTAX = 0x00020010


def diagnosis(path: Path) -> PixelError:
    """Find the first fault.

    The file meta information is explicit little endian whatever follows (PS3.10 7.1), so that it can be walked over
    by hand: 128 bytes, ``DICM``, then elements of group 0002.

    Returns
    -------
    PixelError
        To be raised.
    """
    data = _start(path)
    if len(data) <= 132:
        got = f"{len(data)} bytes"
        return PixelError("the file is empty" if not data else "the file ends before any data set begins", got=got)
    if data[128:132] != b"DICM":
        at = data.find(b"DICM", 0, 4096)
        if at < 0:
            return PixelError("the file is no DICOM file: it has no prefix DICM, nor a data set at its start")
        return PixelError("the prefix DICM stands at the wrong place", got=f"byte {at} instead of 128")
    fault = meta_fault(path)
    return fault or PixelError("the data set behind the file meta information is damaged at its start")


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_READ)


def meta_fault(path: Path) -> PixelError | None:
    """Find the first fault of the file meta information; None where it is sound, or there is none to walk over.

    Returns
    -------
    PixelError or None
        To be raised.
    """
    data = _start(path)
    return _meta(data, path.stat().st_size) if data[128:132] == b"DICM" and len(data) > 136 else None


def _meta(data: bytes, size: int) -> PixelError | None:
    at, tags = 132, []
    while at + 8 <= len(data):
        group, element = struct.unpack("<HH", data[at : at + 4])
        if group != 2:
            break
        name, vr = f"({group:04X},{element:04X})", data[at + 4 : at + 6].decode("latin-1")
        if vr not in _VRS:
            return PixelError(
                f"the file meta information is damaged: element {name} has an unknown VR", got=data[at + 4 : at + 6]
            )
        # Long VRs keep 4 bytes for the length, behind 2 reserved ones; the others 2 (PS3.5 7.1.2).
        head, form = (12, "<I") if vr in EXPLICIT_VR_LENGTH_32 else (8, "<H")
        if at + head > len(data):
            break
        length = struct.unpack_from(form, data, at + head - struct.calcsize(form))[0]
        if at + head + length > size:
            return PixelError(
                f"the file meta information is damaged: element {name} is longer than the file",
                got=f"{length:,} bytes, {max(0, size - at - head):,} are left",
            )
        tags.append((group << 16) + element)
        at += head + length
    if not tags:
        tag = "({:04X},{:04X})".format(*struct.unpack("<HH", data[132:136]))
        return PixelError("no file meta information follows the prefix DICM", got=f"first tag {tag}")
    if _TRANSFER_SYNTAX not in tags:
        return PixelError("the file meta information names no transfer syntax, and the data set cannot be read")
    if at >= size:
        return PixelError("the file ends behind its file meta information", got=f"{size:,} bytes")
    return None
