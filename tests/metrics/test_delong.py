"""DeLong's variance: by its definition for single rows, by clusters, weighted, and beside the bootstrap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from radboost.errors import UserError
from radboost.metrics import Bootstrap, Scored, auc, clopper_pearson, clustered_interval, delong, delong_difference


def cohort(seed: int, patients: int = 200, rows: int = 3, *, alike: bool = False) -> Scored:
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(patients), rows)
    y = (random.random(group.size) < 0.3).astype(int)
    y = y[group * rows] if alike else y
    p = 0.8 * y + random.normal(size=patients)[group] + 0.5 * random.normal(size=group.size)
    return Scored(y, np.round(p, 1), np.ones(group.size), group)


def test_single_rows_give_delongs_own_variance():
    rows = cohort(0, 120, 1)
    pos, neg = rows.p[rows.y == 1], rows.p[rows.y == 0]
    wins = (pos[:, None] > neg) + 0.5 * (pos[:, None] == neg)
    expected = wins.mean(axis=1).var(ddof=1) / len(pos) + wins.mean(axis=0).var(ddof=1) / len(neg)
    found = delong(rows)
    # The cross term is 0 for single rows: no group has both a positive and a negative.
    assert found.error**2 == pytest.approx(expected, rel=1e-12)
    assert found.value == pytest.approx(auc(rows.y, rows.p, None), abs=1e-12)
    assert 0 < found.low < found.value < found.high < 1


def test_weight_two_is_the_row_twice_in_its_group():
    rows = cohort(1)
    times = np.random.default_rng(0).choice([0, 1, 2], len(rows.y))
    take = np.repeat(np.arange(len(rows.y)), times)
    one = delong(Scored(rows.y, rows.p, times.astype(float), rows.group))
    two = delong(Scored(rows.y[take], rows.p[take], np.ones(take.size), rows.group[take]))
    assert (one.value, one.error) == pytest.approx((two.value, two.error), rel=1e-12)


def test_clusters_widen_it_as_they_widen_the_bootstrap():
    rows = cohort(2, 300, alike=True)
    found = delong(rows)
    low, high = clustered_interval(auc, rows, Bootstrap(1000))
    assert found.high - found.low == pytest.approx(high - low, rel=0.12)
    assert found.error > 1.2 * delong(Scored(rows.y, rows.p, rows.weight, np.arange(len(rows.y)))).error


def test_a_paired_difference_cancels_what_both_share():
    rows = cohort(3)
    other = rows.p + 0.3 * np.random.default_rng(0).normal(size=len(rows.p))
    found = delong_difference(rows, other)
    assert found.value == pytest.approx(auc(rows.y, rows.p, None) - auc(rows.y, other, None), abs=1e-12)
    assert found.error < delong(rows).error
    assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0)
    same = delong_difference(rows, rows.p)
    assert (same.value, same.error, same.p_value) == (0, 0, 1)


def test_nothing_is_claimed_of_too_little():
    rows = Scored(np.array([1, 0, 0]), np.array([0.9, 0.1, 0.2]), np.ones(3), np.arange(3))
    assert math.isnan(delong(rows).low)
    assert math.isnan(delong(Scored(np.zeros(3, int), rows.p, rows.weight, rows.group)).value)


@pytest.mark.parametrize(("hits", "of"), [(0, 7), (3, 10), (10, 10), (1, 500)])
def test_the_exact_interval_leaves_its_tails(hits, of):
    low, high = clopper_pearson(hits, of)
    if hits:
        assert binom.sf(hits - 1, of, low) == pytest.approx(0.025, rel=1e-9)
    if hits < of:
        assert binom.cdf(hits, of, high) == pytest.approx(0.025, rel=1e-9)
    assert low <= hits / of <= high


def test_a_share_of_nothing_and_more_hits_than_units():
    assert all(math.isnan(edge) for edge in clopper_pearson(0, 0))
    with pytest.raises(UserError, match="3 of 2"):
        clopper_pearson(3, 2)
