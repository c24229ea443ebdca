"""Read a store: by row, by crop id, or block by block, without loading what is not asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from radboost.data.folder import digest, file_sha256, read_header
from radboost.data.identity import ID_CHARACTERS
from radboost.data.store.parts import PARTS, Part, read_parts
from radboost.data.store.shard import ID_DTYPE, Span, shard_spans
from radboost.errors import FormatError, UserError

__all__ = ["FORMAT", "KIND", "EmbeddingStore", "part_is_whole", "store_header"]

KIND = "store"
FORMAT = 1
FIELDS = ("config", "dtype", "fingerprint", "fingerprint_hash", "pools", "rows_per_shard")


def part_is_whole(folder: Path, part: Part) -> bool:
    """Whether a shard's file is there with its right length; its content is for `EmbeddingStore.verify`."""
    path = folder / part.name
    return path.is_file() and path.stat().st_size == part.bytes


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


@dataclass(frozen=True)
class EmbeddingStore:
    """Embeddings of crops, one row a crop, in the order of the shards.

    Shards are memory-mapped read-only when first touched, so a store may be larger than memory, and one object may be
    read from several threads and after a fork.

    Attributes
    ----------
    folder
        Where it lies.
    header
        Content of `store.json`.
    parts
        The finished shards, by number.
    """

    folder: Path
    header: Mapping[str, Any] = field(repr=False)
    parts: tuple[Part, ...] = field(repr=False)
    _maps: dict[tuple[int, str], npt.NDArray[Any]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, folder: Path | str) -> EmbeddingStore:
        """Open a store.

        Raises
        ------
        UserError
            The folder is no store.
        FormatError
            Its header is damaged, or a shard is missing or cut off.
        """
        folder = Path(folder)
        header = store_header(folder)
        parts = tuple(read_parts(folder))
        for part in parts:
            if not part_is_whole(folder, part):
                do = f"Run `extract` again: it makes the shards anew that {PARTS} names and the disk lacks"
                raise FormatError("is missing or cut off", where=folder / part.name, do=do)
        return cls(folder, header, parts)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """All that decides the value of an embedding: pixels, backbone, weights, pools, precision, dtype."""
        return dict(self.header["fingerprint"])

    @property
    def fingerprint_hash(self) -> str:
        """Sha256 of the fingerprint."""
        return str(self.header["fingerprint_hash"])

    @property
    def config(self) -> dict[str, Any]:
        """All that is needed to embed new exams alike, JSON-able; `ExtractConfig.from_config` reads it."""
        return {**self.header["config"], "fingerprint": self.fingerprint}

    @property
    def pools(self) -> tuple[str, ...]:
        """Names of the poolings, each a matrix of its own."""
        return tuple(self.header["pools"])

    @property
    def rows_per_shard(self) -> int:
        """Crops that each shard covers, except the last."""
        return int(self.header["rows_per_shard"])

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """Of the embeddings on disk."""
        return np.dtype(str(self.header["dtype"]))

    def width(self, pool: str) -> int:
        """Length of one embedding; raises UserError for a pool that the store lacks."""
        if pool not in self.header["pools"]:
            raise UserError("has no such pool", where=self.folder, got=pool, do=f"It has {', '.join(self.pools)}")
        return int(self.header["pools"][pool])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        """First row of each shard, and the number of rows at the end."""
        return np.concatenate([[0], np.cumsum([part.rows for part in self.parts])]).astype(np.int64)

    @cached_property
    def _spans(self) -> list[dict[str, Span]]:
        return [shard_spans(self.folder / part.name) for part in self.parts]

    def _mapped(self, shard: int, name: str) -> npt.NDArray[Any]:
        # Two threads may both map one array; either map serves, so no lock is needed.
        key = (shard, name)
        if key not in self._maps:
            spans = self._spans[shard]
            rows = self.parts[shard].failed if name == "failed" else self.parts[shard].rows
            if name not in spans or spans[name].shape[0] != rows:
                raise FormatError(f"does not hold {name} as {PARTS} says", where=self.folder / self.parts[shard].name)
            self._maps[key] = spans[name].map(self.folder / self.parts[shard].name)
        return self._maps[key]

    def _column(self, name: str) -> npt.NDArray[Any]:
        columns = [self._mapped(k, name) for k in range(len(self.parts))]
        return np.concatenate(columns) if columns else np.empty(0, ID_DTYPE)

    @cached_property
    def _ids(self) -> npt.NDArray[np.bytes_]:
        return self._column("crop_id").astype(ID_DTYPE)

    @cached_property
    def _order(self) -> npt.NDArray[np.intp]:
        return np.argsort(self._ids, kind="stable")

    def crop_ids(self) -> list[str]:
        """Crop ids of all rows, in row order."""
        return [str(i) for i in self._ids.astype(f"U{ID_CHARACTERS}")]

    def failed_ids(self) -> list[str]:
        """Ids of crops that were tried and could not be embedded."""
        return [str(i) for i in self._column("failed").astype(f"U{ID_CHARACTERS}")]

    def rows_of(self, crop_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """Find the rows of crops, -1 where a crop is not in the store."""
        # An over-long name must not be cut to one that is there.
        fits = np.array([len(c) <= ID_CHARACTERS for c in crop_ids], bool)
        wanted = np.array([c.encode() if ok else b"" for c, ok in zip(crop_ids, fits, strict=True)], ID_DTYPE)
        if len(self) == 0 or len(wanted) == 0:
            return np.full(len(wanted), -1, np.int64)
        at = np.searchsorted(self._ids, wanted, sorter=self._order).clip(max=len(self) - 1)
        rows = self._order[at].astype(np.int64)
        return np.where(fits & (self._ids[rows] == wanted), rows, -1)

    def read(
        self, pool: str, rows: npt.ArrayLike | None = None, dtype: npt.DTypeLike = np.float32
    ) -> npt.NDArray[np.floating]:
        """Read embeddings.

        Parameters
        ----------
        pool
            One of `pools`.
        rows
            Row numbers in any order, repeats allowed; None for all.
        dtype
            Of the result.

        Returns
        -------
        ndarray
            (len(rows), width).

        Raises
        ------
        IndexError
            A row is negative or beyond the end: -1 from `rows_of` means absent, never the last row.
        """
        width = self.width(pool)
        wanted = np.arange(len(self)) if rows is None else np.asarray(rows, np.int64)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= len(self)):
            msg = f"rows must lie in 0..{len(self) - 1}, got {wanted.min()}..{wanted.max()}"
            raise IndexError(msg)
        out = np.empty((len(wanted), width), dtype)
        shard = np.searchsorted(self._starts, wanted, side="right") - 1
        for k in np.unique(shard):
            here = shard == k
            out[here] = self._mapped(int(k), f"embeddings/{pool}")[wanted[here] - self._starts[k]]
        return out

    def blocks(self, pool: str) -> Iterator[npt.NDArray[np.floating]]:
        """Yield each shard's embeddings, mapped: (rows of the shard, width) in the dtype on disk."""
        self.width(pool)
        for k in range(len(self.parts)):
            yield self._mapped(k, f"embeddings/{pool}")

    def verify(self) -> list[str]:
        """Read every byte and name the shards whose sha256 is no longer the one recorded."""
        return [part.name for part in self.parts if file_sha256(self.folder / part.name) != part.sha256]
