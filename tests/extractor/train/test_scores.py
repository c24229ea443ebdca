"""Scores of an epoch are those of its units as a whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from radboost.data.task import Target, Task
from radboost.extractor.train.examples import Examples
from radboost.extractor.train.scores import better, judge
from radboost.metrics import auc, log_loss, pf1

UNITS = 12


def task(metric="log_loss"):
    return Task(
        "t", "t.csv", ("id",), "p", (Target("one", "one"), Target("kind", "kind", ("a", "b", "c"))), metric=metric
    )


@pytest.fixture
def examples():
    random = np.random.default_rng(0)
    label = np.stack([random.integers(0, 2, UNITS), random.integers(0, 3, UNITS)], axis=1)
    label[3] = -1
    owner = np.repeat(np.arange(UNITS), 2)
    names = np.array([f"u{k}" for k in range(UNITS)])
    weight = np.where(label >= 0, random.random((UNITS, 2)) + 0.5, 0.0)
    return Examples(
        task(), owner, owner, names, names, np.zeros(UNITS, int), label, weight, np.ones(UNITS), pd.DataFrame(), ""
    )


def test_an_epoch_is_scored_unit_by_unit_under_the_tasks_weights(examples):
    random = np.random.default_rng(1)
    margins = random.normal(size=(2 * UNITS, 4))
    found = judge(examples, np.arange(2 * UNITS), margins)
    one = 1 / (1 + np.exp(-margins[:, 0]))
    one = one.reshape(UNITS, 2).mean(axis=1)
    kind = np.exp(margins[:, 1:]) / np.exp(margins[:, 1:]).sum(axis=1, keepdims=True)
    kind = kind.reshape(UNITS, 2, 3).mean(axis=1)
    known = examples.label[:, 0] >= 0
    (y, z), (v, w) = examples.label[known].T, examples.weight[known].T
    assert found.scores["loss"] == pytest.approx((log_loss(y, one[known], v) + log_loss(z, kind[known], w)) / 2)
    assert found.scores["pf1"] == pytest.approx(pf1(y, one[known], v))
    three = np.mean([auc((z == k).astype(int), kind[known, k], w) for k in range(3)])
    assert found.scores["auc"] == pytest.approx((auc(y, one[known], v) + three) / 2)
    assert found.scores["metric"] == found.scores["loss"]
    assert found.confusion["kind"].sum() == pytest.approx(w.sum())
    # In whatever order and however often batches were cut.
    order = random.permutation(2 * UNITS)
    again = judge(examples, order, margins[order])
    assert again.scores == pytest.approx(found.scores)


def test_what_rows_do_not_define_is_left_out(examples):
    found = judge(examples, np.array([6, 7]), np.zeros((2, 4)))
    assert found.scores == {}


def test_higher_or_lower_as_the_metric_has_it():
    low, high = {"loss": 1.0, "auc": 0.5, "metric": 0.1}, {"loss": 2.0, "auc": 0.6, "metric": 0.2}
    assert better(task(), "loss", low, high)
    assert not better(task(), "loss", low, low)
    assert better(task(), "auc", high, low)
    assert better(task("auc"), "metric", high, low)
    assert better(task(), "metric", low, high)
    assert better(task(), "loss", low, {})
    assert not better(task(), "metric", {"loss": 0.0}, high)
