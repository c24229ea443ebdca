"""What kind of file lies there, told from its first bytes before anything is parsed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from radboost.data.codecs import SUFFIXES, is_raster
from radboost.errors import PixelError

__all__ = ["START", "Kind", "NotAnImage", "classify", "kind_of"]

START = 132
"""First bytes of a file that tell its kind."""

Kind = Literal["dicom", "raster", "other"]

_DICOM_SUFFIXES = {".dcm", ".dicom", ".ima"}


class NotAnImage(PixelError):
    """A sound DICOM file that holds no image: a directory, a report, a presentation state. Skipped, not quarantined."""

    kind = "not an image"


def classify(path: Path) -> Kind:
    """Tell DICOM files and raster images from all others.

    Parameters
    ----------
    path
        Any file.

    Returns
    -------
    str
        ``dicom``: by the prefix DICM, by a data set's first element where the preamble is missing, or by name;
        ``raster``: PNG, JPEG, TIFF or PGM, by content and name; ``other``: to be passed by. A file whose name
        promises an image counts as one even when its content does not: it is then refused with a reason
        rather than passed by in silence.

    Raises
    ------
    PixelError
        When the file cannot be opened.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return kind_of(file.read(START), path.suffix.lower())
    except OSError as error:
        raise PixelError("the file cannot be opened", got=error.strerror) from error


def kind_of(start: bytes, suffix: str) -> Kind:
    """Tell the kind as `classify` does, from the file's first `START` bytes and its name's ending in lower case."""
    if start[128:] == b"DICM" or _is_bare_dataset(start) or suffix in _DICOM_SUFFIXES:
        return "dicom"
    if suffix in SUFFIXES or (not suffix and is_raster(start)):
        return "raster"
    return "other"


def _is_bare_dataset(start: bytes) -> bool:
    # A data set without preamble begins with group 0002 or 0008, in ascending order, most often in the explicit
    # VR (PS3.10 7.1); the implicit one shows by a short, even length of its first element.
    if start[:2] not in (b"\x02\x00", b"\x08\x00") or len(start) < 8:
        return False
    vr = start[4:6]
    if vr in (b"UL", b"UI", b"CS", b"SH", b"DA", b"OB"):
        return True
    length = int.from_bytes(start[4:8], "little")
    return (
        0 < length <= 64
        and length % 2 == 0
        and start[2:4] in (b"\x00\x00", b"\x01\x00", b"\x05\x00", b"\x08\x00", b"\x16\x00")
    )
