"""Images that stand in two folds under two names: identical pixels, or nearly identical ones.

Stage two has no pixels, so it compares embeddings: the same pixels give the same vector bit for bit, and a copy that
was compressed, padded or saved anew gives nearly the same one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import scipy.linalg
from scipy.spatial import KDTree

from radboost.booster.rows import FloatArray, IntArray, Matrix

__all__ = ["COSINE", "LENGTH", "Readable", "alike"]

COSINE = 0.9999
"""Two embeddings are nearly identical above this cosine, taken after the mean of all was subtracted ..."""

LENGTH = 0.01
"""... while their lengths differ by no more than this share ..."""

LEVELLED = 0.999
"""... and above this cosine once the strongest directions are levelled: where a network, such as one with random
weights, tells images apart by little else than their brightness, unrelated ones are near along that one direction."""

LEVELS = 16
ROWS_A_LEVEL = 8
"""The strongest directions are brought down to the spread of the sixteenth; fewer where there are few rows."""

PROJECTED = 64
LEAST_WIDTH = 8
"""With fewer columns, unrelated images look alike by chance; only identical rows are looked for."""

SAMPLE = 1024
READ_AT_ONCE = 4096
ASK_AT_ONCE = 256
ENOUGH = 100
"""Pairs after which no more are looked for; a refusal names the first few only."""

Pairs = list[tuple[int, int]]


class Readable(Protocol):
    """What is asked of a store."""

    def read(self, pool: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.floating[Any]]:
        """Embeddings of the rows, (rows, width)."""


def alike(store: Readable, pool: str, rows: IntArray, side: IntArray) -> tuple[Pairs, Pairs]:
    """Find pairs of rows on different sides that are identical, and pairs that are nearly so.

    No pair is missed while fewer than `ENOUGH` are found: the projection on `PROJECTED` orthonormal directions shortens
    no distance to more than it was, so whoever is near in full is near there too, and each candidate is then compared
    in full. Holds ``rows x 65`` numbers of 8 bytes and a few thousand embeddings at a time.

    Parameters
    ----------
    store, pool
        Where the embeddings lie.
    rows
        Shape (n,): rows of the store, one a crop, none twice.
    side
        Shape (n,): number of the fold or split that sees the crop.

    Returns
    -------
    identical, near
        Positions in `rows`, the smaller one first; each sorted.
    """
    if not len(rows):
        return [], []
    first, identical = _identical(store, pool, rows, side)
    vectors = np.asarray(store.read(pool, rows[:1]), dtype=np.float32)
    if vectors.shape[1] < LEAST_WIDTH or len(np.unique(side)) < 2:
        return identical, []
    return identical, _near(_Centred(store, pool, rows[first]), side[first], first)


def _identical(store: Readable, pool: str, rows: IntArray, side: IntArray) -> tuple[IntArray, Pairs]:
    """Positions of the first of each set of equal rows, and pairs of equal rows on different sides."""
    seen: dict[bytes, int] = {}
    first: list[int] = []
    pairs: Pairs = []
    for start, x in _blocks(store, pool, rows):
        for at, row in enumerate(x, start):
            # Adding 0 makes -0 and 0 one.
            earlier = seen.setdefault(hashlib.blake2b((row + 0.0).tobytes(), digest_size=16).digest(), at)
            if earlier == at:
                first.append(at)
            elif side[earlier] != side[at] and len(pairs) < ENOUGH:
                pairs.append((earlier, at))
    return np.asarray(first, dtype=np.int64), pairs


class _Centred:
    """Distinct rows, centred when they are read."""

    def __init__(self, store: Readable, pool: str, rows: IntArray) -> None:
        self.store, self.pool, self.rows = store, pool, rows
        total = sum(x.sum(axis=0, dtype=np.float64) for _, x in _blocks(store, pool, rows))
        self.mean: FloatArray = np.asarray(total / len(rows), dtype=np.float64)

    def read(self, at: IntArray) -> FloatArray:
        return np.asarray(self.store.read(self.pool, self.rows[at]), dtype=np.float64) - self.mean

    @cached_property
    def directions(self) -> tuple[FloatArray, FloatArray]:
        """Orthonormal directions (width, few) along which a sample varies most, and what levelling multiplies them by.

        The factors (few,) are at most 1, so that levelling blows up no rounding noise.
        """
        spread = np.unique(np.linspace(0, len(self.rows) - 1, SAMPLE).astype(np.int64))
        x = self.read(spread)
        _, sizes, directions = scipy.linalg.svd(x, full_matrices=False)
        few, level = min(PROJECTED, len(sizes)), min(LEVELS, max(1, len(x) // ROWS_A_LEVEL), len(sizes)) - 1
        factors = np.minimum(1.0, sizes[level] / np.maximum(sizes[:few], np.finfo(np.float64).tiny))
        return np.asarray(directions[:few].T), np.asarray(factors)

    def levelled(self, x: FloatArray) -> FloatArray:
        """Vectors with their strongest directions brought down."""
        directions, factors = self.directions
        return np.asarray(x - (x @ directions * (1.0 - factors)) @ directions.T)

    def projected(self) -> tuple[FloatArray, FloatArray]:
        """Levelled unit vectors on the directions (n, few), and logarithms of the lengths before levelling (n,)."""
        directions, _ = self.directions
        points, lengths = np.empty((len(self.rows), directions.shape[1])), np.empty(len(self.rows))
        for start in range(0, len(self.rows), READ_AT_ONCE):
            part = np.arange(start, min(start + READ_AT_ONCE, len(self.rows)))
            x = self.read(part)
            level = self.levelled(x)
            points[part] = level @ directions / _sizes(level)[:, None]
            lengths[part] = np.log(_sizes(x))
        return points, lengths


def _near(rows: _Centred, side: IntArray, names: IntArray) -> Pairs:
    points, lengths = rows.projected()
    # Unit vectors of this cosine are so far apart; the length is one more coordinate.
    apart, longer = np.sqrt(2 - 2 * LEVELLED), -np.log1p(-LENGTH)
    places = np.column_stack([points, lengths])
    tree, reach = KDTree(places), float(np.hypot(apart, longer)) * (1 + 1e-9)
    found: Pairs = []
    for start in range(0, len(places), ASK_AT_ONCE):
        part = places[start : start + ASK_AT_ONCE]
        for at, others in enumerate(tree.query_ball_point(part, reach, return_sorted=True), start):
            other = np.asarray(others, dtype=np.int64)
            other = other[(other > at) & (side[other] != side[at]) & (np.abs(lengths[other] - lengths[at]) <= longer)]
            for chosen in np.array_split(other, max(1, -(-len(other) // READ_AT_ONCE))):
                found += [(at, int(b)) for b in chosen[_near_in_full(rows, at, chosen)]]
        if len(found) >= ENOUGH:
            break
    return sorted((int(min(names[a], names[b])), int(max(names[a], names[b]))) for a, b in found)


def _near_in_full(rows: _Centred, at: int, others: IntArray) -> npt.NDArray[np.bool_]:
    if not len(others):
        return np.empty(0, dtype=bool)
    one, many = rows.read(np.array([at])), rows.read(others)
    plain = _cosines(many, one) > COSINE
    return np.asarray(plain & (_cosines(rows.levelled(many), rows.levelled(one)) > LEVELLED))


def _cosines(many: FloatArray, one: FloatArray) -> FloatArray:
    return np.asarray((many @ one[0]) / (_sizes(many) * _sizes(one)))


def _sizes(x: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(np.linalg.norm(x, axis=1), np.finfo(np.float64).tiny))


def _blocks(store: Readable, pool: str, rows: IntArray) -> Iterator[tuple[int, Matrix]]:
    for start in range(0, len(rows), READ_AT_ONCE):
        yield start, np.asarray(store.read(pool, rows[start : start + READ_AT_ONCE]), dtype=np.float32)
