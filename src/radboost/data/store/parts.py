"""`parts.jsonl`: one line a finished shard. What it does not name does not exist."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from radboost.data.folder import write_text
from radboost.errors import FormatError

__all__ = ["PARTS", "Part", "append_part", "part_name", "read_parts", "rewrite_parts"]

PARTS = "parts.jsonl"


@dataclass(frozen=True)
class Part:
    """One finished shard.

    Attributes
    ----------
    name
        File name in the store's folder.
    rows
        Embedded crops.
    failed
        Crops that were tried and have no row.
    bytes, sha256
        Of the file.
    device
        Kind of device that computed it.
    versions
        Libraries it may depend on.
    """

    name: str
    rows: int
    failed: int
    bytes: int
    sha256: str
    device: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """Position among the shards, from the file's name."""
        return int(self.name.removeprefix("part-").removesuffix(".h5"))


def part_name(number: int) -> str:
    """Name the file of a shard.

    >>> part_name(7)
    'part-00007.h5'
    """
    return f"part-{number:05d}.h5"


def read_parts(folder: Path) -> list[Part]:
    """Read the finished shards, by number.

    A last line without its newline is what a killed run left half written: it names nothing.

    Raises
    ------
    FormatError
        Another line is damaged, or a shard is named twice.
    """
    path = folder / PARTS
    try:
        text = path.read_text("utf-8") if path.exists() else ""
        parts = [Part(**json.loads(line)) for line in text[: text.rfind("\n") + 1].splitlines()]
        parts.sort(key=lambda part: part.number)
    except (OSError, ValueError, TypeError) as error:
        raise FormatError("is damaged", where=path, got=str(error)) from error
    if len({part.number for part in parts}) != len(parts):
        raise FormatError("names a shard twice", where=path)
    return parts


def _line(part: Part) -> str:
    return json.dumps(asdict(part), sort_keys=True) + "\n"


def append_part(folder: Path, part: Part) -> None:
    """Add one finished shard and make it durable before returning."""
    with (folder / PARTS).open("a", encoding="utf-8") as file:
        file.write(_line(part))
        file.flush()
        os.fsync(file.fileno())


def rewrite_parts(folder: Path, parts: Iterable[Part]) -> None:
    """Replace the whole list at once."""
    write_text(folder / PARTS, "".join(_line(part) for part in parts))
