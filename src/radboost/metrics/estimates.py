"""Many numbers of the same rows with their intervals at the cost of one: sorted once, drawn once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.metrics.clustered import Bootstrap, Scored, drawn_sums, draws, percentiles
from radboost.metrics.exact import clopper_pearson
from radboost.metrics.inputs import FloatArray
from radboost.metrics.ranked import Area, Ranked
from radboost.metrics.scores import TERMS, Metric, auc
from radboost.metrics.steps import Ladder, Steps

__all__ = [
    "Band",
    "Curve",
    "Estimate",
    "clustered_bands",
    "clustered_estimates",
    "clustered_sums",
    "divided",
    "exact_where_flat",
]

Curve: TypeAlias = Callable[[Steps], FloatArray]
"""Numbers (m,) from the running sums of a ranking, such as sensitivity at m false-positive rates."""

FEWEST = 20
"""Replicates that an interval needs: where the metric is defined in fewer, there is none."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval, and what it rests on.

    Attributes
    ----------
    value, low, high
        ``nan`` where it is not defined.
    rows, groups
        Rows of positive weight, and their groups.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    rows: int = 0
    groups: int = 0


@dataclass(frozen=True)
class Band:
    """A curve with its pointwise interval: three arrays (m,)."""

    value: FloatArray
    low: FloatArray
    high: FloatArray


def clustered_estimates(
    metrics: Mapping[str, Metric], rows: Scored, how: Bootstrap | None = None
) -> dict[str, Estimate]:
    """Give several metrics of the same rows, each with its percentile bootstrap interval drawn by group.

    Parameters
    ----------
    metrics
        By name. Those of `radboost.metrics` that are ratios of sums cost nothing beside the drawing, `auc` and those of
        `radboost.metrics.ranked` share two running sums a replicate, and any other is called anew for each.
    rows
        What is scored.
    how
        Replicates, seed and level. All metrics see the same draws, which are those of `clustered_interval`.
    """
    how = how or Bootstrap()
    n, groups = len(rows.y), len(np.unique(rows.group))
    if not n:
        return dict.fromkeys(metrics, Estimate())
    own = [_statistic(metric, rows) for metric in metrics.values()]
    ranked = [metric for metric in map(_as_ranked, metrics.values()) if isinstance(metric, Ranked)]
    keep = [threshold for metric in ranked for threshold in metric.thresholds] if ranked else None
    drawn = np.full((how.replicates, len(own)), math.nan)
    if groups > 1:
        for number, each in enumerate(_replicates(rows, how, keep)):
            drawn[number] = [statistic(each) for statistic in own]
    found = {}
    for column, (name, metric) in enumerate(metrics.items()):
        known = int((~np.isnan(drawn[:, column])).sum())
        interval = percentiles(drawn[:, column], how.level) if known >= FEWEST else (math.nan, math.nan)
        found[name] = Estimate(metric(rows.y, rows.p, rows.weight), *interval, n, groups)
    return found


def clustered_bands(
    curves: Mapping[str, Curve], rows: Scored, how: Bootstrap | None = None, thresholds: Sequence[float] = ()
) -> dict[str, Band]:
    """Give curves of a ranking, each with its pointwise interval drawn by group.

    Parameters
    ----------
    curves
        By name. They see the corners of the ROC curve, and `thresholds`.
    rows, how
        As `clustered_estimates`.
    thresholds
        Where a curve asks `Steps.at`.
    """
    how = how or Bootstrap()
    steps = Ladder.of(rows.y, rows.p, thresholds).steps(rows.weight)
    values = {name: curve(steps) for name, curve in curves.items()}
    drawn: dict[str, list[FloatArray]] = {name: [] for name in curves}
    if len(np.unique(rows.group)) > 1:
        for each in _replicates(rows, how, thresholds):
            for name, curve in curves.items():
                drawn[name].append(curve(each.steps))
    return {name: Band(values[name], *_quantiles(drawn[name], values[name], how.level)) for name in curves}


def clustered_sums(
    columns: FloatArray,
    group: npt.NDArray[np.generic],
    statistic: Callable[[FloatArray], FloatArray],
    how: Bootstrap | None = None,
) -> Band:
    """Give numbers that follow from sums over rows, such as the rate in each bin, with intervals drawn by group.

    Parameters
    ----------
    columns
        Shape (n, m): what is summed, weights included.
    group
        Shape (n,).
    statistic
        From the m sums to k numbers; ``nan`` where one is not defined.
    how
        As `clustered_estimates`.

    Returns
    -------
    Band
        Three arrays (k,).
    """
    how = how or Bootstrap()
    names, code = np.unique(group, return_inverse=True)
    sums = np.stack([np.bincount(code, column, names.size) for column in columns.T], axis=1)
    value = statistic(sums.sum(axis=0))
    drawn = [] if names.size < 2 else [statistic(row) for row in drawn_sums(np.asarray(sums, np.float64), how)]
    return Band(value, *_quantiles(drawn, value, how.level))


def exact_where_flat(band: Band, groups: Sequence[int]) -> Band:
    """Give shares of which all replicates are 0, or all 1, the exact binomial interval of so many groups.

    A bootstrap of a share that nobody, or everybody, has never leaves it; with five groups the truth may still be far
    away.

    Parameters
    ----------
    band
        Shares (k,) with their intervals.
    groups
        Groups that each share is of; 0 takes the interval away.
    """
    low, high = band.low.copy(), band.high.copy()
    for k, count in enumerate(groups):
        if band.low[k] == band.high[k] and band.value[k] in (0.0, 1.0):
            low[k], high[k] = clopper_pearson(count if band.value[k] else 0, count)
    return Band(band.value, low, high)


def divided(top: FloatArray, bottom: FloatArray) -> FloatArray:
    """Divide sums; ``nan`` where the lower one is 0."""
    out: FloatArray = np.divide(top, bottom, out=np.full(np.shape(top), math.nan), where=bottom > 0)
    return out


def _quantiles(drawn: list[FloatArray], value: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    low, high = np.full(value.shape, math.nan), np.full(value.shape, math.nan)
    if drawn:
        table = np.stack(drawn)
        enough = (~np.isnan(table)).sum(axis=0) >= FEWEST
        tails = [(1 - level) / 2, (1 + level) / 2]
        if enough.any():
            low[enough], high[enough] = np.nanquantile(table[:, enough], tails, axis=0)
    return low, high


@dataclass(frozen=True)
class _Replicate:
    """One draw: how often each group, each row's weight, and the steps where a metric needs them."""

    counts: FloatArray
    weight: FloatArray
    steps: Steps


def _replicates(rows: Scored, how: Bootstrap, keep: Sequence[float] | None) -> Iterator[_Replicate]:
    names, code = np.unique(rows.group, return_inverse=True)
    ladder = None if keep is None else Ladder.of(rows.y, rows.p, keep)
    nothing = Steps(np.zeros(1), np.zeros(1), np.zeros(1))
    for counts in draws(names.size, how):
        weight = rows.weight * counts[code]
        yield _Replicate(counts, weight, ladder.steps(weight) if ladder else nothing)


def _as_ranked(metric: Metric) -> object:
    return Area() if metric is auc else metric


def _statistic(metric: Metric, rows: Scored) -> Callable[[_Replicate], float]:
    if metric in TERMS:
        names, code = np.unique(rows.group, return_inverse=True)
        sums = np.stack([np.bincount(code, rows.weight * t, names.size) for t in TERMS[metric](rows.y, rows.p)], axis=1)

        def ratio(each: _Replicate) -> float:
            top, bottom, needed = each.counts @ sums
            return float(top / bottom) if needed > 0 else math.nan

        return ratio
    ranked = _as_ranked(metric)
    if isinstance(ranked, Ranked):
        return lambda each: ranked.of(each.steps)
    return lambda each: metric(rows.y, rows.p, each.weight)
