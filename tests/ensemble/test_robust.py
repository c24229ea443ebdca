"""Least regret: certified, no worse than either extreme, and the answer an independent solver finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from radboost.ensemble.robust import least_regret
from radboost.ensemble.solver import CERTIFIED_GAP, SolverConfig, solve
from radboost.errors import TableError


def problem(seed: int, rows: int = 300, members: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    stratum = random.random(rows) < 0.5
    # Members that are good in one stratum and poor in the other, so that the two losses disagree.
    skill = random.normal(0, 1, (2, members))
    logit = np.where(stratum[:, None], skill[0], skill[1]) + random.normal(0, 1, (rows, members))
    q = 1 / (1 + np.exp(-logit))
    return q, random.uniform(0.5, 1.5, rows), np.where(stratum, 3.0, 0.3) * random.uniform(0.5, 1.5, rows)


def loss(q: np.ndarray, weight: np.ndarray, a: np.ndarray) -> float:
    return float(-(weight / weight.sum()) @ np.log(q @ a))


@given(st.integers(0, 10_000), st.integers(2, 6))
@settings(max_examples=25, deadline=None)
def test_the_worse_regret_is_the_least_there_is(seed, members):
    q, plain, target = problem(seed, members=members)
    found = least_regret(q, plain, target)
    assert found.gap <= CERTIFIED_GAP
    assert found.weights.sum() == pytest.approx(1, abs=1e-12)
    least = [solve(q, weight).loss for weight in (plain, target)]
    regrets = [loss(q, w, found.weights) - m for w, m in zip((plain, target), least, strict=True)]
    assert regrets == pytest.approx(found.regrets, abs=1e-9)

    # The same by an independent solver: minimise s with both regrets at most s.
    start = np.r_[np.full(members, 1 / members), 1.0]
    constraints = [{"type": "eq", "fun": lambda x: x[:-1].sum() - 1}]
    for w, m in zip((plain, target), least, strict=True):
        constraints.append({"type": "ineq", "fun": lambda x, w=w, m=m: 1e3 * (x[-1] - loss(q, w, np.abs(x[:-1])) + m)})
    other = minimize(
        lambda x: 1e3 * x[-1], start, method="SLSQP", bounds=[(0, 1)] * members + [(0, None)], constraints=constraints,
        options={"ftol": 1e-10, "maxiter": 500},
    )  # fmt: skip
    weights = np.abs(other.x[:-1]) / np.abs(other.x[:-1]).sum()
    theirs = max(loss(q, w, weights) - m for w, m in zip((plain, target), least, strict=True))
    assert max(found.regrets) <= theirs + 1e-8


@pytest.mark.parametrize("seed", range(5))
def test_neither_extreme_regrets_less(seed):
    q, plain, target = problem(seed)
    found = least_regret(q, plain, target)
    for own, other in ((plain, target), (target, plain)):
        a = solve(q, own).weights
        regret = loss(q, other, a) - solve(q, other).loss
        assert max(found.regrets) <= regret + CERTIFIED_GAP


def test_equal_weights_leave_nothing_to_regret():
    q, plain, _ = problem(0)
    found = least_regret(q, plain, 7 * plain)
    assert max(found.regrets) == pytest.approx(0, abs=1e-10)
    np.testing.assert_allclose(found.weights, solve(q, plain).weights, atol=1e-6)


def test_blocks_and_order_of_rows_do_not_show():
    q, plain, target = problem(3)
    whole = least_regret(q, plain, target)
    parts = least_regret(q, plain, target, SolverConfig(block=37))
    turned = least_regret(q[::-1], plain[::-1], target[::-1])
    np.testing.assert_allclose(q @ parts.weights, q @ whole.weights, atol=1e-6)
    np.testing.assert_allclose(q @ turned.weights, q @ whole.weights, atol=1e-6)


@pytest.mark.parametrize("q", [np.ones((20, 3)), np.full((20, 2), 0.5), np.random.default_rng(0).random((20, 1))])
def test_members_that_leave_no_choice(q):
    found = least_regret(q, np.ones(20), np.arange(1.0, 21))
    assert found.gap <= CERTIFIED_GAP


def test_no_weight_at_all_is_refused():
    with pytest.raises(TableError, match="no row has a weight"):
        least_regret(np.full((3, 2), 0.5), np.ones(3), np.zeros(3))
