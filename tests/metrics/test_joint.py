"""The log loss of several targets as one number, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss as reference

from radboost.errors import TableError
from radboost.metrics import CLIP, Scored, clustered_interval, joint_log_loss, joint_rows, log_loss

FIVE_AND_ANY = (1, 1, 1, 1, 1, 2)


def test_it_is_the_haemorrhage_challenges_seven_parts():
    # Two slices. Epidural and any are right at 3/4, four kinds say 1/4 where nothing is: each value worked out by hand.
    y = [[1, 0], [0, 0], [0, 0], [0, 0], [0, 0], [1, 0]]
    p = [[0.75, 0.25], [0.25, 0.25], [0.25, 0.25], [0.25, 0.25], [0.25, 0.25], [0.5, 0.25]]
    each = [-math.log(0.75)] * 5 + [-(math.log(0.5) + math.log(0.75)) / 2]
    assert joint_log_loss(y, p, FIVE_AND_ANY) == pytest.approx((2 * each[5] + sum(each[:5])) / 7)
    # 5 LL = 5 x .287682, 2 LL_any = .980829.
    assert joint_log_loss(y, p, FIVE_AND_ANY) == pytest.approx(0.345605, abs=1e-6)


def test_any_counts_twice():
    sure, wrong = [[0.9]], [[0.1]]
    y = [[1]] * 6
    by_kind = joint_log_loss(y, wrong + sure * 5, FIVE_AND_ANY)
    by_any = joint_log_loss(y, sure * 5 + wrong, FIVE_AND_ANY)
    base = joint_log_loss(y, sure * 6, FIVE_AND_ANY)
    assert by_any - base == pytest.approx(2 * (by_kind - base))


def test_random_rows_give_what_the_definition_gives():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, (6, 50)), rng.uniform(0.01, 0.99, (6, 50))
    losses = [reference(a, b, labels=[0, 1]) for a, b in zip(y, p, strict=True)]
    assert joint_log_loss(list(y), list(p), FIVE_AND_ANY) == pytest.approx((2 * losses[5] + sum(losses[:5])) / 7)


def test_a_sure_mistake_costs_what_the_challenge_charged():
    assert joint_log_loss([[1], [0]], [[0.0], [1.0]]) == pytest.approx(-math.log(1e-15))
    assert pytest.approx(1e-15) == CLIP
    assert joint_log_loss([[1], [0]], [[1.0], [0.0]]) == pytest.approx(0, abs=1e-14)


def test_without_a_positive_it_is_defined():
    assert joint_log_loss([[0, 0], [0, 0]], [[0.5, 0.5], [0.5, 0.5]]) == pytest.approx(math.log(2))


@pytest.mark.parametrize("missing", [-1, math.nan])
def test_a_missing_label_is_no_row(missing):
    whole = joint_log_loss([[1, 0, 1], [1, 0]], [[0.6, 0.2, 0.3], [0.9, 0.4]], [1, 2])
    more = joint_log_loss([[1, 0, 1], [1, missing, 0]], [[0.6, 0.2, 0.3], [0.9, 0.5, 0.4]], [1, 2])
    assert more == whole
    # A target without any label leaves the others' mean alone.
    assert joint_log_loss([[1], [missing]], [[0.5], [0.5]], [1, 2]) == pytest.approx(math.log(2))
    assert math.isnan(joint_log_loss([[missing]], [[0.5]]))


def test_classes_and_weights_by_row():
    # One of three classes under weight 4, and a binary row under weight 1.
    found = joint_log_loss([[2], [1]], [[[0.25, 0.25, 0.5]], [0.25]], [[4.0], [1.0]])
    assert found == pytest.approx((4 * math.log(2) + math.log(4)) / 5)


def test_rows_together_are_scored_and_drawn_as_rows():
    rng = np.random.default_rng(1)
    parts = [
        Scored(rng.integers(0, 2, 40), rng.uniform(size=40), rng.uniform(0, 2, 40), np.arange(40) // 4),
        Scored(rng.integers(0, 3, 40), rng.dirichlet(np.ones(3), 40), np.ones(40), np.arange(40) // 4),
    ]
    rows = joint_rows(parts)
    total = sum(log_loss(part.y, part.p, part.weight) * part.weight.sum() for part in parts)
    assert log_loss(rows.y, rows.p, rows.weight) == pytest.approx(total / sum(p.weight.sum() for p in parts))
    low, high = clustered_interval(log_loss, rows)
    assert low < log_loss(rows.y, rows.p, rows.weight) < high


def test_what_does_not_go_together_is_refused():
    with pytest.raises(TableError, match="for each target"):
        joint_log_loss([[1]], [[0.5], [0.5]])
    with pytest.raises(TableError, match="from 0 to 1"):
        joint_log_loss([[2]], [[0.5]])
    with pytest.raises(TableError, match="in \\[0, 1\\]"):
        joint_log_loss([[1]], [[1.5]])
