"""Counts of classes, against scikit-learn, with weights that are rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score

from radboost.metrics import balanced_accuracy, confusion, f1, macro_f1, precision, recall


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_as_scikit_learn_counts(classes, seed):
    random = np.random.default_rng(seed)
    y, p, weight = random.integers(0, classes, 60), random.dirichlet(np.ones(classes), 60), random.random(60)
    called, shown = (p[:, 1] >= 0.5, p[:, 1]) if classes == 2 else (p.argmax(axis=1), p)
    given = {"sample_weight": weight, "zero_division": 0.0, "average": "binary" if classes == 2 else "macro"}
    assert confusion(y, shown, weight) == pytest.approx(confusion_matrix(y, called, sample_weight=weight))
    for ours, theirs in ((precision, precision_score), (recall, recall_score), (macro_f1, f1_score)):
        assert ours(y, shown, weight) == pytest.approx(theirs(y, called, **given))
    if classes == 2:
        assert macro_f1(y, shown, weight) == pytest.approx(f1(y, shown, weight))
    else:
        assert recall(y, shown, weight) == pytest.approx(balanced_accuracy(y, shown, weight))


@pytest.mark.parametrize("metric", [precision, recall, macro_f1])
def test_weight_two_is_the_row_twice_and_zero_is_none(metric):
    y, p = np.array([0, 1, 1, 0, 1]), np.array([0.7, 0.8, 0.3, 0.1, 0.9])
    weight = np.array([1.0, 2.0, 1.0, 0.0, 1.0])
    rows = np.repeat(np.arange(5), weight.astype(int))
    assert metric(y, p, weight) == metric(y[rows], p[rows])


def test_without_a_positive_nothing_is_defined():
    assert all(np.isnan(metric([0, 0], [0.9, 0.1])) for metric in (precision, recall, macro_f1))
