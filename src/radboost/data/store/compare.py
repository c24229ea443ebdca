"""What two stores have in common, and how far apart their embeddings lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from radboost.data.store.fingerprint import differing
from radboost.data.store.reader import EmbeddingStore

__all__ = ["Comparison", "PoolDifference", "compare_stores"]

CHUNK = 4096


@dataclass(frozen=True)
class PoolDifference:
    """How far apart the embeddings of the common rows lie.

    Attributes
    ----------
    largest
        Largest absolute difference of one number.
    cosine_least, cosine_mean
        Of the rows; two rows of zeros have cosine 1.
    equal
        Rows that agree in every bit.
    """

    largest: float
    cosine_least: float
    cosine_mean: float
    equal: int


@dataclass(frozen=True)
class Comparison:
    """What `compare_stores` found.

    Attributes
    ----------
    fields
        Fields of the fingerprint that differ, to (of the first, of the second).
    same_key
        Whether both name the same key; None where one names none. Under two keys no crop can be recognised.
    only_first, only_second, common
        Rows, a row being one crop in one view.
    pools
        Of the common rows, by pool that both have in the same width; empty without common rows.
    """

    fields: Mapping[str, tuple[object, object]]
    same_key: bool | None
    only_first: int
    only_second: int
    common: int
    pools: Mapping[str, PoolDifference] = field(default_factory=dict)


def compare_stores(first: EmbeddingStore, second: EmbeddingStore) -> Comparison:
    """Compare two stores row by row, a few thousand rows at a time."""
    left, right = _common(first, second)
    keys = first.header.get("key_id"), second.header.get("key_id")
    pools = {}
    if len(left):
        both = [p for p in first.pools if p in second.pools and first.width(p) == second.width(p)]
        pools = {pool: _apart(pool, (first, left), (second, right)) for pool in both}
    return Comparison(
        differing(first.fingerprint, second.fingerprint),
        None if None in keys else keys[0] == keys[1],
        len(first) - len(left),
        len(second) - len(right),
        len(left),
        pools,
    )


def _common(first: EmbeddingStore, second: EmbeddingStore) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows that hold the same crop in the same view, in the order of the first store."""
    ids, views = first.crop_ids(), first.column("view")
    found = np.full(len(first), -1, np.int64)
    for view in np.unique(views):
        rows = np.flatnonzero(views == view)
        found[rows] = second.rows_of([ids[row] for row in rows], int(view))
    here = np.flatnonzero(found >= 0).astype(np.int64)
    return here, found[here]


def _apart(
    pool: str,
    first: tuple[EmbeddingStore, npt.NDArray[np.int64]],
    second: tuple[EmbeddingStore, npt.NDArray[np.int64]],
) -> PoolDifference:
    largest, least, total, equal = 0.0, 1.0, 0.0, 0
    n = len(first[1])
    for start in range(0, n, CHUNK):
        a, b = (store.read(pool, rows[start : start + CHUNK], np.float64) for store, rows in (first, second))
        largest = max(largest, float(np.abs(a - b).max(initial=0.0)))
        cosine = _cosine(a, b)
        least, total = min(least, float(cosine.min())), total + float(cosine.sum())
        equal += int((a == b).all(axis=1).sum())
    return PoolDifference(largest, least, total / n, equal)


def _cosine(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    dots = np.einsum("ij,ij->i", a, b)
    cosine = np.divide(dots, lengths, out=np.zeros(len(a)), where=lengths > 0).clip(-1.0, 1.0)
    # Without a direction only equality can be told.
    cosine[(a == b).all(axis=1)] = 1.0
    return np.asarray(cosine, np.float64)
