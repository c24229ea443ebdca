"""The mean of parts with the worst class by group, against values worked out by hand and the challenge's definition."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss as reference

from radboost.errors import TableError
from radboost.metrics import CLIP, PartsLogLoss, Scored, clustered_interval

WEIGHT = np.array([1.0, 2.0, 4.0])


def test_two_studies_by_hand():
    # Study a: spinal normal and severe, foraminal moderate. Study b: spinal moderate, subarticular normal.
    part = np.array(["spinal", "spinal", "foraminal", "spinal", "subarticular"])
    group = np.array(["a", "a", "a", "b", "b"])
    y = np.array([0, 2, 1, 1, 0])
    p = np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.25, 0.5, 0.25], [0.5, 0.25, 0.25], [0.8, 0.1, 0.1]])
    found = PartsLogLoss(part, group, "spinal").by_part(y, p, WEIGHT[y])
    ln = math.log
    expected = {
        "foraminal": ln(2),
        # (1 ln 2 + 4 ln 2 + 2 ln 4) / 7
        "spinal": 9 * ln(2) / 7,
        "subarticular": -ln(0.8),
        # a: severe, largest weight 4, largest severe probability .5; b: none, weight 2, .25.
        "any worst spinal": (4 * ln(2) - 2 * ln(0.75)) / 6,
    }
    assert found == pytest.approx(expected)
    assert PartsLogLoss(part, group, "spinal")(y, p, WEIGHT[y]) == pytest.approx(sum(expected.values()) / 4)
    assert found["any worst spinal"] == pytest.approx(0.557992, abs=1e-6)


def drawn(seed: int = 0, studies: int = 12) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    part = np.tile(np.repeat(["spinal", "foraminal", "subarticular"], [5, 10, 10]), studies)
    group = np.repeat([f"s{i:02d}" for i in range(studies)], 25)
    y = rng.choice(3, len(part), p=[0.7, 0.2, 0.1])
    order = rng.permutation(len(part))
    return part[order], group[order], y[order], rng.dirichlet([2, 1, 1], len(part))


def test_it_is_the_challenges_definition():
    part, group, y, p = drawn()
    weight = WEIGHT[y]
    table = pd.DataFrame({"group": group, "severe": (y == 2).astype(int), "weight": weight, "p": p[:, 2], "part": part})
    losses = [
        reference(y[part == name], p[part == name], sample_weight=weight[part == name], labels=[0, 1, 2])
        for name in ("spinal", "foraminal", "subarticular")
    ]
    worst = table[table["part"] == "spinal"].groupby("group")[["severe", "weight", "p"]].max()
    losses.append(reference(worst["severe"], worst["p"], sample_weight=worst["weight"], labels=[0, 1]))
    assert PartsLogLoss(part, group, "spinal")(y, p, weight) == pytest.approx(np.mean(losses), rel=1e-12)


def test_a_missing_label_is_no_row():
    # An ungraded level has weight 0: whatever it would be called, and whatever was predicted for it, changes nothing.
    part, group, y, p = drawn(1)
    weight = WEIGHT[y] * (np.random.default_rng(2).uniform(size=len(y)) < 0.8)
    kept = weight > 0
    whole = PartsLogLoss(part, group, "spinal")(y, p, weight)
    assert whole == pytest.approx(PartsLogLoss(part[kept], group[kept], "spinal")(y[kept], p[kept], weight[kept]))
    other, sure = np.where(kept, y, 2), np.where(kept[:, None], p, [0, 0, 1])
    assert PartsLogLoss(part, group, "spinal")(other, sure, weight) == pytest.approx(whole)


def test_weight_two_is_the_study_twice():
    part, group, y, p = drawn(3)
    twice = group == "s03"
    weight = WEIGHT[y] * np.where(twice, 2, 1)
    again = [np.concatenate([a, a[twice]]) for a in (part, group, y, p)]
    again[1] = np.concatenate([group, np.full(twice.sum(), "s03 again")])
    found = PartsLogLoss(again[0], again[1], "spinal")(again[2], again[3], WEIGHT[again[2]])
    assert PartsLogLoss(part, group, "spinal")(y, p, weight) == pytest.approx(found)


def test_no_positive_anywhere_is_defined_and_a_sure_mistake_is_clipped():
    part, group, y, p = drawn(4)
    y = np.minimum(y, 1)
    found = PartsLogLoss(part, group, "spinal").by_part(y, p, WEIGHT[y])
    assert all(np.isfinite(list(found.values())))
    wrong = np.eye(3)[2 - y % 2 * 2]  # all probability on a class that no row has
    wrong[y == 1] = [1, 0, 0]
    assert PartsLogLoss(part, group, "spinal")(y, wrong, WEIGHT[y]) == pytest.approx(-math.log(CLIP))


def test_a_part_without_weight_leaves_the_mean_undefined():
    part, group, y, p = drawn(5)
    metric = PartsLogLoss(part, group, "spinal")
    assert math.isnan(metric(y, p, np.where(part == "foraminal", 0.0, 1.0)))
    assert math.isnan(metric.by_part(y, p, np.where(part == "spinal", 0.0, 1.0))["any worst spinal"])
    with pytest.raises(TableError, match="no row is of the part"):
        PartsLogLoss(part, group, "canal")
    with pytest.raises(TableError, match="rows that it was made of"):
        metric(y[:3], p[:3])


def test_it_is_drawn_by_group_like_any_metric():
    part, group, y, p = drawn(6, studies=30)
    metric = PartsLogLoss(part, group, "spinal")
    low, high = clustered_interval(metric, Scored(y, p, WEIGHT[y], group))
    assert low < metric(y, p, WEIGHT[y]) < high
