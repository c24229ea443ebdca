"""Read a store: by row, crop, unit, random batch or shard, without loading what is not asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from radboost.data.folder import file_sha256
from radboost.data.identity import ID_CHARACTERS
from radboost.data.store.header import DAMAGED, part_is_whole, store_header
from radboost.data.store.parts import PARTS, Part, read_parts
from radboost.data.store.shard import COLUMNS, ID_DTYPE, map_shard, shard_spans
from radboost.errors import FormatError, UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EmbeddingStore"]

GATHERED = 1 << 14
"""Rows that are gathered at a time: more would hold as many small objects for nothing."""


@dataclass(frozen=True)
class EmbeddingStore:
    """Embeddings of crops, one row a crop and view, in the order of the shards.

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
    _maps: dict[int, dict[str, npt.NDArray[Any]]] = field(default_factory=dict, repr=False, compare=False)
    _pools: dict[str, list[npt.NDArray[np.floating]]] = field(default_factory=dict, repr=False, compare=False)
    _bytes: dict[str, list[memoryview]] = field(default_factory=dict, repr=False, compare=False)
    _sorted: dict[int, tuple[npt.NDArray[np.bytes_], npt.NDArray[np.int64]]] = field(
        default_factory=dict, repr=False, compare=False
    )

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
                aside = (folder / (part.name + DAMAGED)).exists()
                what = "was set aside as damaged" if aside else "is missing or cut off"
                do = f"Run `extract` again: it makes the shards anew that {PARTS} names and the disk lacks"
                raise FormatError(what, where=folder / part.name, do=do)
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

    def _mapped(self, shard: int, name: str) -> npt.NDArray[Any]:
        # Two threads may both map one shard; either map serves, so no lock is needed.
        arrays = self._maps.get(shard)
        if arrays is None:
            arrays = self._maps[shard] = self._map(shard)
        return arrays[name]

    def _map(self, shard: int) -> dict[str, npt.NDArray[Any]]:
        part, path = self.parts[shard], self.folder / self.parts[shard].name
        spans = shard_spans(path)
        for name in (*COLUMNS, *(f"embeddings/{pool}" for pool in self.pools)):
            rows = part.failed if name == "failed" else part.rows
            if name not in spans or spans[name].shape[0] != rows:
                raise FormatError(f"does not hold {name} as {PARTS} says", where=path)
        for pool in self.pools:
            span = spans[f"embeddings/{pool}"]
            if (span.dtype, span.shape[1:]) != (self.dtype, (self.width(pool),)):
                raise FormatError(
                    f"does not hold {pool} as the header says", where=path, got=f"{span.dtype} {span.shape}"
                )
        return map_shard(path, spans)

    def column(self, name: str) -> npt.NDArray[Any]:
        """Read a whole column.

        Parameters
        ----------
        name
            ``crop_id`` (32 bytes), ``view`` (0 is the clean one), ``reduce`` (wavelet levels dropped while decoding),
            each (rows,); or ``failed``, ids of crops that were tried and have no row.
        """
        if name not in COLUMNS:
            raise UserError("has no such column", where=self.folder, got=name, do=f"It has {', '.join(COLUMNS)}")
        lengths = [part.failed if name == "failed" else part.rows for part in self.parts]
        ends = np.cumsum(lengths, dtype=np.int64).tolist()
        out = np.empty(sum(lengths), COLUMNS[name])
        for k, end in enumerate(ends):
            out[end - lengths[k] : end] = self._mapped(k, name)
        return out

    @cached_property
    def _ids(self) -> npt.NDArray[np.bytes_]:
        return self.column("crop_id")

    def crop_ids(self) -> list[str]:
        """Crop ids of all rows, in row order; a crop of several views stands there once a view."""
        return _texts(self._ids)

    def failed_ids(self) -> list[str]:
        """Ids of crops that were tried and could not be embedded."""
        return _texts(self.column("failed"))

    def removed(self, crop_ids: Sequence[str]) -> list[str]:
        """Name the crops that the store knows, embedded or failed, and that are not among `crop_ids`.

        Given the crops of a cohort, these are the ones whose images were removed from it, or belong to another cohort.
        """
        known = np.unique(np.concatenate([self._ids, self.column("failed")]))
        return _texts(known[~np.isin(known, np.array([c.encode() for c in crop_ids], ID_DTYPE))])

    def rows_of(self, crop_ids: Sequence[str], view: int = 0) -> npt.NDArray[np.int64]:
        """Find the rows of crops in one view, -1 where the store has none."""
        # An over-long name must not be cut to one that is there.
        fits = np.array([len(c) <= ID_CHARACTERS for c in crop_ids], bool)
        wanted = np.array([c.encode() if ok else b"" for c, ok in zip(crop_ids, fits, strict=True)], ID_DTYPE)
        ids, rows = self._view(view)
        if len(ids) == 0 or len(wanted) == 0:
            return np.full(len(wanted), -1, np.int64)
        at = np.searchsorted(ids, wanted).clip(max=len(ids) - 1)
        return np.where(fits & (ids[at] == wanted), rows[at], -1)

    def _view(self, view: int) -> tuple[npt.NDArray[np.bytes_], npt.NDArray[np.int64]]:
        """Sorted crop ids of one view, and their rows."""
        if view not in self._sorted:
            rows = np.flatnonzero(self.column("view") == view).astype(np.int64)
            rows = rows[np.argsort(self._ids[rows], kind="stable")]
            self._sorted[view] = self._ids[rows], rows
        return self._sorted[view]

    def unit_rows(self, links: pd.DataFrame, view: int = 0) -> dict[str, npt.NDArray[np.int64]]:
        """Find the rows that each unit sees.

        Parameters
        ----------
        links
            `Cohort.links`, or those of its rows that matter: `unit`, `crop_id`, `slot`, `order`.
        view
            Which view of each crop.

        Returns
        -------
        dict
            Unit to row numbers, by slot and order within it. A unit of which the store has no crop is left out.
        """
        links = links.sort_values(["unit", "slot", "order", "crop_id"])
        rows = self.rows_of(links["crop_id"].tolist(), view)
        units = links["unit"].to_numpy()[rows >= 0]
        starts = np.flatnonzero(np.append(True, units[1:] != units[:-1])) if len(units) else np.empty(0, np.int64)
        cut = np.split(rows[rows >= 0], starts[1:])
        return {str(unit): part for unit, part in zip(units[starts], cut, strict=False)}

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
        if rows is None:
            whole = np.empty((len(self), width), dtype)
            for k, block in enumerate(self._blocks(pool)):
                whole[self._starts[k] : self._starts[k + 1]] = block
            return whole
        wanted = np.asarray(rows, np.int64)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= len(self)):
            msg = f"rows must lie in 0..{len(self) - 1}, got {wanted.min()}..{wanted.max()}"
            raise IndexError(msg)
        if len(wanted) <= GATHERED:
            return self._gathered(pool, wanted).astype(dtype, copy=False)
        out = np.empty((len(wanted), width), dtype)
        for low in range(0, len(wanted), GATHERED):
            out[low : low + GATHERED] = self._gathered(pool, wanted[low : low + GATHERED])
        return out

    def _gathered(self, pool: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
        """Copy rows out of the shards, in the dtype on disk.

        As runs of bytes, whatever the number of shards: joining slices of memory costs less a row than indexing arrays.
        """
        width = self.width(pool)
        step = width * self.dtype.itemsize
        # The last shard that begins there: shards without a row begin where the next one does.
        shard = np.searchsorted(self._starts, rows, side="right") - 1
        first = (rows - self._starts[shard]) * step
        runs = self._runs(pool)
        joined = bytearray().join(
            [runs[k][at : at + step] for k, at in zip(shard.tolist(), first.tolist(), strict=True)]
        )
        return np.frombuffer(joined, self.dtype).reshape(len(rows), width)

    def _runs(self, pool: str) -> list[memoryview]:
        """Bytes of each shard's embeddings."""
        if pool not in self._bytes:
            self._bytes[pool] = [block.reshape(-1).view(np.uint8).data for block in self._blocks(pool)]
        return self._bytes[pool]

    def _blocks(self, pool: str) -> list[npt.NDArray[np.floating]]:
        if pool not in self._pools:
            self._pools[pool] = [self._mapped(k, f"embeddings/{pool}") for k in range(len(self.parts))]
        return self._pools[pool]

    def batches(
        self, pool: str, size: int, seed: int, rows: npt.ArrayLike | None = None
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.floating]]]:
        """Yield random batches until every row was given once.

        Parameters
        ----------
        pool
            One of `pools`.
        size
            Rows a batch; the last may be smaller.
        seed
            Decides the order. Another seed an epoch gives another order.
        rows
            Of these row numbers; None for all.

        Yields
        ------
        tuple
            Row numbers (size,), and their embeddings (size, width), float32.
        """
        known = np.arange(len(self)) if rows is None else np.asarray(rows, np.int64)
        order = np.random.default_rng(seed).permutation(known)
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            yield batch, self.read(pool, batch)

    def blocks(self, pool: str) -> Iterator[npt.NDArray[np.floating]]:
        """Yield each shard's embeddings, mapped: (rows of the shard, width) in the dtype on disk."""
        self.width(pool)
        yield from self._blocks(pool)

    def verify(self) -> list[str]:
        """Read every byte and name the shards whose sha256 is no longer the one recorded; `verify_store` tells more."""
        return [part.name for part in self.parts if file_sha256(self.folder / part.name) != part.sha256]


def _texts(ids: npt.NDArray[np.bytes_]) -> list[str]:
    return ids.astype(f"U{ID_CHARACTERS}").tolist()  # type: ignore[no-any-return]
