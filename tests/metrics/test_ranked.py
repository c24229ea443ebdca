"""Partial areas, operating points and net benefit: by scikit-learn where it has them, else by their definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from radboost.errors import UserError
from radboost.metrics import (
    AtThreshold,
    AveragePrecision,
    Ladder,
    NetBenefit,
    PartialAuc,
    SensitivityAt,
    auc,
    ece,
    f1,
    interpolated_roc,
    reliability,
)
from radboost.metrics.ranked import Area

METRICS = [
    Area(),
    AveragePrecision(),
    PartialAuc(0.8),
    PartialAuc(0.7, "sensitivity"),
    SensitivityAt(0.8),
    SensitivityAt(0.3, "recall rate"),
    AtThreshold("PPV", 0.4),
    AtThreshold("NPV", 0.4),
    NetBenefit(0.3),
]


def rows(seed: int, n: int = 300):
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, n)
    p = random.beta(1 + 2 * y, 2)
    return y, np.round(p, 1) if seed % 2 else p, random.choice([0.0, 0.5, 1.0, 2.0], n)


@pytest.mark.parametrize("seed", range(10))
def test_equals_scikit_learn_where_it_has_the_metric(seed):
    y, p, w = rows(seed)
    near = {"abs": 1e-12}
    for floor in (0.5, 0.8, 0.95):
        expected = reference.roc_auc_score(y, p, sample_weight=w, max_fpr=1 - floor)
        assert PartialAuc(floor)(y, p, w) == pytest.approx(expected, **near)
        # Above a sensitivity: the same curve seen from its other end.
        expected = reference.roc_auc_score(1 - y, -p, sample_weight=w, max_fpr=1 - floor)
        assert PartialAuc(floor, "sensitivity")(y, p, w) == pytest.approx(expected, **near)
    expected = reference.average_precision_score(y, p, sample_weight=w)
    assert AveragePrecision()(y, p, w) == pytest.approx(expected, **near)
    assert Area()(y, p, w) == pytest.approx(auc(y, p, w), **near)
    (tn, fp), (fn, tp) = reference.confusion_matrix(y, p >= 0.4, sample_weight=w)
    for rate, expected in (
        ("sensitivity", tp / (tp + fn)),
        ("specificity", tn / (tn + fp)),
        ("PPV", tp / (tp + fp)),
        ("NPV", tn / (tn + fn)),
        ("recall rate", (tp + fp) / w.sum()),
        ("F1", f1(y, p, w, 0.4)),
    ):
        assert AtThreshold(rate, 0.4)(y, p, w) == pytest.approx(expected, **near)
    assert NetBenefit(0.4)(y, p, w) == pytest.approx((tp - fp * 0.4 / 0.6) / w.sum(), **near)


@pytest.mark.parametrize("seed", range(6))
def test_sensitivity_is_the_best_of_all_thresholds_within_the_limit(seed):
    y, p, w = rows(seed, 80)
    found = []
    for threshold in [*np.unique(p), math.inf]:
        called = p >= threshold
        specificity = w[(y == 0) & ~called].sum() / w[y == 0].sum()
        found.append((specificity, w[called].sum() / w.sum(), w[(y == 1) & called].sum() / w[y == 1].sum()))
    for limit in (0.5, 0.9, 1.0):
        best = max(s for specificity, _, s in found if specificity >= limit - 1e-9)
        assert SensitivityAt(limit)(y, p, w) == pytest.approx(best, abs=1e-12)
    for limit in (0.0, 0.2, 0.6):
        best = max(s for _, called, s in found if called <= limit + 1e-9)
        assert SensitivityAt(limit, "recall rate")(y, p, w) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_weight_two_is_the_row_twice_weight_zero_is_no_row_and_order_is_irrelevant(metric):
    y, p, _ = rows(3)
    times = np.random.default_rng(0).choice([0, 1, 2, 4], len(y))
    repeated = np.random.default_rng(1).permutation(np.repeat(np.arange(len(y)), times))
    assert metric(y, p, times) == pytest.approx(metric(y[repeated], p[repeated]), abs=1e-12)


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_what_the_rows_do_not_define_is_nan(metric):
    assert math.isnan(metric([], [], []))
    if not isinstance(metric, AtThreshold | NetBenefit):
        assert math.isnan(metric([0, 0], [0.1, 0.2]))
    assert math.isnan(AtThreshold("PPV", 0.9)([0, 1], [0.1, 0.2]))


def test_equal_scores_give_no_operating_point_but_nobody():
    # A model that says the same of everybody finds nobody at a specificity of .9: to call one is to call all.
    assert SensitivityAt(0.9)([0, 1, 0], [0.5, 0.5, 0.5]) == 0.0
    assert PartialAuc(0.9)([0, 1, 0], [0.5, 0.5, 0.5]) == pytest.approx(0.5)
    with pytest.raises(UserError, match="between 0 and 1"):
        PartialAuc(1.0)


def test_the_curve_passes_through_its_points():
    y, p, w = rows(4)
    steps = Ladder.of(y, p).steps(w)
    x, up = steps.roc()
    assert (np.diff(x) >= 0).all()
    assert (np.diff(up) >= 0).all()
    assert (x[0], up[0], x[-1], up[-1]) == (0, 0, 1, 1)
    assert interpolated_roc(steps, np.array([1.0]))[0] == 1.0


def test_the_diagram_of_calibration_has_the_distances_that_ece_sums():
    y, p, w = rows(5)
    found = reliability(y, p, w)
    distance = np.abs(found.observed - found.predicted)
    assert np.average(distance, weights=found.weight) == pytest.approx(ece(y, p, w), abs=1e-12)
    assert found.rows.sum() == (w > 0).sum() == (found.bin >= 0).sum()
    assert (np.diff(found.predicted) > 0).all()


@pytest.mark.parametrize("seed", range(6))
def test_fewer_rungs_change_no_metric(seed):
    y, p, w = rows(seed, 120)
    y = y & (np.random.default_rng(seed).random(120) < 0.2)
    few = Ladder.of(y, p, [t for metric in METRICS for t in metric.thresholds])
    assert seed % 2 or len(few.threshold) < 70
    for metric in METRICS:
        assert metric.of(few.steps(w)) == pytest.approx(metric(y, p, w), abs=1e-12), metric
