"""Results on disk: written whole or not at all, each with one JSON header that says what it is."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from radboost import __version__
from radboost.errors import ExistsError, FormatError, RadboostError, UserError

__all__ = [
    "FORMATS",
    "alone_in",
    "digest",
    "environment",
    "file_sha256",
    "new_folder",
    "read_header",
    "read_json",
    "refuse_existing",
    "write_header",
    "write_json",
    "write_text",
]

FORMATS: Mapping[str, int] = {"cohort": 2, "store": 1, "training": 2, "run": 1, "blend": 3}
"""Kinds of result folders, in the order in which data flows, and the format that this version writes and reads."""

LIBRARIES = (
    "numpy",
    "pandas",
    "scikit-learn",
    "lightgbm",
    "xgboost",
    "torch",
    "timm",
    "pydicom",
    "imagecodecs",
    "h5py",
)


def digest(value: object) -> str:
    """Sha256 of a JSON-able value, independent of key order.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Sha256 of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def environment() -> dict[str, str]:
    """Versions that a result may depend on: Python, the machine's kind, and the libraries in use.

    Holds no host name, user name or path, so that it can be shared.
    """
    versions = {"python": platform.python_version(), "system": f"{sys.platform} {platform.machine()}"}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file whole: temporary name, closed, fsynced, then moved into place."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: object) -> None:
    """Write a JSON file whole, with sorted keys and no NaN."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    FormatError
        The file is missing or is no JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError("cannot be read as JSON", where=path, got=str(error)) from error


def write_header(folder: Path, kind: str, version: int, content: Mapping[str, object]) -> None:
    """Write the header `<kind>.json` of a result folder: what it is, how it was made, and with what."""
    header = {
        "kind": kind,
        "format": version,
        "radboost": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **content,
    }
    write_json(folder / f"{kind}.json", header)


def read_header(folder: Path, kind: str, version: int) -> dict[str, Any]:
    """Read and check the header of a result folder.

    Raises
    ------
    UserError
        The folder is missing or is a result of another kind.
    FormatError
        Its header is damaged, or of a format that this version does not read.
    """
    path = folder / f"{kind}.json"
    if not path.is_file():
        found = [k for k in FORMATS if (folder / f"{k}.json").is_file()]
        got = f"a {found[0]}" if found else ("a folder of another kind" if folder.is_dir() else "no such folder")
        raise UserError(f"is not a radboost {kind}", where=folder, got=got, do=f"Give a folder that holds {kind}.json")
    header = read_json(path)
    if not isinstance(header, dict) or header.get("kind") != kind:
        raise FormatError(f"does not describe a {kind}", where=path)
    if header.get("format") != version:
        do = f"This radboost reads format {version}; make the {kind} anew or install the version that wrote it"
        raise FormatError("has another format", where=path, got=header.get("format"), do=do)
    return header


def refuse_existing(out: Path, kind: str, overwrite: bool) -> None:
    """Refuse to replace what is there, before any work is done.

    Raises
    ------
    ExistsError
        `out` exists and `overwrite` is off.
    UserError
        `out` exists and is no result of this kind: neither a folder of somebody's nor the run that a blend is made
        from is ever deleted.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise ExistsError("already exists", where=out, do="Choose another --out, or give --overwrite to replace it")
    if not (out / f"{kind}.json").is_file():
        raise UserError(f"is no {kind}, so it is not replaced", where=out, do="Choose another --out")


@contextmanager
def new_folder(out: Path, kind: str, *, overwrite: bool = False) -> Iterator[Path]:
    """Build a result folder under a temporary name beside `out` and move it into place when the block ends well.

    Parameters
    ----------
    out
        Where it goes.
    kind
        What it is; only a result of the same kind is replaced.
    overwrite
        Whether one may be.

    Yields
    ------
    Path
        The temporary folder to fill.

    Raises
    ------
    ExistsError
        `out` exists and `overwrite` is off.
    UserError
        `out` is something else, or cannot be written.
    """
    refuse_existing(out, kind, overwrite)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise UserError("cannot be written", where=out, got=error.strerror, do="Choose another --out") from error
    try:
        temporary.chmod(0o755)
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        if out.exists():
            shutil.rmtree(out)
        temporary.replace(out)
    except OSError as error:
        raise RadboostError("could not be written", where=out, got=error.strerror or str(error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make a folder of unfinished work where there is none, and keep other processes out of it.

    Parameters
    ----------
    folder
        Where only one may work at a time. What a process that was killed left there is free.

    Raises
    ------
    UserError
        Another one works there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems know no locks: there it is up to whoever gives the commands.
        with suppress(OSError):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                do = "Wait until it has ended, or give another --out"
                raise UserError("another process works there", where=folder, do=do) from error
        yield
    finally:
        os.close(handle)
