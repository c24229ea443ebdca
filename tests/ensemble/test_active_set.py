"""The quadratic programme inside the solver."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

from radboost.ensemble.active_set import nonnegative_quadratic


@pytest.mark.parametrize("seed", range(40))
def test_equals_non_negative_least_squares(seed):
    random = np.random.default_rng(seed)
    size = int(random.integers(1, 12))
    root = random.normal(size=(size + 3, size)) * 10 ** random.uniform(-3, 3, size)
    goal = random.normal(size=size + 3)
    found = nonnegative_quadratic(root.T @ root, -root.T @ goal, np.abs(random.normal(size=size)))
    expected, _ = nnls(root, goal)
    assert np.linalg.norm(root @ found - goal) <= np.linalg.norm(root @ expected - goal) * (1 + 1e-10)
    assert root @ found == pytest.approx(root @ expected, abs=1e-6)
    assert (found >= 0).all()


def test_ends_at_zero_when_everything_costs():
    assert nonnegative_quadratic(np.eye(3), np.ones(3), np.full(3, 1 / 3)).tolist() == [0, 0, 0]


def test_a_start_on_the_border_can_leave_it():
    assert nonnegative_quadratic(np.eye(2), np.array([-1.0, -2.0]), np.zeros(2)).tolist() == [1, 2]
