"""Write a store, shard by shard; whatever happens, the shards that were finished stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from radboost.data.folder import digest, environment, file_sha256, write_header
from radboost.data.store.fingerprint import refuse_difference
from radboost.data.store.header import DAMAGED, FORMAT, KIND, part_is_whole, store_header
from radboost.data.store.parts import PARTS, Part, append_part, part_name, read_parts, rewrite_parts
from radboost.data.store.reader import EmbeddingStore
from radboost.data.store.shard import ID_DTYPE, Rows, copy_shard, read_ids, write_shard
from radboost.errors import FormatError, UserError

__all__ = ["StoreWriter"]


TEMPORARY = (".part-*.tmp", f".{PARTS}.*", f".{KIND}.json.*")
"""What a killed run leaves half written."""


def _sweep(folder: Path, patterns: Iterable[str], keep: Iterable[str] = ()) -> None:
    kept = set(keep)
    for pattern in patterns:
        for path in folder.glob(pattern):
            if path.name not in kept:
                path.unlink()


@dataclass
class StoreWriter:
    """Adds shards to a store. Hold `store_lock` on the folder for as long as one lives.

    Attributes
    ----------
    folder
        The store.
    header
        Content of `store.json`.
    parts
        Finished shards, by number; grows with `add`.
    """

    folder: Path
    header: Mapping[str, Any]
    parts: list[Part] = field(default_factory=list)

    @classmethod
    def create(cls, folder: Path, content: Mapping[str, Any]) -> StoreWriter:
        """Begin a store in an empty folder.

        Parameters
        ----------
        folder
            It exists and holds no store.
        content
            `fingerprint`, `config`, `pools` (name to width), `dtype`, `rows_per_shard`.
        """
        _sweep(folder, TEMPORARY)
        header = {**content, "fingerprint_hash": digest(content["fingerprint"])}
        write_header(folder, KIND, FORMAT, header)
        return cls(folder, store_header(folder))

    @classmethod
    def resume(cls, folder: Path, fingerprint: Mapping[str, Any]) -> StoreWriter:
        """Go on with a store: drop what an earlier run left half done, and shards that are gone or cut off.

        Raises
        ------
        MismatchError
            The store has another fingerprint; the fields that differ are named.
        """
        header = store_header(folder)
        refuse_difference(header["fingerprint"], fingerprint, folder)
        listed = read_parts(folder)
        parts = [part for part in listed if part_is_whole(folder, part)]
        writer = cls(folder, header, parts)
        _sweep(folder, (*TEMPORARY, "part-*.h5"), {part.name for part in parts})
        rewrite_parts(folder, parts)
        return writer

    @property
    def rows_per_shard(self) -> int:
        """Crops that each shard covers, except the last."""
        return int(self.header["rows_per_shard"])

    def tried(self) -> npt.NDArray[np.bytes_]:
        """Ids of all crops that need no further work: embedded, or tried and failed."""
        found = [ids for part in self.parts for ids in read_ids(self.folder / part.name)]
        return np.concatenate(found) if found else np.empty(0, ID_DTYPE)

    def add(self, rows: Rows, device: str, versions: Mapping[str, str] | None = None) -> Part:
        """Write one shard under the lowest free number and record it.

        A shard that was lost is made again from the same crops and so gets its number and its bytes back.
        """
        name = self._next()
        path = self.folder / name
        write_shard(path, rows, self.header["fingerprint_hash"])
        part = Part(
            name=name,
            rows=len(rows.crop_ids),
            failed=len(rows.failed),
            bytes=path.stat().st_size,
            sha256=file_sha256(path),
            device=device,
            versions=environment() if versions is None else versions,
        )
        self._record(part)
        return part

    def adopt(self, path: Path, part: Part) -> Part:
        """Copy a finished shard of another store under the lowest free number, with where it came from.

        Raises
        ------
        FormatError
            Its bytes are no longer those that were recorded.
        RadboostError
            The disk is full or cannot be written.
        """
        taken = replace(part, name=self._next())
        copied = self.folder / taken.name
        copy_shard(path, copied)
        if file_sha256(copied) != part.sha256:
            copied.unlink()
            do = "Run `radboost store verify` on that store, then `extract`"
            raise FormatError("is damaged: its sha256 differs", where=path, do=do)
        self._record(taken)
        return taken

    def _next(self) -> str:
        taken = {part.number for part in self.parts}
        return part_name(next(k for k in range(len(taken) + 1) if k not in taken))

    def _record(self, part: Part) -> None:
        append_part(self.folder, part)
        self.parts.append(part)
        (self.folder / (part.name + DAMAGED)).unlink(missing_ok=True)

    def store(self) -> EmbeddingStore:
        """Open what was written."""
        return EmbeddingStore.open(self.folder)

    @staticmethod
    def remaining(crop_ids: Sequence[str], tried: npt.NDArray[np.bytes_]) -> npt.NDArray[np.int64]:
        """Positions in `crop_ids` of the crops that still need work, in order."""
        wanted = np.array([c.encode() for c in crop_ids], ID_DTYPE)
        return np.flatnonzero(~np.isin(wanted, tried)).astype(np.int64)

    @staticmethod
    def clear(folder: Path) -> None:
        """Delete a store's files so that another can take its place; other files are left alone.

        Raises
        ------
        UserError
            The folder is no store: only a store is ever deleted.
        """
        if not (folder / f"{KIND}.json").is_file():
            raise UserError("holds something else than a store", where=folder, do="Choose another --out")
        (folder / PARTS).unlink(missing_ok=True)
        _sweep(folder, (*TEMPORARY, "part-*.h5", f"part-*.h5{DAMAGED}"))
        (folder / f"{KIND}.json").unlink()
