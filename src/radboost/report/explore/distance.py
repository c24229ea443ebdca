"""How far two cohorts lie apart in one field: standardised difference and population stability index, by patient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from radboost.metrics import Bootstrap
from radboost.metrics.clustered import drawn_sums, percentiles
from radboost.report.explore.fields import Field, FloatArray, IntArray, Look

__all__ = ["Distance", "common_fields", "distances"]

DECILES = np.linspace(0.1, 0.9, 9)
MOST = 50
"""Categories that are compared; the others are one."""
SMOOTHING = 0.5
"""Cells added to each level, so that one that a cohort lacks does not lie endlessly far."""


@dataclass(frozen=True)
class Distance:
    """How far the target lies from the cohort in one field.

    Attributes
    ----------
    field, source, numeric
        Which.
    level
        Of categories, the one whose share differs most; empty for numbers.
    smd, low, high
        Standardised difference, target minus cohort over the pooled deviation of both (Austin 2009), and its 95 %
        interval over patients; of categories that of `level`.
    values
        Mean of the cohort and of the target; shares of `level`.
    psi
        Population stability index: sum over levels (deciles of the cohort, and "empty") of (q - p) ln(q / p).
    chance
        What the index comes to, on average, for two samples of so many patients from one population:
        (levels - 1)(1/n + 1/m).
    missing
        Share of empty cells in the cohort and in the target.
    """

    field: str
    source: str
    numeric: bool
    level: str
    smd: float
    low: float
    high: float
    values: tuple[float, float]
    psi: float
    chance: float
    missing: tuple[float, float]


@dataclass(frozen=True)
class _Sums:
    """Sums of each patient (patients, k): levels, and of numbers count, total and total of squares."""

    levels: FloatArray
    moments: FloatArray | None


def common_fields(mine: Look, theirs: Look, sources: Sequence[str]) -> list[tuple[Field, Field]]:
    """Pair fields of one name and kind."""
    other = {(one.name, one.source): one for one in theirs.of(*sources)}
    pairs = [(one, other.get((one.name, one.source))) for one in mine.of(*sources)]
    return [
        (one, two)
        for one, two in pairs
        if two is not None and one.numeric == two.numeric and not (one.missing.all() and two.missing.all())
    ]


def distances(mine: Look, theirs: Look, pairs: Sequence[tuple[Field, Field]], how: Bootstrap) -> list[Distance]:
    """Compare two cohorts field by field, largest standardised difference first."""
    laid = [_sums(one, two, mine, theirs) for one, two in pairs]
    both = [
        np.hstack([part for names, *sums in laid for part in _parts(sums[k])] or [np.zeros((0, 0))]) for k in (0, 1)
    ]
    drawn = [_drawn(sums, replace(how, seed=how.seed + k)) for k, sums in enumerate(both)]
    found, at = [], 0
    for (one, two), (names, own, other) in zip(pairs, laid, strict=True):
        width = sum(part.shape[1] for part in _parts(own))
        cut = slice(at, at + width)
        at += width
        found.append(_distance((one, two), names, (own, other), [each[:, cut] for each in drawn]))
    return sorted(found, key=lambda each: -abs(each.smd) if not math.isnan(each.smd) else 0.0)


def _parts(sums: _Sums) -> list[FloatArray]:
    return [sums.levels] if sums.moments is None else [sums.levels, sums.moments]


def _drawn(sums: FloatArray, how: Bootstrap) -> FloatArray:
    """Sums over the patients of each replicate, (replicates, k)."""
    if len(sums) < 2:
        return np.full((how.replicates, sums.shape[1]), np.nan)
    return drawn_sums(sums, how)


def _sums(one: Field, two: Field, mine: Look, theirs: Look) -> tuple[list[str], _Sums, _Sums]:
    if one.numeric:
        a, b = one.by_unit(mine.units), two.by_unit(theirs.units)
        known = a[~np.isnan(a)] if (~np.isnan(a)).any() else b[~np.isnan(b)]
        distinct = np.unique(known)
        edges = distinct[1:] if len(distinct) <= len(DECILES) + 1 else np.unique(np.quantile(known, DECILES))
        names = [*(str(k) for k in range(len(edges) + 1)), "empty"]
        sums = [_of_numbers(v, edges, look) for v, look in ((a, mine), (b, theirs))]
        return names, sums[0], sums[1]
    names, codes = _together(one, two)
    sums = [
        _Sums(_levels(code, look.group[field.unit], len(names), look.groups), None)
        for code, field, look in ((codes[0], one, mine), (codes[1], two, theirs))
    ]
    return names, sums[0], sums[1]


def _of_numbers(values: FloatArray, edges: FloatArray, look: Look) -> _Sums:
    known = ~np.isnan(values)
    level = np.where(known, np.searchsorted(edges, values, side="right"), len(edges) + 1)
    own, group = values[known], look.group[known]
    moments = [np.bincount(group, w, look.groups) for w in (np.ones(len(own)), own, own**2)]
    return _Sums(_levels(level, look.group, len(edges) + 2, look.groups), np.stack(moments, axis=1))


def _together(one: Field, two: Field) -> tuple[list[str], tuple[IntArray, IntArray]]:
    """Levels of both, the most frequent ones by name, then the others as one, then the empty cells."""
    names = list(dict.fromkeys([*one.codes[1], *two.codes[1]]))
    place = {name: k for k, name in enumerate(names)}
    codes = []
    count = np.zeros(len(names))
    for field in (one, two):
        code, own = field.codes
        there = np.array([*(place[name] for name in own), -1], np.int64)[code]
        count += np.bincount(there[there >= 0], minlength=len(names)) / max(len(there), 1)
        codes.append(there)
    kept = np.sort(np.argsort(-count, kind="stable")[:MOST])
    rank = np.full(len(names) + 1, len(kept))
    rank[kept] = np.arange(len(kept))
    rank[-1] = len(kept) + 1
    named = [*(names[k] for k in kept), "the other values", "empty"]
    return named, (rank[codes[0]].astype(np.int64), rank[codes[1]].astype(np.int64))


def _levels(level: IntArray, group: IntArray, levels: int, groups: int) -> FloatArray:
    return np.bincount(group * levels + level, minlength=groups * levels).reshape(groups, levels).astype(float)


def _distance(
    pair: tuple[Field, Field], names: Sequence[str], sums: tuple[_Sums, _Sums], drawn: Sequence[FloatArray]
) -> Distance:
    one, two = pair
    totals = [each.levels.sum(axis=0) for each in sums]
    shares = [total / max(total.sum(), 1.0) for total in totals]
    used = (totals[0] + totals[1]) > 0
    smooth = [(total[used] + SMOOTHING) / (total[used] + SMOOTHING).sum() for total in totals]
    psi = float(np.sum((smooth[1] - smooth[0]) * np.log(smooth[1] / smooth[0])))
    patients = [max(int((each.levels.sum(axis=1) > 0).sum()), 1) for each in sums]
    chance = (int(used.sum()) - 1) * sum(1 / n for n in patients)
    width = len(names)
    if one.numeric:
        moments = [each.moments.sum(axis=0) for each in sums if each.moments is not None]
        smd = float(_smd(*(_of_moments(m[None]) for m in moments))[0])
        spread = _smd(*(_of_moments(each[:, width:]) for each in drawn))
        values = tuple(float(_of_moments(m[None])[0][0]) for m in moments)
        level = ""
    else:
        every = _smd(*(_of_shares(share[None]) for share in shares))[0]
        k = int(np.nanargmax(np.abs(every)))
        smd, level = float(every[k]), str(names[k])
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = _smd(*(_of_shares(each[:, k : k + 1] / each.sum(axis=1, keepdims=True)) for each in drawn))[:, 0]
        values = (float(shares[0][k]), float(shares[1][k]))
    low, high = percentiles(spread, 0.95)
    missing = (float(one.missing.mean()), float(two.missing.mean()))
    kind = (one.name, one.source, one.numeric, level)
    return Distance(*kind, smd, low, high, (values[0], values[1]), psi, chance, missing)


_Moments = tuple[FloatArray, FloatArray]


def _of_moments(sums: FloatArray) -> _Moments:
    """Mean and variance from count, total and total of squares, (k, 3)."""
    n = np.where(sums[:, 0] > 0, sums[:, 0], np.nan)
    mean = sums[:, 1] / n
    return mean, np.maximum(sums[:, 2] / n - mean**2, 0.0)


def _of_shares(shares: FloatArray) -> _Moments:
    return shares, shares * (1 - shares)


def _smd(mine: _Moments, theirs: _Moments) -> FloatArray:
    gap, scale = theirs[0] - mine[0], np.sqrt((mine[1] + theirs[1]) / 2)
    # A field of one value in both has no deviation: no difference is none, and any other is endless.
    flat = scale <= 1e-12 * np.maximum(1.0, np.abs(mine[0]))
    with np.errstate(invalid="ignore", divide="ignore"):
        out = np.where(flat, np.where(gap == 0, 0.0, np.sign(gap) * np.inf), gap / scale)
    return np.asarray(out, np.float64)
