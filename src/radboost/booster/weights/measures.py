"""What weights cost and what they bring: effective sample size, and how alike two cohorts are column by column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from radboost.booster.rows import FloatArray
from radboost.booster.weights.covariates import Column, Sample
from radboost.data.metadata import MISSING

__all__ = ["ColumnBalance", "column_balance", "ess_share", "flattening"]


@dataclass(frozen=True)
class ColumnBalance:
    """How far the source lies from the target in one column, before and after weighting.

    Attributes
    ----------
    name
        The column.
    smd
        Standardised mean difference, source minus target over the pooled deviation of both *before* weighting; of a
        categorical column the one, over its categories, of the largest size before or after.
    ks
        Kolmogorov-Smirnov distance, 0 to 1; of a categorical column the largest difference of a category's share.
    """

    name: str
    smd: tuple[float, float]
    ks: tuple[float, float]


def ess_share(weight: FloatArray, base: FloatArray) -> float:
    """Kish's effective sample size as a share of all rows: (sum of b w)^2 / (sum of b x sum of b w^2).

    Parameters
    ----------
    weight
        Shape (n,), not negative; rows of weight 0 count as lost.
    base
        Shape (n,): how many rows each stands for.

    >>> float(ess_share(np.array([1.0, 1.0, 0.0, 0.0]), np.ones(4)))
    0.5
    """
    return float(math.fsum(base * weight) ** 2 / (math.fsum(base) * math.fsum(base * weight**2)))


def flattening(weight: FloatArray, base: FloatArray, share: float) -> float:
    """Largest power in [0, 1] at which weights reach an effective share; 0 where none does.

    The share falls as the power grows: its logarithm is 2 K(a) - K(2a) for the convex K(a) = log sum b w^a.
    """
    kept = weight > 0

    def reaches(power: float) -> bool:
        return (
            ess_share(np.where(kept, np.power(weight, power, where=kept, out=np.zeros_like(weight)), 0), base) >= share
        )

    if reaches(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if reaches(middle) else (low, middle)
    return low


def column_balance(
    source: Sample, target: Sample, weight: FloatArray, columns: Sequence[Column]
) -> tuple[ColumnBalance, ...]:
    """Compare the whole target with the source as it is and as weighted, empty cells of numbers apart.

    Parameters
    ----------
    source, target
        All rows, those without counterpart too.
    weight
        Shape (source rows,).
    columns
        What to compare.
    """
    weights = (source.weight, source.weight * weight)
    found = []
    for column in columns:
        mine, theirs = source.table[column.name], target.table[column.name]
        judge = _categorical if column.categorical else _numeric
        found.append(ColumnBalance(column.name, *judge(mine, theirs, weights, target.weight)))
        # Whether a number is known at all is another fact about the row.
        if not column.categorical and (mine.isna().any() or theirs.isna().any()):
            hollow, other = (cells.isna().map({True: "yes", False: "no"}) for cells in (mine, theirs))
            found.append(
                ColumnBalance(f"{column.name}={MISSING}", *_categorical(hollow, other, weights, target.weight))
            )
    return tuple(found)


Pair = tuple[float, float]


def _numeric(
    source: pd.Series[float], target: pd.Series[float], weights: tuple[FloatArray, FloatArray], goal: FloatArray
) -> tuple[Pair, Pair]:
    mine, theirs = ~source.isna().to_numpy(), ~target.isna().to_numpy()
    x, t = (np.asarray(cells, dtype=np.float64)[known] for cells, known in ((source, mine), (target, theirs)))
    goal = goal[theirs]
    both = [w[mine] for w in weights]
    if not len(t) or any(w.sum() <= 0 for w in both):
        return (math.nan, math.nan), (math.nan, math.nan)
    values = np.unique(np.concatenate([x, t]))
    (mean, deviation), steps = _moments(t, goal), _steps(t, goal, values)
    scale = math.hypot(deviation, _moments(x, both[0])[1]) / math.sqrt(2)
    # A column of one value has no deviation; then any difference at all is endless.
    shifts = [_moments(x, w)[0] - mean for w in both]
    smd = [shift / scale if scale > 0 else math.copysign(math.inf, shift) if shift else 0.0 for shift in shifts]
    ks = [float(np.abs(_steps(x, w, values) - steps).max()) for w in both]
    return (smd[0], smd[1]), (ks[0], ks[1])


def _moments(x: FloatArray, weight: FloatArray) -> Pair:
    mean = float(np.average(x, weights=weight))
    return mean, math.sqrt(float(np.average((x - mean) ** 2, weights=weight)))


def _steps(x: FloatArray, weight: FloatArray, values: FloatArray) -> FloatArray:
    """Weighted distribution function at `values`, which hold all of x, sorted."""
    mass = np.bincount(np.searchsorted(values, x), weight, len(values))
    return np.asarray(np.cumsum(mass) / mass.sum(), dtype=np.float64)


def _categorical(
    source: pd.Series[str], target: pd.Series[str], weights: tuple[FloatArray, FloatArray], goal: FloatArray
) -> tuple[Pair, Pair]:
    names = sorted({*source.unique(), *target.unique()})
    theirs = _shares(target, goal, names)
    before, after = (_shares(source, w, names) for w in weights)
    scale = np.sqrt((theirs * (1 - theirs) + before * (1 - before)) / 2)
    gaps = np.stack([before - theirs, after - theirs])
    smd = np.divide(gaps, scale, out=np.zeros_like(gaps), where=scale > 0)
    own = np.take_along_axis(smd, np.abs(smd).argmax(axis=1, keepdims=True), axis=1)[:, 0]
    ks = np.abs(gaps).max(axis=1)
    return (float(own[0]), float(own[1])), (float(ks[0]), float(ks[1]))


def _shares(cells: pd.Series[str], weight: FloatArray, names: Sequence[str]) -> FloatArray:
    total = pd.Series(weight).groupby(cells.to_numpy()).sum().reindex(list(names)).fillna(0.0).to_numpy(float)
    return np.asarray(total / total.sum(), dtype=np.float64)
