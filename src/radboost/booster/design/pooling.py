"""Crops of one unit and slot as one vector, made where they are needed and not before.

Most slots hold one crop: its vector is read from the store each time it is asked for, so that nothing is held twice.
Only where several crops are pooled is the result kept, once for all units that see these very crops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.booster.design.matrix import Store
from radboost.booster.rows import IntArray, Matrix
from radboost.data.features import best_of
from radboost.errors import FormatError

__all__ = ["Crops", "Pooled", "distinct_crops", "pool_crops"]

NUMBERS_AT_ONCE = 1 << 19
"""Of the crops that are looked at together."""

Sets: TypeAlias = Sequence[IntArray]


@dataclass(frozen=True)
class Crops:
    """Distinct sets of crops, each that of some unit in some slot.

    Attributes
    ----------
    code
        Shape (sets,): the store's row where the set is one crop; else ``-1 - k`` for the k-th of `several`.
    several
        Rows of the store, for each set of two or more.
    """

    code: IntArray
    several: tuple[IntArray, ...]


@dataclass(frozen=True)
class Pooled:
    """Vectors of sets of crops under one statistic.

    Attributes
    ----------
    store, pool
        Where single crops are read from.
    code
        As in `Crops`.
    several
        Shape (k, width): pooled vectors of the sets of two or more.
    spread
        Whether the statistic is a spread, which is 0 for one crop.
    """

    store: Store
    pool: str
    code: IntArray
    several: Matrix
    spread: bool

    def read(self, sets: IntArray) -> Matrix:
        """Vectors of some sets, (len(sets), width)."""
        code = self.code[sets]
        single = code >= 0
        if single.all() and not self.spread:
            return np.asarray(self.store.read(self.pool, code), dtype=np.float32)
        out = np.zeros((len(sets), self.several.shape[1]), dtype=np.float32)
        out[~single] = self.several[-1 - code[~single]]
        if single.any() and not self.spread:
            out[single] = self.store.read(self.pool, code[single])
        return out


def distinct_crops(at: IntArray, starts: IntArray) -> tuple[Crops, IntArray]:
    """Find the distinct ones among sets of rows.

    Parameters
    ----------
    at
        Shape (n,): rows of the store, set after set.
    starts
        Where each set starts, rising; none is empty.

    Returns
    -------
    crops, number
        The distinct sets, and for each given set, (len(starts),), which one it is.
    """
    counts = np.diff(np.append(starts, len(at)))
    code = at[starts].astype(np.int64)
    known: dict[bytes, int] = {}
    several: list[IntArray] = []
    for number in np.flatnonzero(counts > 1):
        rows = at[starts[number] : starts[number] + counts[number]]
        place = known.setdefault(rows.tobytes(), len(several))
        if place == len(several):
            several.append(rows)
        code[number] = -1 - place
    distinct, which = np.unique(code, return_inverse=True)
    return Crops(distinct, tuple(several)), which.astype(np.int64)


def pool_crops(store: Store, pool: str, crops: Crops, statistics: Sequence[str]) -> dict[str, Pooled]:
    """Pool each set of crops by each statistic; see `radboost.data.features.Slots` for what they are.

    Raises
    ------
    FormatError
        The store holds values that are not finite.
    """
    single, portion = crops.code[crops.code >= 0], max(1, NUMBERS_AT_ONCE // store.width(pool))
    for start in range(0, len(single), portion):
        _read(store, pool, single[start : start + portion])
    several = {name: np.empty((len(crops.several), store.width(pool)), dtype=np.float32) for name in statistics}
    for low, high in _portions(crops.several, portion):
        sets = crops.several[low:high]
        values = _read(store, pool, np.concatenate(sets))
        for name, pooled in _pooled(values, [len(s) for s in sets], statistics).items():
            several[name][low:high] = pooled
    return {name: Pooled(store, pool, crops.code, several[name], name == "std") for name in statistics}


def _read(store: Store, pool: str, rows: IntArray) -> Matrix:
    values = np.asarray(store.read(pool, rows), dtype=np.float32)
    if not np.isfinite(values).all():
        do = "Verify the store and extract it anew"
        raise FormatError("a store holds values that are not finite", got=store.fingerprint_hash[:8], do=do)
    return values


def _portions(sets: Sets, portion: int) -> Iterator[tuple[int, int]]:
    """Runs of whole sets, so that a pooled vector does not depend on its neighbours."""
    low, crops = 0, 0
    for number, rows in enumerate(sets):
        if crops and crops + len(rows) > portion:
            yield low, number
            low, crops = number, 0
        crops += len(rows)
    if crops:
        yield low, len(sets)


def _pooled(values: Matrix, counts: Sequence[int], statistics: Sequence[str]) -> Mapping[str, Matrix]:
    """Each statistic of runs of rows, (runs, width)."""
    size = np.asarray(counts)
    starts = np.cumsum(size) - size
    share = size[:, None].astype(np.float32)
    mean = np.asarray(np.add.reduceat(values, starts, axis=0) / share, dtype=np.float32)
    out: dict[str, Matrix] = {}
    for name in statistics:
        if name == "mean":
            out[name] = mean
        elif name == "max":
            out[name] = np.maximum.reduceat(values, starts, axis=0)
        elif name == "std":
            squares: Matrix = np.square(values - np.repeat(mean, size, axis=0))
            out[name] = np.sqrt(np.add.reduceat(squares, starts, axis=0) / share)
        else:
            out[name] = _best(values, starts, size, best_of(name))
    return out


def _best(values: Matrix, starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], k: int) -> Matrix:
    out = np.empty((len(starts), values.shape[1]), dtype=np.float32)
    for number, (start, count) in enumerate(zip(starts.tolist(), counts.tolist(), strict=True)):
        rows = values[start : start + count]
        # By value, so that the order of the crops changes nothing.
        out[number] = np.sort(rows, axis=0)[max(0, count - k) :].mean(axis=0)
    return out
