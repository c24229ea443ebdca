"""What the metrics let in: probabilities, labels and weights as checked arrays."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.errors import TableError, offenders

__all__ = ["FloatArray", "IntArray", "binary", "classes", "probabilities", "weights"]

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

SUM_TOLERANCE = 1e-3
"""How far a multi-class row may be from summing to one before it is refused; nearer rows are divided by their sum."""


def weights(weight: npt.ArrayLike | None, n: int) -> FloatArray:
    """Weights of shape (n,) as floats, ones when absent; refused unless finite and not negative."""
    if weight is None:
        return np.ones(n)
    w = np.asarray(weight, dtype=np.float64)
    if w.shape != (n,):
        raise TableError("there must be one weight a row", where="weight", got=f"shape {w.shape} for {n} rows")
    bad = w[~(np.isfinite(w) & (w >= 0))]
    if bad.size:
        raise TableError("weights must be finite and not negative", where="weight", got=offenders(bad.tolist()))
    return w


def binary(
    y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Labels 0 or 1, finite scores and weights, each of shape (n,), as floats; anything else is refused."""
    score = np.asarray(p, dtype=np.float64)
    if score.ndim != 1:
        raise TableError("this metric takes one score a row", where="p", got=f"shape {score.shape}")
    bad = score[~np.isfinite(score)]
    if bad.size:
        raise TableError("scores must be finite", where="p", got=offenders(bad.tolist()))
    return classes(y, score).astype(np.float64), score, weights(weight, score.size)


def probabilities(values: npt.ArrayLike) -> FloatArray:
    """Probabilities of shape (n,) or (n, K) as floats; multi-class rows are made to sum to one exactly."""
    p = np.asarray(values, dtype=np.float64)
    if p.ndim not in (1, 2) or (p.ndim == 2 and p.shape[1] < 2):
        raise TableError("probabilities must be (n,) or (n, classes)", where="p", got=f"shape {p.shape}")
    bad = p[~((p >= 0) & (p <= 1))]
    if bad.size:
        raise TableError("probabilities must lie in [0, 1]", where="p", got=offenders(bad.tolist()))
    if p.ndim == 2:
        total = p.sum(axis=1)
        bad = total[np.abs(total - 1) > SUM_TOLERANCE]
        if bad.size:
            raise TableError("the classes' probabilities must sum to 1", where="p", got=offenders(bad.tolist()))
        p = p / total[:, None]
    return p


def classes(y: npt.ArrayLike, p: FloatArray) -> IntArray:
    """Labels of shape (n,) as class indices that `p` of shape (n,) or (n, K) has."""
    truth = np.asarray(y)
    if truth.shape != p.shape[:1]:
        raise TableError("there must be one label a row", where="y", got=f"shape {truth.shape} for {len(p)} rows")
    top = 1 if p.ndim == 1 else p.shape[1] - 1
    bad = truth[~np.isin(truth, np.arange(top + 1))]
    if bad.size:
        raise TableError(f"labels must be whole numbers from 0 to {top}", where="y", got=offenders(bad.tolist()))
    return truth.astype(np.int64)
