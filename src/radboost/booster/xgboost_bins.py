"""XGBoost's quantised matrices: made once for all targets, seeds and settings of a fold, or once for all folds.

A fold's own matrices hold its training rows, and its inner validation rows in the same bins. Where nothing was fitted,
one matrix can serve all folds: rows that a fit must not see have weight 0 in it, which XGBoost leaves out of every sum.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from radboost.booster.objective import Loss
from radboost.booster.rows import FloatArray, Inner, IntArray, Matrix, Rows

__all__ = ["BINS", "Bins", "Labelled", "OwnBins", "SharedBins", "flat", "raw_margin"]

BINS = 64


class Labelled(Protocol):
    """Training and validation rows of one fit of one target."""

    train: xgb.QuantileDMatrix

    @property
    def matrices(self) -> list[xgb.QuantileDMatrix]:
        """All that the fit looks at."""

    def write(self) -> None:
        """Put the fit's labels, weights and start margins into the matrices, before each use."""

    def gradient(self, margin: FloatArray) -> tuple[Matrix, Matrix]:
        """First and second derivative of an objective that the library lacks, for each row of `train`."""

    def held_margin(self, model: xgb.Booster, rounds: int = 0) -> FloatArray:
        """Margin of the validation rows, after so many rounds (0: all)."""


class Bins(Protocol):
    """Where `Labelled` rows come from."""

    def split(self, number: int, rows: Rows, loss: Loss) -> Labelled:
        """Rows of an inner split."""

    def every(self, rows: Rows, loss: Loss) -> Labelled:
        """All training rows, with nothing held out."""


class OwnBins:
    """Matrices of one fold's training rows and of their inner splits."""

    def __init__(self, rows: Rows, inner: Inner) -> None:
        weight = rows.weight if rows.common is None else rows.common
        self._fold = inner.fold
        self._weight = weight
        self._whole: xgb.QuantileDMatrix | None = None
        self._splits = []
        for (train, held), x in zip(inner, inner.matrices(rows), strict=True):
            fitted = _matrix(x[train], weight[train])
            self._splits.append((train, fitted, held, _matrix(x[held], weight[held], fitted)))

    @classmethod
    def of(cls, rows: Rows, inner: Inner) -> OwnBins:
        """Give the bins of these rows, made once for all that share them."""
        found = rows.memo.get("xgboost")
        if not isinstance(found, cls) or found._fold is not inner.fold:
            found = rows.memo["xgboost"] = cls(rows, inner)
        return found

    def split(self, number: int, rows: Rows, loss: Loss) -> Labelled:
        """See `Bins`."""
        train, fitted, held, seen = self._splits[number]
        return _Own(rows, loss, (fitted, train), (seen, held))

    def every(self, rows: Rows, loss: Loss) -> Labelled:
        """See `Bins`."""
        if self._whole is None:
            self._whole = _matrix(rows.x, self._weight)
        return _Own(rows, loss, (self._whole, np.ones(len(rows), dtype=bool)), None)


Part = tuple[xgb.QuantileDMatrix, npt.NDArray[np.bool_]]


class _Own:
    """Rows in matrices of their own."""

    def __init__(self, rows: Rows, loss: Loss, train: Part, held: Part | None) -> None:
        self.train, self._held = train[0], held[0] if held else None
        self._rows, self._loss, self._mask = rows, loss, train[1]
        for matrix, mask in (train, held) if held else (train,):
            y = rows.y[mask]
            matrix.set_label(y)
            matrix.set_weight(loss.weights(y, rows.weight[mask]))
            matrix.set_base_margin(flat(np.tile(loss.start, (len(y), 1))))

    @property
    def matrices(self) -> list[xgb.QuantileDMatrix]:
        return [self.train] if self._held is None else [self.train, self._held]

    def write(self) -> None:
        """All that uses these matrices now, uses them for this target: they were written once."""

    def gradient(self, margin: FloatArray) -> tuple[Matrix, Matrix]:
        rows = self._rows
        return _gradient(self._loss, margin, rows.y[self._mask], rows.weight[self._mask])

    def held_margin(self, model: xgb.Booster, rounds: int = 0) -> FloatArray:
        return raw_margin(model, self.train if self._held is None else self._held, rounds)


class SharedBins:
    """One matrix of all rows, for all folds."""

    def __init__(self, rows: Rows, inner: Inner) -> None:
        whole = rows.whole
        if whole is None or rows.at is None:
            msg = "rows are of no whole"
            raise RuntimeError(msg)
        if "xgboost" not in whole.memo:
            whole.memo["xgboost"] = _matrix(whole.x, whole.common)
        self._matrix: xgb.QuantileDMatrix = whole.memo["xgboost"]
        self._at = rows.at
        self._splits = [(rows.at[train], rows.at[held]) for train, held in inner]

    @classmethod
    def of(cls, rows: Rows, inner: Inner) -> SharedBins:
        """Give the bins of the whole that these rows are of, made once; its lock is held."""
        return cls(rows, inner)

    def split(self, number: int, rows: Rows, loss: Loss) -> Labelled:
        """See `Bins`."""
        train, held = self._splits[number]
        return _Shared(self._matrix, rows, loss, train, held)

    def every(self, rows: Rows, loss: Loss) -> Labelled:
        """See `Bins`."""
        return _Shared(self._matrix, rows, loss, self._at, self._at[:0])


class _Shared:
    """Rows of one fit among all rows; the others have weight 0."""

    def __init__(self, matrix: xgb.QuantileDMatrix, rows: Rows, loss: Loss, train: IntArray, held: IntArray) -> None:
        self.train, self._loss, self._seen, self._held = matrix, loss, train, held
        count = matrix.num_row()
        label, weight = np.zeros(count, dtype=np.int64), np.zeros(count)
        label[rows.at], weight[rows.at] = rows.y, rows.weight
        self._y, self._plain = label[train], weight[train]
        self._label = label
        self._weight = np.zeros(count)
        self._weight[train] = loss.weights(self._y, self._plain)
        self._start = flat(np.tile(loss.start, (count, 1)))

    @property
    def matrices(self) -> list[xgb.QuantileDMatrix]:
        return [self.train]

    def write(self) -> None:
        self.train.set_label(self._label)
        self.train.set_weight(self._weight)
        self.train.set_base_margin(self._start)

    def gradient(self, margin: FloatArray) -> tuple[Matrix, Matrix]:
        first, second = (np.zeros(margin.shape, dtype=np.float32) for _ in range(2))
        first[self._seen], second[self._seen] = _gradient(self._loss, margin[self._seen], self._y, self._plain)
        return first, second

    def held_margin(self, model: xgb.Booster, rounds: int = 0) -> FloatArray:
        return raw_margin(model, self.train, rounds)[self._held]


def flat(margin: FloatArray) -> FloatArray:
    """Margins as the library wants them: (n,) for two classes."""
    return margin if margin.shape[1] > 1 else margin[:, 0]


def raw_margin(model: xgb.Booster, matrix: xgb.DMatrix, rounds: int = 0) -> FloatArray:
    """Margins (n, m) with the start margin, after so many rounds (0: all)."""
    raw = model.predict(matrix, output_margin=True, iteration_range=(0, rounds))
    return np.asarray(raw, dtype=np.float64).reshape(matrix.num_row(), -1)


def _matrix(x: Matrix, weight: FloatArray, reference: xgb.QuantileDMatrix | None = None) -> xgb.QuantileDMatrix:
    return xgb.QuantileDMatrix(x, weight=weight, max_bin=BINS, ref=reference, nthread=1)


def _gradient(loss: Loss, margin: FloatArray, y: IntArray, weight: FloatArray) -> tuple[Matrix, Matrix]:
    first, second = loss.gradient(margin, y, weight)
    # The library's own objective for several classes doubles the curvature.
    factor = 2.0 if margin.shape[1] > 1 else 1.0
    return first.astype(np.float32), (factor * second).astype(np.float32)
