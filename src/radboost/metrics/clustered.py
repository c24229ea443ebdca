"""Bootstrap intervals over groups: whole patients are drawn, never rows.

Rows of one patient are alike, so that intervals drawn by row come out too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from radboost.errors import TableError
from radboost.metrics.inputs import FloatArray, binary, weights
from radboost.metrics.ranked import Ranked
from radboost.metrics.scores import TERMS, Metric, Ranks, auc
from radboost.metrics.steps import Ladder

__all__ = [
    "Bootstrap",
    "Difference",
    "Scored",
    "clustered_difference",
    "clustered_interval",
    "clustered_mean",
    "drawn_sums",
    "draws",
    "percentiles",
]

_AT_ONCE = 2**20
"""Counts that are held at a time: 8 MB."""


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are drawn: number of replicates, seed, and coverage in (0, 1)."""

    replicates: int = 1000
    seed: int = 0
    level: float = 0.95


@dataclass(frozen=True)
class Scored:
    """Rows to be scored, cut as a whole.

    Attributes
    ----------
    y, p, weight
        As the metric takes them. Rows of weight 0 are dropped at once.
    group
        Shape (n,): rows that belong together (the patient), drawn or left out as one.
    """

    y: npt.NDArray[np.generic]
    p: FloatArray
    weight: FloatArray
    group: npt.NDArray[np.generic]

    def __post_init__(self) -> None:
        n = len(self.y)
        sizes = {len(self.p), len(self.weight), len(self.group)}
        if sizes != {n}:
            raise TableError("y, p, weight and group differ in length", where="metrics", got=f"{n} and {sorted(sizes)}")
        keep = weights(self.weight, n) > 0
        for name in ("y", "p", "weight", "group"):
            object.__setattr__(self, name, np.asarray(getattr(self, name))[keep])


@dataclass(frozen=True)
class Difference:
    """A paired difference ``metric(a) - metric(b)`` with its clustered interval.

    Attributes
    ----------
    value, low, high
        The difference on the rows themselves, and its interval.
    below
        Share of replicates below 0, those equal to 0 counting one half: for a loss, how probably a is the better.
    """

    value: float
    low: float
    high: float
    below: float


def clustered_interval(metric: Metric, rows: Scored, how: Bootstrap | None = None) -> tuple[float, float]:
    """Percentile bootstrap interval of a metric, drawn by group.

    Parameters
    ----------
    metric
        A function of (y, p, weight). Those of this module other than :func:`balanced_accuracy` cost one pass over the
        groups a replicate (:func:`auc` and those of `radboost.metrics.ranked`: over the rows, sorted once); any
        other is called anew for each.
    rows
        What is scored.
    how
        Replicates, seed and level; the defaults of :class:`Bootstrap` when absent.

    Returns
    -------
    Low and high, in the metric's units. Replicates where the metric is ``nan`` are left out; both are ``nan`` when
    every one is, or when there are fewer than two groups.
    """
    how = how or Bootstrap()
    return percentiles(_replicates(metric, rows, how), how.level)


def clustered_difference(metric: Metric, a: Scored, p_b: npt.ArrayLike, how: Bootstrap | None = None) -> Difference:
    """Paired difference of two predictions on the same rows, drawn by group.

    Parameters
    ----------
    metric, how
        As :func:`clustered_interval`.
    a
        The first prediction, with the rows' labels, weights and groups.
    p_b
        The second prediction of the rows of `a`, in their order.

    Returns
    -------
    ``metric(a) - metric(b)``, its interval, and the share of replicates below 0.
    """
    how = how or Bootstrap()
    b = Scored(a.y, np.asarray(p_b, dtype=np.float64), a.weight, a.group)
    drawn = _replicates(metric, a, how) - _replicates(metric, b, how)
    known = drawn[~np.isnan(drawn)]
    below = float(np.mean(known < 0) + np.mean(known == 0) / 2) if known.size else math.nan
    value = metric(a.y, a.p, a.weight) - metric(b.y, b.p, b.weight)
    return Difference(value, *percentiles(drawn, how.level), below)


def clustered_mean(
    metric: Metric, several: Sequence[Scored], minus: Sequence[Scored] = (), how: Bootstrap | None = None
) -> Difference:
    """Mean of a metric over several predictions of the same rows, less that over others; drawn by group.

    What models that learnt from other patients say of the same rows is so judged as one: the interval is about the rows
    judged, given these models.

    Parameters
    ----------
    metric, how
        As :func:`clustered_interval`.
    several
        One or more predictions, rows in the same order.
    minus
        As `several`; none leaves the mean itself.
    """
    how = how or Bootstrap()
    value, drawn = 0.0, np.zeros(how.replicates)
    for sign, rows in ((1.0, several), (-1.0, minus)):
        for each in rows:
            value += sign * metric(each.y, each.p, each.weight) / len(rows)
            drawn += sign * _replicates(metric, each, how) / len(rows)
    known = drawn[~np.isnan(drawn)]
    below = float(np.mean(known < 0) + np.mean(known == 0) / 2) if known.size else math.nan
    return Difference(value, *percentiles(drawn, how.level), below)


def _replicates(metric: Metric, rows: Scored, how: Bootstrap) -> FloatArray:
    names, code = np.unique(rows.group, return_inverse=True)
    if names.size < 2:
        return np.full(how.replicates, math.nan)
    statistic: Callable[[FloatArray], float]
    if metric in TERMS:
        sums = np.stack([np.bincount(code, rows.weight * t, names.size) for t in TERMS[metric](rows.y, rows.p)], axis=1)
        top, bottom, needed = np.concatenate([counts @ sums for counts in _blocks(names.size, how)]).T
        found: FloatArray = np.full(how.replicates, math.nan)
        np.divide(top, bottom, out=found, where=needed > 0)
        return found
    if isinstance(metric, Ranked):
        ladder = Ladder.of(rows.y, rows.p, metric.thresholds)

        def statistic(counts: FloatArray) -> float:
            return metric.of(ladder.steps(rows.weight * counts[code]))
    elif metric is auc:
        ranks = Ranks.of(*binary(rows.y, rows.p, None)[:2])

        def statistic(counts: FloatArray) -> float:
            return ranks.auc(rows.weight * counts[code])
    else:

        def statistic(counts: FloatArray) -> float:
            return metric(rows.y, rows.p, rows.weight * counts[code])

    return np.fromiter((statistic(counts) for counts in draws(names.size, how)), np.float64, how.replicates)


def draws(groups: int, how: Bootstrap) -> Iterator[FloatArray]:
    """Yield how often each group is drawn, (groups,), a replicate after the other; the same for the same seed."""
    for block in _blocks(groups, how):
        yield from block


def _blocks(groups: int, how: Bootstrap) -> Iterator[FloatArray]:
    """Give `draws` as matrices (replicates, groups), of few numbers each; not to be written to."""
    if groups * how.replicates <= _AT_ONCE:
        yield _few(groups, how)
        return
    random = np.random.default_rng(how.seed)
    step = max(1, _AT_ONCE // groups)
    for start in range(0, how.replicates, step):
        yield _drawn(random, groups, min(step, how.replicates - start))


def drawn_sums(sums: FloatArray, how: Bootstrap) -> FloatArray:
    """Sum the groups of each replicate.

    Parameters
    ----------
    sums
        Shape (groups, m): what each group adds.
    how
        Replicates and seed; the draws are those of `draws`.

    Returns
    -------
    ndarray
        Shape (replicates, m).
    """
    return np.concatenate([block @ sums for block in _blocks(len(sums), how)])


@lru_cache(maxsize=4)
def _few(groups: int, how: Bootstrap) -> FloatArray:
    """All draws of a small sample, kept: a report asks for the same ones for every member and metric."""
    found = _drawn(np.random.default_rng(how.seed), groups, how.replicates)
    found.flags.writeable = False
    return found


def _drawn(random: np.random.Generator, groups: int, replicates: int) -> FloatArray:
    chosen = random.integers(groups, size=(replicates, groups)) + groups * np.arange(replicates)[:, None]
    counts = np.bincount(chosen.ravel(), minlength=replicates * groups)
    return counts.reshape(replicates, groups).astype(np.float64)


def percentiles(drawn: FloatArray, level: float) -> tuple[float, float]:
    """Cut equal tails off the replicates that are defined; ``nan`` where none is."""
    known = drawn[~np.isnan(drawn)]
    if not known.size:
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
