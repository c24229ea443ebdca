"""Expected calibration error."""

from __future__ import annotations

import math

import numpy as np
import pytest

from radboost.metrics import ece


def test_probabilities_that_are_the_rates_have_none_and_a_shift_is_found():
    random = np.random.default_rng(0)
    p = random.uniform(0.1, 0.6, 40_000)
    y = (random.random(p.size) < p).astype(int)
    assert ece(y, p) < 0.01
    assert ece(y, p + 0.3) == pytest.approx(0.3, abs=0.01)


def test_weight_two_is_the_row_twice_and_neither_order_nor_scale_shows():
    random = np.random.default_rng(1)
    p, y, weight = random.random(200).round(2), random.integers(0, 2, 200), random.integers(0, 3, 200).astype(float)
    rows = random.permutation(np.repeat(np.arange(200), weight.astype(int)))
    assert ece(y, p, weight) == pytest.approx(ece(y[rows], p[rows]), abs=1e-12)
    assert ece(y, p, 7 * weight) == pytest.approx(ece(y, p, weight), abs=1e-12)


def test_several_classes_are_each_set_against_the_rest():
    p = np.array([[0.2, 0.3, 0.5], [0.6, 0.2, 0.2]])
    y = np.array([2, 0])
    each = [ece((y == k).astype(int), p[:, k]) for k in range(3)]
    assert ece(y, p) == pytest.approx(np.mean(each))


def test_no_row_of_weight_is_not_defined():
    assert math.isnan(ece([1, 0], [0.2, 0.3], [0, 0]))
