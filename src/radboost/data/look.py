"""One look at a file, in a worker: it imports no more than it needs, since every worker starts with it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from radboost.data.dicom import Header, NotAnImage, read_header
from radboost.data.dicom.kinds import START, kind_of
from radboost.data.dicom.parse import BUFFER
from radboost.errors import PixelError

__all__ = ["LOOK_VERSION", "Look", "look", "looks"]

LOOK_VERSION = 1
"""Raised whenever the same file would be seen otherwise: what was noted of an interrupted scan is then read anew."""

SAMPLE = 4096
SAMPLES = 8


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a file tells.

    Attributes
    ----------
    kind
        ``image``, or what else it is, to be passed by; the kind of failure where there is a `fault`.
    header
        Of a DICOM image; None for a picture.
    mark
        Tells the file's content from another's: with it, two folders that use the same file names do not share crops,
        and a picture that was replaced is seen to be new.
    size, modified
        Bytes, and nanoseconds since 1970, when it was looked at; -1 where it cannot be opened.
    fault
        Why it cannot be used; empty if it can.
    """

    kind: str
    header: Header | None = None
    mark: str = ""
    size: int = -1
    modified: int = -1
    fault: str = ""


def looks(paths: Sequence[str], root: str) -> list[Look]:
    """Look at several files, so that handing them over costs little beside reading them.

    A file that is at fault is told as such. What may not be the file's fault (memory, something unforeseen) ends the
    whole call: the pool tells it in its own words when the files are tried one by one.
    """
    return [look(path, root) for path in paths]


def look(path: str, root: str) -> Look:
    """Look at one file: it is opened once, and read up to its pixels in blocks of `BUFFER` bytes."""
    full = Path(root) / path
    size = modified = -1
    try:
        with _opened(full) as file:
            stat = os.fstat(file.fileno())
            size, modified = stat.st_size, stat.st_mtime_ns
            kind, header, mark = _seen(full, file, size)
    except PixelError as error:
        # Without the file's name: reasons may be printed.
        plain = str(PixelError(error.what, got=error.got, do=error.do))
        return Look(getattr(error, "kind", "unreadable"), None, "", size, modified, plain)
    return Look(kind, header, mark, size, modified)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb", buffering=BUFFER)
    except OSError as error:
        raise PixelError("the file cannot be opened", got=error.strerror) from error


def _seen(path: Path, file: BinaryIO, size: int) -> tuple[str, Header | None, str]:
    try:
        start = file.read(START)
        file.seek(0)
    except OSError as error:
        raise PixelError("the file cannot be read", got=error.strerror) from error
    kind = kind_of(start, path.suffix.lower())
    if kind == "other":
        return f"{path.suffix or 'no'} ending", None, ""
    if kind == "raster":
        return "image", None, _sampled(file, size)
    try:
        header = read_header(path, file)
    except NotAnImage as error:
        return error.what, None, ""
    # The UID is the content's own name; the size tells a re-encoded copy from the original without reading it.
    uid = header.instance_uid
    return "image", header, f"{uid} {size}" if uid else _sampled(file, size)


def _sampled(file: BinaryIO, size: int) -> str:
    """Digest of the size and of evenly spread samples: reading a few blocks, whatever the size."""
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    try:
        for number in range(SAMPLES):
            file.seek(max(0, size - SAMPLE) * number // (SAMPLES - 1))
            digest.update(file.read(SAMPLE))
    except OSError as error:
        raise PixelError("the file cannot be read", got=error.strerror) from error
    return digest.hexdigest()
