"""An elastic-net path beside the ridge: most columns left out, where few of many tell something.

Minimises the weighted mean log loss of two classes plus ``strength * (ratio * |b| + (1 - ratio) / 2 * b^2)``, by
Newton's method whose steps are scikit-learn's coordinate descent, each strength beginning where the stronger one ended.
The number of fits is bounded: `RATIOS` x `STEPS` strengths a split, and only where a step is cheap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import ElasticNet

from radboost.booster.rows import FloatArray, IntArray

__all__ = ["RATIOS", "Sparse", "Weighted", "elastic_path", "pays", "strengths_from"]

RATIOS = (1.0, 0.5)
"""Shares of the penalty that leave columns out."""
STEPS, SPAN = 8, 0.02
"""Strengths of a path, from the one that leaves out every column down to this share of it."""
LEAST_COLUMNS = 16
"""Fewer columns can all be kept; the ridge does."""
MOST_WORK = 3e8
"""Rows x columns^2 from which on a path costs more than it has been seen to gain."""
NEWTON_STEPS, HALVINGS = 20, 8
FLOOR = 1e-5


@dataclass(frozen=True)
class Sparse:
    """A point of the path: ratio and strength."""

    ratio: float
    strength: float


@dataclass(frozen=True)
class Weighted:
    """Rows of two classes: columns (n, d) in 64 bits, labels (n,), weights (n,) that sum to 1."""

    x: FloatArray
    y: IntArray
    weight: FloatArray

    def loss(self, coefficients: FloatArray, intercept: float) -> float:
        """Weighted mean log loss."""
        margin = self.x @ coefficients + intercept
        return float(self.weight @ (np.logaddexp(0, margin) - self.y * margin))


def pays(rows: int, columns: int) -> bool:
    """Whether a path can gain anything at a bearable cost."""
    return columns >= LEAST_COLUMNS and rows * columns**2 <= MOST_WORK


def strengths_from(rows: Weighted, ratio: float) -> list[float]:
    """Strengths of a path, strong first; empty where no column tells anything."""
    rate = float(rows.weight @ rows.y)
    largest = float(np.abs(rows.x.T @ (rows.weight * (rows.y - rate))).max()) / ratio
    return list(largest * np.geomspace(1, SPAN, STEPS)) if largest > 1e-9 else []


def elastic_path(
    rows: Weighted, ratio: float, strengths: Sequence[float], tolerance: float
) -> Iterator[tuple[FloatArray, float]]:
    """Yield coefficients (d,) and intercept for each strength.

    Parameters
    ----------
    rows
        Both classes are there.
    ratio, strengths
        Of the penalty.
    tolerance
        Largest last change of a coefficient, in units of a column's.
    """
    rate = float(rows.weight @ rows.y)
    b, offset = np.zeros(rows.x.shape[1]), float(np.log(rate / (1 - rate)))
    for strength in strengths:
        value = rows.loss(b, offset) + _penalty(b, ratio, strength)
        for _ in range(NEWTON_STEPS):
            wanted, shift = _newton(rows, b, offset, Sparse(ratio, strength), tolerance)
            step = 1.0
            for _ in range(HALVINGS):
                trial, moved = b + step * (wanted - b), offset + step * (shift - offset)
                reached = rows.loss(trial, moved) + _penalty(trial, ratio, strength)
                if reached <= value + 1e-15:
                    break
                step /= 2
            else:
                break
            change = float(max(np.abs(trial - b).max(), abs(moved - offset)))
            b, offset, value = trial, moved, reached
            if change < tolerance:
                break
        yield b.copy(), offset


def _newton(rows: Weighted, b: FloatArray, offset: float, at: Sparse, tolerance: float) -> tuple[FloatArray, float]:
    """Minimum of the penalised quadratic approximation."""
    margin = rows.x @ b + offset
    p = 0.5 * (1 + np.tanh(0.5 * margin))
    curvature = rows.weight * np.maximum(p * (1 - p), FLOOR)
    response = margin + rows.weight * (rows.y - p) / curvature
    # The library's loss is half the weighted mean of squares.
    alpha, gram = at.strength / float(curvature.sum()), len(rows.y) > rows.x.shape[1]
    model = ElasticNet(
        alpha=alpha, l1_ratio=at.ratio, precompute=gram, warm_start=True, tol=tolerance**2, max_iter=100_000
    )
    model.coef_ = b.copy()
    model.fit(rows.x, response, sample_weight=curvature)
    return np.asarray(model.coef_, dtype=np.float64), float(model.intercept_)


def _penalty(b: FloatArray, ratio: float, strength: float) -> float:
    return strength * (ratio * float(np.abs(b).sum()) + (1 - ratio) / 2 * float(b @ b))
