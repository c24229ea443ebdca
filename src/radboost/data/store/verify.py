"""Prove what is in a store: every byte, every row, and that each shard belongs here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from radboost.data.folder import file_sha256
from radboost.data.store.header import DAMAGED, part_is_whole, store_header
from radboost.data.store.lock import store_lock
from radboost.data.store.parts import PARTS, Part, read_parts
from radboost.data.store.shard import Rows, read_rows, shard_fingerprint
from radboost.errors import FormatError, UserError

__all__ = ["Finding", "Verification", "set_aside", "verify_store"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes
    ----------
    shard
        File name of the shard.
    what
        In words.
    """

    shard: str
    what: str


@dataclass(frozen=True)
class Verification:
    """What `verify_store` looked at and found.

    Attributes
    ----------
    shards, rows, bytes
        How much was read.
    findings
        What is wrong, in the order of the shards; empty for a sound store.
    """

    shards: int
    rows: int
    bytes: int
    findings: tuple[Finding, ...]

    @property
    def damaged(self) -> tuple[str, ...]:
        """Names of the shards in which something is wrong, each once."""
        return tuple(dict.fromkeys(finding.shard for finding in self.findings))


def verify_store(folder: Path, progress: Callable[[int], None] | None = None) -> Verification:
    """Read every byte of a store and say what is wrong with which shard. Nothing is changed.

    A shard is sound when its file has the recorded length and sha256, was made under the store's fingerprint, holds the
    columns and rows that `parts.jsonl` says in the store's widths and dtype, and none of its rows stands elsewhere.

    Parameters
    ----------
    folder
        The store; it may be one that `EmbeddingStore.open` refuses because shards are missing.
    progress
        Called with 1 after each shard.

    Raises
    ------
    UserError
        The folder is no store.
    FormatError
        Its header or its list of shards is damaged.
    """
    header, parts = store_header(folder), read_parts(folder)
    findings: list[Finding] = []
    sound: list[tuple[Part, Rows]] = []
    for part in parts:
        wrong, rows = _look(folder, part, header)
        if wrong:
            findings.append(Finding(part.name, wrong))
        elif rows is not None:
            # Copies of what identifies a row: a map of every shard would hold a descriptor of each.
            sound.append((part, Rows(rows.crop_ids.copy(), {}, rows.failed[:0].copy(), views=_views(rows).copy())))
        if progress is not None:
            progress(1)
    findings += _repeated(sound)
    order = {part.name: number for number, part in enumerate(parts)}
    findings.sort(key=lambda finding: order[finding.shard])
    rows_read = sum(part.rows for part in parts)
    return Verification(len(parts), rows_read, sum(part.bytes for part in parts), tuple(findings))


def set_aside(folder: Path, shards: Sequence[str]) -> list[str]:
    """Rename shards to ``<name>.damaged``, so that the store is refused until `extract` has made them anew.

    They keep their line in `parts.jsonl`: a store that is only shorter would be read as if nothing were missing.

    Returns
    -------
    list of str
        Those that were there to be renamed.

    Raises
    ------
    UserError
        Another process is writing the store, or its folder cannot be written.
    """
    with store_lock(folder):
        there = [name for name in shards if (folder / name).is_file()]
        try:
            for name in there:
                (folder / name).replace(folder / (name + DAMAGED))
        except OSError as error:
            raise UserError("cannot be written", where=folder, got=error.strerror) from error
    return there


def _look(folder: Path, part: Part, header: dict[str, object]) -> tuple[str, Rows | None]:
    """Say what is wrong with one shard, and give its content where nothing is."""
    path = folder / part.name
    if not path.is_file():
        aside = (folder / (part.name + DAMAGED)).exists()
        return ("was set aside as damaged" if aside else "is missing"), None
    if not part_is_whole(folder, part):
        return f"has {path.stat().st_size:,} bytes where {part.bytes:,} were recorded", None
    if file_sha256(path) != part.sha256:
        return "has another sha256 than was recorded: bytes have changed", None
    try:
        if shard_fingerprint(path) != header["fingerprint_hash"]:
            return "was made under another fingerprint", None
        rows = read_rows(path)
    except FormatError as error:
        return error.what, None
    have = {pool: values.shape[1] for pool, values in rows.embeddings.items()}
    dtypes = {str(values.dtype) for values in rows.embeddings.values()}
    if have != header["pools"] or dtypes != {header["dtype"]}:
        return "holds other pools, widths or dtype than the header names", None
    if (len(rows.crop_ids), len(rows.failed)) != (part.rows, part.failed):
        return f"holds other rows than {PARTS} says", None
    return "", rows


def _views(rows: Rows) -> npt.NDArray[np.uint8]:
    return np.zeros(len(rows.crop_ids), np.uint8) if rows.views is None else rows.views


def _repeated(shards: Sequence[tuple[Part, Rows]]) -> list[Finding]:
    """Rows of one crop and view beyond the first, told of the later shard."""
    if not shards:
        return []
    ids = np.concatenate([rows.crop_ids for _, rows in shards])
    views = np.concatenate([_views(rows) for _, rows in shards])
    owner = np.repeat(np.arange(len(shards)), [len(rows.crop_ids) for _, rows in shards])
    order = np.lexsort((views, ids))
    ids, views, owner = ids[order], views[order], owner[order]
    later = owner[1:][(ids[1:] == ids[:-1]) & (views[1:] == views[:-1])]
    return [
        Finding(shards[k][0].name, f"{n} rows stand twice, here or in an earlier shard")
        for k, n in zip(*np.unique(later, return_counts=True), strict=True)
    ]
