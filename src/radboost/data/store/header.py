"""`store.json`: what made a store, and what decides which embeddings belong in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from radboost.data.folder import FORMATS, digest, read_header
from radboost.data.store.parts import Part
from radboost.errors import FormatError

__all__ = ["DAMAGED", "FORMAT", "KIND", "part_is_whole", "store_header"]

KIND = "store"
FORMAT = FORMATS[KIND]
FIELDS = ("config", "dtype", "fingerprint", "fingerprint_hash", "pools", "rows_per_shard")

DAMAGED = ".damaged"
"""Ending that a shard gets when it is set aside; the store is then refused until `extract` has made the shard anew."""


def store_header(folder: Path) -> dict[str, Any]:
    """Read and check `store.json`.

    Raises
    ------
    UserError
        The folder is no store.
    FormatError
        Its header is damaged.
    """
    header = read_header(folder, KIND, FORMAT)
    lacking = [f for f in FIELDS if f not in header]
    if lacking or digest(header["fingerprint"]) != header["fingerprint_hash"]:
        got = f"no {', '.join(lacking)}" if lacking else "a fingerprint that is not its hash"
        raise FormatError("has a damaged header", where=folder / f"{KIND}.json", got=got)
    return header


def part_is_whole(folder: Path, part: Part) -> bool:
    """Whether a shard's file is there with its right length; its content is for `verify_store`."""
    path = folder / part.name
    return path.is_file() and path.stat().st_size == part.bytes
