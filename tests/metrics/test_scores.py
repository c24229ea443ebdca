"""Weighted metrics: their definitions, their weights, and where they are not defined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from radboost.errors import TableError
from radboost.metrics import (
    CLIP,
    accuracy,
    auc,
    balanced_accuracy,
    best_threshold,
    brier,
    f1,
    log_loss,
    pf1,
    true_class_probability,
)

BINARY = [log_loss, brier, accuracy, balanced_accuracy, pf1, f1, auc]
MULTI = [log_loss, brier, accuracy, balanced_accuracy]


def binary_rows(seed: int, n: int = 200, *, ties: bool = True):
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, n)
    p = random.beta(1 + 2 * y, 2)
    return y, np.round(p, 1) if ties else p, random.choice([0.0, 1.0, 2.0, 0.5], n)


def multi_rows(seed: int, n: int = 200):
    random = np.random.default_rng(seed)
    return random.integers(0, 3, n), random.dirichlet(np.ones(3), n), random.choice([0.0, 1.0, 2.0, 4.0], n)


@pytest.mark.parametrize("seed", range(20))
def test_equals_scikit_learn_where_it_has_the_metric(seed):
    y, p, w = binary_rows(seed, ties=seed % 2 == 0)
    assert auc(y, p, w) == pytest.approx(reference.roc_auc_score(y, p, sample_weight=w), abs=1e-12)
    inner = np.clip(p, 1e-9, 1 - 1e-9)
    assert log_loss(y, inner, w) == pytest.approx(reference.log_loss(y, inner, sample_weight=w), abs=1e-12)
    assert brier(y, p, w) == pytest.approx(reference.brier_score_loss(y, p, sample_weight=w), abs=1e-12)
    assert f1(y, p, w, 0.4) == pytest.approx(reference.f1_score(y, p >= 0.4, sample_weight=w), abs=1e-12)
    y, p, w = multi_rows(seed)
    assert log_loss(y, p, w) == pytest.approx(reference.log_loss(y, p, sample_weight=w), abs=1e-12)
    assert accuracy(y, p, w) == pytest.approx(reference.accuracy_score(y, p.argmax(1), sample_weight=w), abs=1e-12)
    kept = reference.balanced_accuracy_score(y, p.argmax(1), sample_weight=w)
    assert balanced_accuracy(y, p, w) == pytest.approx(kept, abs=1e-12)


@pytest.mark.parametrize("metric", BINARY + MULTI)
@pytest.mark.parametrize("seed", range(5))
def test_weight_two_is_the_row_twice_and_weight_zero_is_no_row(metric, seed):
    # Bit for bit: a score must not tell whether a data set was deduplicated into weights.
    y, p, _ = multi_rows(seed) if metric in MULTI and seed % 2 else binary_rows(seed)
    times = np.random.default_rng(seed).choice([0, 1, 2, 4], len(y))
    repeated = np.repeat(np.arange(len(y)), times)
    assert metric(y, p, times) == metric(y[repeated], p[repeated], None)


@given(st.permutations(range(40)), st.sampled_from(BINARY))
@settings(max_examples=60, deadline=None)
def test_row_order_is_irrelevant(order, metric):
    y, p, w = binary_rows(3, 40)
    order = np.array(order)
    assert metric(y[order], p[order], w[order]) == pytest.approx(metric(y, p, w), rel=1e-13)


def test_auc_gives_half_for_ties_and_one_for_perfect_order():
    assert auc([0, 1, 0, 1], [0.3, 0.3, 0.3, 0.3]) == 0.5
    assert auc([0, 1], [0.1, 0.2]) == 1.0
    assert auc([0, 1], [0.2, 0.1]) == 0.0
    assert auc([1, 0, 0], [0.5, 0.5, 0.1], [1, 3, 1]) == pytest.approx((3 * 0.5 + 1) / 4)


def test_pf1_worked_by_hand():
    # P = .7 / 1.2, R = .7 / 2 ; whole-set sums, so one row of p = 0 among positives lowers R only.
    y, p = [1, 0, 1, 0], [0.7, 0.3, 0.0, 0.2]
    precision, recall = 0.7 / 1.2, 0.7 / 2
    assert pf1(y, p) == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-15)
    assert pf1([1, 1, 0], [0.0, 0.0, 0.4]) == 0.0  # recall 0
    assert pf1([1, 0], [0.0, 0.0]) == 0.0  # precision is 0 / 0
    assert pf1([1, 0], [1.5, -2.0]) == 1.0  # clipped


def test_pf1_of_decisions_is_f1():
    y, p, w = binary_rows(5)
    assert pf1(y, p >= 0.5, w) == f1(y, p, w, 0.5)


@pytest.mark.parametrize("metric", BINARY)
def test_no_row_of_positive_weight_is_nan(metric):
    assert math.isnan(metric([0, 1], [0.1, 0.2], [0, 0]))


@pytest.mark.parametrize("metric", [pf1, f1])
def test_no_positive_is_nan_not_zero(metric):
    assert math.isnan(metric([0, 0], [0.1, 0.2], None))
    assert math.isnan(metric([0, 1], [0.1, 0.2], [1, 0]))


def test_auc_of_one_class_is_nan():
    assert math.isnan(auc([1, 1], [0.1, 0.2]))
    assert math.isnan(auc([0, 0], [0.1, 0.2]))


def test_log_loss_is_clipped_by_one_rule_for_both_shapes():
    # A sure and wrong prediction costs -log(CLIP), whichever way it is written.
    assert log_loss([1], [0.0]) == -math.log(CLIP)
    assert log_loss([1], [[1.0, 0.0]]) == -math.log(CLIP)
    assert log_loss([0], [1.0]) == -math.log(CLIP)
    assert log_loss([1], [1.0]) == pytest.approx(0, abs=2e-15)
    y, p, w = binary_rows(1)
    assert log_loss(y, p, w) == pytest.approx(log_loss(y, np.stack([1 - p, p], 1), w), abs=1e-15)


def test_rows_that_nearly_sum_to_one_are_rescaled():
    # float16 storage leaves sums of 1.0002; the metric must not see a pool of more than one.
    p = np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])
    assert true_class_probability([2, 2], p * 1.0005) == pytest.approx([0.5, 0.8], abs=1e-15)


@pytest.mark.parametrize("seed", range(20))
def test_best_threshold_reaches_the_highest_f1_of_any_threshold(seed):
    y, p, w = binary_rows(seed, 60, ties=seed % 2 == 0)
    every = max(f1(y, p, w, t) for t in np.append(p, [-1.0, 2.0]))
    assert f1(y, p, w, best_threshold(y, p, w)) == pytest.approx(every, rel=1e-12)


def test_best_threshold_edges():
    assert best_threshold([0, 1], [0.2, 0.6]) == pytest.approx(0.4)  # half way
    assert best_threshold([1, 1], [0.2, 0.6]) == 0.2  # all positive: no next score below
    assert math.isnan(best_threshold([0, 0], [0.2, 0.6]))
    neighbour = float(np.nextafter(0.5, 1))
    assert f1([0, 1], [0.5, neighbour], None, best_threshold([0, 1], [0.5, neighbour])) == 1.0
    # Rows of weight 0 must not shift the half-way point.
    assert best_threshold([0, 0, 1], [0.2, 0.55, 0.6], [1, 0, 1]) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("y", "p", "weight", "says"),
    [
        ([0, 1], [0.1, 1.2], None, "1.2"),
        ([0, 1], [0.1, math.nan], None, "nan"),
        ([0, 2], [0.1, 0.2], None, "from 0 to 1 (got 2)"),
        ([0, 0.5], [0.1, 0.2], None, "0.5"),
        ([0, math.nan], [0.1, 0.2], None, "nan"),
        ([0], [0.1, 0.2], None, "one label a row"),
        ([0, 1], [0.1, 0.2], [1, -1], "-1.0"),
        ([0, 1], [0.1, 0.2], [1], "one weight a row"),
        ([0, 1], [[0.5, 0.6], [0.5, 0.5]], None, "sum to 1"),
        ([0, 1], [[0.5], [0.5]], None, "(n, classes)"),
    ],
)
def test_a_bad_row_is_refused_with_what_was_wrong(y, p, weight, says):
    with pytest.raises(TableError) as caught:
        log_loss(y, p, weight)
    assert says in str(caught.value)
