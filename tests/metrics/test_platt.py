"""Members that saw their training patients through a network that was trained on them are too sure, and are mended."""

from __future__ import annotations

import numpy as np
import pytest

from radboost.metrics import log_loss
from radboost.metrics.platt import Platt, fit_platt, map_out_of_fold


def test_a_sure_member_is_brought_down_to_what_it_knows():
    random = np.random.default_rng(0)
    logit = random.normal(size=4000)
    y = (random.random(4000) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    sure = 1 / (1 + np.exp(-(1.0 + 3.0 * logit)))
    p = np.stack([1 - sure, sure], axis=1)
    found = fit_platt(p, y, np.ones(4000))
    assert found.slope == pytest.approx(1 / 3, rel=0.15)
    assert log_loss(y, found.apply(p)[:, 1]) == pytest.approx(log_loss(y, 1 / (1 + np.exp(-logit))), abs=2e-3)


def test_noise_is_brought_to_the_base_rates():
    random = np.random.default_rng(1)
    y = random.choice(3, 3000, p=[0.6, 0.3, 0.1])
    p = random.dirichlet((0.2, 0.2, 0.2), 3000)
    found = fit_platt(p, y, np.ones(3000))
    rates = np.bincount(y) / len(y)
    assert 0 <= found.slope < 0.05
    assert log_loss(y, found.apply(p)) == pytest.approx(log_loss(y, np.tile(rates, (3000, 1))), abs=2e-3)


def test_a_member_is_never_turned_round():
    y = np.tile([0, 1], 500)
    p = np.stack([np.where(y == 0, 0.2, 0.8), np.where(y == 0, 0.8, 0.2)], axis=1)
    assert fit_platt(p, y, np.ones(1000)).slope == 0.0


def test_a_fold_that_says_next_to_nothing_makes_no_other_fold_sure():
    random = np.random.default_rng(5)
    fold, y = np.repeat([0, 1], 65), random.integers(0, 2, 130)
    # What the first fold's model says differs in the third digit, by chance in the right order; the second one's is
    # noise, told apart.
    logit = np.where(fold == 0, 0.004 * random.normal(size=130) + 0.002 * y, random.normal(size=130))
    q = 1 / (1 + np.exp(-logit))
    p = np.stack([1 - q, q], axis=1)
    found, whole = map_out_of_fold(p, y, np.ones(130), fold)
    own = fold == 1
    assert log_loss(y[own], found[own, 1]) < log_loss(y[own], q[own]) + 0.05
    assert whole.slope < 1
    # Rows that tell something soon outweigh the prior.
    random = np.random.default_rng(6)
    logit = 0.25 * random.normal(size=4000)
    y = (random.random(4000) < 1 / (1 + np.exp(-8 * logit))).astype(np.int64)
    shy = 1 / (1 + np.exp(-logit))
    assert fit_platt(np.stack([1 - shy, shy], axis=1), y, np.ones(4000)).slope == pytest.approx(8, rel=0.1)


def test_weight_two_is_the_row_twice_and_the_map_is_kept():
    random = np.random.default_rng(2)
    y = random.integers(0, 2, 200)
    q = random.random(200)
    p = np.stack([1 - q, q], axis=1)
    weight = np.where(np.arange(200) < 50, 2.0, 1.0)
    twice = np.concatenate([np.arange(200), np.arange(50)])
    one, two = fit_platt(p, y, weight), fit_platt(p[twice], y[twice], np.ones(250))
    assert one.slope == pytest.approx(two.slope, abs=1e-5)
    assert one.intercepts == pytest.approx(two.intercepts, abs=1e-5)
    assert Platt.from_dict(one.to_dict()) == one


def test_no_row_is_mapped_by_its_own_fold():
    random = np.random.default_rng(3)
    y, q, fold = random.integers(0, 2, 90), random.random(90), np.repeat([0, 1, 2], 30)
    p, weight = np.stack([1 - q, q], axis=1), np.ones(90)
    found, whole = map_out_of_fold(p, y, weight, fold)
    turned = np.where(fold == 1, 1 - y, y)
    other, _ = map_out_of_fold(p, turned, weight, fold)
    assert np.array_equal(found[fold == 1], other[fold == 1])
    assert not np.array_equal(found[fold == 0], other[fold == 0])
    assert whole == fit_platt(p, y, weight)
    alone, none = map_out_of_fold(p, y, weight, np.zeros(90, int))
    assert (alone is p, none) == (True, None)
