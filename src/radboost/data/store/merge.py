"""Unite stores that were made alike, shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from radboost.data.folder import new_folder, refuse_existing
from radboost.data.store.fingerprint import differing, refuse_difference
from radboost.data.store.header import KIND
from radboost.data.store.parts import Part
from radboost.data.store.reader import EmbeddingStore
from radboost.data.store.shard import ID_DTYPE, Rows, read_rows
from radboost.data.store.writer import StoreWriter
from radboost.errors import MismatchError, UserError, offenders

__all__ = ["Merged", "merge_stores"]

Ids = npt.NDArray[np.bytes_]


@dataclass(frozen=True)
class Merged:
    """What `merge_stores` wrote.

    Attributes
    ----------
    store
        The new store, open.
    repeated
        Rows that several stores hold and that were kept once.
    copied
        Shards taken over byte for byte; the others lost rows that an earlier store holds.
    """

    store: EmbeddingStore
    repeated: int
    copied: int


def merge_stores(stores: Sequence[EmbeddingStore], out: Path, *, overwrite: bool = False) -> Merged:
    """Write one store that holds every crop of several.

    A shard of crops that no earlier store holds is copied as it is, with its sha256, device and versions. One shard is
    in memory at a time.

    Parameters
    ----------
    stores
        Two or more, of one fingerprint and one key.
    out, overwrite
        Where it is written, and whether a store there is replaced.

    Raises
    ------
    UserError
        Fewer than two stores were given.
    MismatchError
        They differ in fingerprint (the fields are named), in key, or in the embedding of a crop that both hold.
    FormatError
        A shard is missing or damaged.
    ExistsError
        `out` is there and `overwrite` is off.
    """
    if len(stores) < 2:
        raise UserError("a merge needs two stores or more", got=len(stores))
    refuse_existing(out, KIND, overwrite)
    _refuse_unlike(stores)
    first = stores[0].header
    content = {name: first[name] for name in ("fingerprint", "config", "pools", "dtype", "rows_per_shard", "key_id")}
    cohorts = list(dict.fromkeys(str(s.header.get("cohort", "")) for s in stores))
    # A failure in one store is none where another has the crop.
    embedded = np.unique(np.concatenate([s.column("crop_id") for s in stores]))
    held = tried = np.empty(0, ID_DTYPE)
    repeated = copied = 0
    with new_folder(out, KIND, overwrite=overwrite) as folder:
        writer = StoreWriter.create(folder, {**content, "cohort": cohorts[0], "cohorts": cohorts})
        for number, store in enumerate(stores):
            for part in store.parts:
                rows = read_rows(store.folder / part.name)
                known = _among(rows.crop_ids, held)
                _refuse_other_values(stores[:number], rows, known)
                repeated += int(known.sum())
                failed = ~_among(rows.failed, tried) & ~_among(rows.failed, embedded)
                copied += _put(writer, store.folder / part.name, part, rows.take(~known, failed))
            # A crop's views stay together: what an earlier store holds of a crop is all that is kept.
            held = np.union1d(held, store.column("crop_id"))
            tried = np.union1d(tried, store.column("failed"))
    return Merged(EmbeddingStore.open(out), repeated, copied)


def _refuse_unlike(stores: Sequence[EmbeddingStore]) -> None:
    for other in stores[1:]:
        refuse_difference(stores[0].fingerprint, other.fingerprint, other.folder)
        made = ("pools", "dtype")
        fields = differing({n: stores[0].header[n] for n in made}, {n: other.header[n] for n in made})
        if fields:
            raise MismatchError("holds other columns", where=other.folder, got=offenders(list(fields)))
    keys = [store.header.get("key_id") for store in stores]
    if None in keys:
        where = stores[keys.index(None)].folder
        raise MismatchError("does not say under which key its crops are named", where=where, do="Extract it anew")
    if len(set(keys)) > 1:
        do = "Their crops cannot be told apart or matched: index with `--key` of one cohort and extract anew"
        raise MismatchError("the stores were made under different keys", got=len(set(keys)), do=do)


def _among(ids: Ids, names: Ids) -> npt.NDArray[np.bool_]:
    """Mask of the ids that stand in a sorted list."""
    if not len(names):
        return np.zeros(len(ids), bool)
    return np.asarray(names[np.searchsorted(names, ids).clip(max=len(names) - 1)] == ids)


def _refuse_other_values(earlier: Sequence[EmbeddingStore], rows: Rows, known: npt.NDArray[np.bool_]) -> None:
    """Raise MismatchError where a crop has another embedding than in an earlier store."""
    views = np.zeros(len(known), np.uint8) if rows.views is None else rows.views
    for store in earlier:
        for view in np.unique(views[known]):
            at = np.flatnonzero(known & (views == view))
            names = [i.decode() for i in rows.crop_ids[at]]
            there = store.rows_of(names, int(view))
            at, there = at[there >= 0], there[there >= 0]
            for pool, values in rows.embeddings.items():
                old, new = store.read(pool, there), values[at].astype(np.float32)
                other = np.flatnonzero((old != new).any(axis=1))
                if len(other):
                    got = f"{len(other)} rows, apart by up to {float(np.abs(old - new).max()):.3g} in {pool}"
                    do = "`radboost store diff` tells more; a damaged one is found by `radboost store verify`"
                    raise MismatchError("holds crops with another embedding", where=store.folder, got=got, do=do)


def _put(writer: StoreWriter, path: Path, part: Part, rows: Rows) -> bool:
    """Take over a shard, or what is left of it; tell whether it was taken over whole."""
    if len(rows.crop_ids) == part.rows and len(rows.failed) == part.failed:
        writer.adopt(path, part)
        return True
    if len(rows.crop_ids) or len(rows.failed):
        writer.add(rows, part.device, part.versions)
    return False
