"""What a scan has seen so far, kept beside its result until that is saved, so that a scan that was cut off goes on.

One JSON line a file, appended and handed to the system as soon as it is known: a kill at any moment costs what was
not told yet, and a torn last line is dropped. It holds identifiers, so only its owner can read it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from radboost.data.dicom import Header
from radboost.data.look import LOOK_VERSION, Look
from radboost.errors import UserError

__all__ = ["Journal", "Values"]

Values = tuple[tuple[float, ...], ...]
"""Statistics of a file's pixels, one tuple a frame."""

_HEADER = tuple(field.name for field in fields(Header))


class Journal:
    """The notes of one scan; a context manager.

    Parameters
    ----------
    path
        The file; None keeps nothing.
    root
        The data folder: notes of another one, or of another version, are thrown away.

    Attributes
    ----------
    looks, values
        What was noted before, by path, with the size and time of the file that it was noted of.

    Raises
    ------
    UserError
        It cannot be written.
    """

    def __init__(self, path: Path | None, root: Path) -> None:
        self._path = path
        self._about = {"scan": LOOK_VERSION, "header": _HEADER, "root": str(root.resolve())}
        self._file: IO[bytes] | None = None
        self._noted = False
        self.looks: dict[str, Look] = {}
        self.values: dict[str, tuple[int, int, str, Values]] = {}

    def __enter__(self) -> Journal:
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
                self._file = os.fdopen(os.open(self._path, flags, 0o600), "r+b")
                self._path.chmod(0o600)
                self._recall(self._file)
            except OSError as error:
                self.__exit__(None, None, None)
                do = "Choose another --out"
                raise UserError("cannot be written", where=self._path, got=error.strerror, do=do) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            if not self._noted and self._path is not None:
                # Nothing to go on from, as when the request was wrong: leave no litter.
                self._path.unlink(missing_ok=True)

    def add_looks(self, looks: Mapping[str, Look]) -> None:
        """Note what was seen; files at fault are tried again the next time, since a network may be at fault too."""
        self._write(
            ("look", path, look.size, look.modified, look.kind, look.mark, _values(look.header))
            for path, look in looks.items()
            if not look.fault
        )

    def add_values(self, path: str, stamp: tuple[int, int], frames: str, values: Values) -> None:
        """Note the statistics of a file's frames, chosen by the policy `frames`; `stamp` is its size and time."""
        self._write([("values", path, *stamp, frames, values)])

    def _write(self, rows: Iterable[tuple[object, ...]]) -> None:
        if self._file is not None:
            lines = b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in rows)
            self._file.write(lines)
            self._file.flush()
            self._noted = self._noted or bool(lines)

    def _recall(self, file: IO[bytes]) -> None:
        """Take up what a scan of the same folder left, and stand where the next line goes."""
        end = 0
        about = file.readline()
        if _parsed(about, dict) == json.loads(json.dumps(self._about)):
            end = len(about)
            for line in file:
                row = _parsed(line, list)
                if row is None or not self._take(row):
                    break
                end += len(line)
                self._noted = True
        file.seek(end)
        file.truncate()
        if not end:
            file.write(json.dumps(self._about).encode() + b"\n")
            file.flush()

    def _take(self, row: list[Any]) -> bool:
        try:
            what, path, size, modified, *rest = row
            if what == "look":
                kind, mark, values = rest
                self.looks[path] = Look(kind, _header(values), mark, size, modified)
            else:
                frames, values = rest
                self.values[path] = (size, modified, frames, tuple(tuple(frame) for frame in values))
        except (TypeError, ValueError):
            return False
        return True


def _parsed(line: bytes, kind: type) -> Any:
    """Content of a whole line; None where it is torn or of another kind."""
    try:
        content = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return content if isinstance(content, kind) else None


def _values(header: Header | None) -> list[object] | None:
    return None if header is None else [getattr(header, name) for name in _HEADER]


def _header(values: list[Any] | None) -> Header | None:
    if values is None:
        return None
    whole: list[Any] = [tuple(v) if isinstance(v, list) else v for v in values]
    return Header(*whole)
