"""A block's matrix that is not held: rows are made when they are asked for, from vectors that units share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from radboost.booster.rows import IntArray, Matrix

__all__ = ["ROWS_AT_ONCE", "Gathered", "Stacked", "Vectors"]

ROWS_AT_ONCE = 1024


class Vectors(Protocol):
    """Vectors by number."""

    def read(self, sets: IntArray) -> Matrix:
        """Some of them, (len(sets), width)."""


@dataclass(frozen=True)
class Gathered:
    """Rows whose parts are means of vectors, or one mean minus another; zeros where either has no vector.

    It may be indexed by a slice or by an array of positions, which gives that part as an array; `numpy.asarray` gives
    the whole. What a row holds does not depend on the rows asked for beside it.

    Attributes
    ----------
    vectors
        Where vectors are read from.
    width
        Length of a vector.
    plus
        Shape (n, parts, k): numbers of the vectors of each part, -1 for none.
    minus
        Shape (n, parts, m): numbers of those whose mean is taken away; m is 0 where nothing is.
    """

    vectors: Vectors
    width: int
    plus: IntArray
    minus: IntArray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.plus), self.plus.shape[1] * self.width

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Whether a row has a part, (n, parts)."""
        there = np.asarray((self.plus >= 0).any(axis=2))
        return there & np.asarray((self.minus >= 0).any(axis=2)) if self.minus.shape[2] else there

    def __len__(self) -> int:
        return len(self.plus)

    def take(self, rows: npt.NDArray[np.generic]) -> Gathered:
        """Cut to `rows` (positions or a mask); no vector is read or copied."""
        return replace(self, plus=self.plus[rows], minus=self.minus[rows])

    def __getitem__(self, rows: slice | npt.NDArray[np.generic]) -> Matrix:
        cut = replace(self, plus=self.plus[rows], minus=self.minus[rows])
        out = np.empty(cut.shape, dtype=np.float32)
        for start in range(0, len(out), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            replace(cut, plus=cut.plus[part], minus=cut.minus[part])._fill(out[part])
        return out

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[:].astype(np.float32 if dtype is None else dtype, copy=False)

    def copy(self) -> Matrix:
        """Give the whole as an array."""
        return self[:]

    def _fill(self, out: Matrix) -> None:
        present = self.present
        used = [sets[present] for sets in (self.plus, self.minus)]
        # Neighbours and sides share vectors: each is read once.
        numbers, at = np.unique(np.concatenate([u.ravel() for u in used]), return_inverse=True)
        hole = int(len(numbers) and numbers[0] < 0)
        vectors = self.vectors.read(numbers[hole:])
        places = (at - hole).reshape(-1)
        cut = used[0].size
        values = _mean(vectors, places[:cut].reshape(used[0].shape))
        if self.minus.shape[2]:
            values -= _mean(vectors, places[cut:].reshape(used[1].shape))
        parts = out.reshape(len(out), self.plus.shape[1], self.width)
        parts[~present] = 0.0
        parts[present] = values


@dataclass(frozen=True)
class Stacked:
    """Matrices below one another, none of them copied; indexed as `Gathered` is.

    Attributes
    ----------
    parts
        The matrices, of the same columns.
    at
        Shape (n,): rows of the parts, counted through.
    """

    parts: tuple[Matrix | Gathered | Stacked, ...]
    at: IntArray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.at), self.parts[0].shape[1]

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: npt.NDArray[np.generic]) -> Stacked:
        """Cut to `rows` (positions or a mask)."""
        return replace(self, at=self.at[rows])

    def __getitem__(self, rows: slice | npt.NDArray[np.generic]) -> Matrix:
        at = self.at[rows]
        out = np.empty((len(at), self.shape[1]), dtype=np.float32)
        low = 0
        for part in self.parts:
            here = np.flatnonzero((at >= low) & (at < low + len(part)))
            if len(here):
                out[here] = part[at[here] - low]
            low += len(part)
        return out

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[:].astype(np.float32 if dtype is None else dtype, copy=False)


def _mean(vectors: Matrix, places: IntArray) -> Matrix:
    """Mean of some vectors a row, (rows, width); -1 names none."""
    if places.shape[1] == 1:
        return vectors[places[:, 0]]
    total = np.zeros((len(places), vectors.shape[1]), dtype=np.float32)
    for column in places.T:
        there = column >= 0
        total[there] += vectors[column[there]]
    total /= (places >= 0).sum(axis=1)[:, None].astype(np.float32)
    return total
