"""Intervals over groups: the draws, the fast paths, and the cases without an interval."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

from radboost.errors import TableError
from radboost.metrics import (
    Bootstrap,
    Scored,
    accuracy,
    auc,
    balanced_accuracy,
    brier,
    clustered_difference,
    clustered_interval,
    f1,
    log_loss,
    pf1,
)

METRICS = [log_loss, brier, accuracy, balanced_accuracy, pf1, auc, functools.partial(f1, threshold=0.4)]
FEW = Bootstrap(replicates=50, seed=1)


def cohort(seed: int, patients: int = 60, rows: int = 4, *, effect: float = 1.0) -> Scored:
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(patients), rows)
    y = (random.random(patients) < 0.4).astype(int)[group]
    p = 1 / (1 + np.exp(-effect * y - random.normal(size=patients)[group] - 0.1 * random.normal(size=group.size)))
    return Scored(y, np.round(p, 2), random.choice([0.0, 0.5, 1.0, 2.0], group.size), group)


@pytest.mark.parametrize("metric", METRICS)
def test_equals_drawing_the_rows_of_whole_groups(metric):
    # The reference copies rows out, group by group, as a bootstrap is defined; ours only moves weights.
    rows = cohort(0)
    names = np.unique(rows.group)
    random = np.random.default_rng(FEW.seed)
    slow = []
    for _ in range(FEW.replicates):
        drawn = random.integers(names.size, size=names.size)
        take = np.concatenate([np.flatnonzero(rows.group == names[g]) for g in drawn])
        slow.append(metric(rows.y[take], rows.p[take], rows.weight[take]))
    low, high = np.nanquantile(slow, [0.025, 0.975])
    assert clustered_interval(metric, rows, FEW) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_weight_zero_is_no_row_and_order_is_irrelevant(metric):
    rows = cohort(1)
    more = Scored(
        np.append(rows.y, [1, 0]),
        np.append(rows.p, [0.1, 0.9]),
        np.append(rows.weight, [0, 0]),
        np.append(rows.group, [998, 999]),
    )
    order = np.random.default_rng(0).permutation(rows.y.size)
    shuffled = Scored(rows.y[order], rows.p[order], rows.weight[order], rows.group[order])
    expected = clustered_interval(metric, rows, FEW)
    assert clustered_interval(metric, more, FEW) == pytest.approx(expected, abs=1e-12)
    assert clustered_interval(metric, shuffled, FEW) == pytest.approx(expected, abs=1e-12)


def test_clusters_make_the_interval_wider_than_rows_do():
    # Four nearly equal rows a patient carry little more than one: forgetting that halves the interval.
    rows = cohort(2, patients=150)
    alone = Scored(rows.y, rows.p, rows.weight, np.arange(rows.y.size))
    how = Bootstrap(replicates=400)
    wide, narrow = (np.diff(clustered_interval(log_loss, r, how))[0] for r in (rows, alone))
    assert wide > 1.4 * narrow


@pytest.mark.parametrize("metric", [log_loss, auc])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(metric):
    truth = cohort(10_000, patients=40_000, rows=2)
    value = metric(truth.y, truth.p, truth.weight)
    how = Bootstrap(replicates=200)
    inside = [
        low <= value <= high for low, high in (clustered_interval(metric, cohort(s, 120, 2), how) for s in range(60))
    ]
    # 57 of 60 expected; fewer than 50 has a probability below 1 in 1,000.
    assert sum(inside) >= 50


def test_replicates_without_a_positive_are_left_out():
    rows = Scored(np.array([1, 0, 0, 0]), np.array([0.9, 0.1, 0.2, 0.3]), np.ones(4), np.arange(4))
    low, high = clustered_interval(auc, rows, Bootstrap(replicates=300))
    assert (low, high) == (1.0, 1.0)


def test_no_interval_from_one_group_or_from_one_class():
    one_group = Scored(np.array([1, 0]), np.array([0.9, 0.1]), np.ones(2), np.zeros(2))
    one_class = Scored(np.array([0, 0]), np.array([0.9, 0.1]), np.ones(2), np.arange(2))
    for rows, metric in ((one_group, log_loss), (one_class, auc), (one_class, pf1)):
        assert all(math.isnan(v) for v in clustered_interval(metric, rows, FEW))


def test_paired_difference_cancels_what_both_share():
    rows = cohort(3, patients=100)
    worse = np.clip(rows.p * 0.8, 0.005, 0.995)
    better = Scored(rows.y, np.clip(rows.p, 0.005, 0.995), rows.weight, rows.group)
    found = clustered_difference(log_loss, better, worse, Bootstrap(replicates=300))
    alone = np.diff(clustered_interval(log_loss, better, Bootstrap(replicates=300)))[0]
    assert found.value == log_loss(better.y, better.p, better.weight) - log_loss(better.y, worse, better.weight)
    assert found.low < found.value < found.high
    assert found.high - found.low < alone


def test_difference_to_itself_is_nothing_and_wins_half():
    rows = cohort(4)
    found = clustered_difference(auc, rows, rows.p, FEW)
    assert (found.value, found.low, found.high, found.below) == (0, 0, 0, 0.5)


def test_fields_of_different_length_are_refused():
    with pytest.raises(TableError, match="differ in length"):
        Scored(np.zeros(2), np.zeros(3), np.ones(2), np.arange(2))
