"""The blend in logit space: certified, unique, and what an independent solver finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from radboost.ensemble.logit import RIDGE, log_probabilities, softmax_pool, solve_logit
from radboost.ensemble.solver import CERTIFIED_GAP, SolverConfig
from radboost.errors import TableError


def problem(seed: int, rows: int = 200, members: int = 3, classes: int = 2):
    random = np.random.default_rng(seed)
    label = random.integers(0, classes, rows)
    skill = random.uniform(0, 2, members)
    z = skill[None, :, None] * np.eye(classes)[label][:, None] + random.normal(0, 1, (rows, members, classes))
    p = np.exp(z) / np.exp(z).sum(axis=2, keepdims=True)
    return log_probabilities(p), label, random.uniform(0.2, 2, rows)


def objective(x, logs, label, weight) -> float:
    members = logs.shape[1]
    p = softmax_pool(logs, x[:members], np.r_[0, x[members:]])
    away = x - np.r_[np.full(members, 1 / members), np.zeros(len(x) - members)]
    return float(-(weight / weight.sum()) @ np.log(p[np.arange(len(label)), label]) + RIDGE / 2 * away @ away)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 4))
@settings(max_examples=30, deadline=None)
def test_the_optimum_is_certified_and_no_other_solver_finds_a_better_one(seed, members, classes):
    logs, label, weight = problem(seed, 150, members, classes)
    found = solve_logit(logs, label, weight)
    assert found.gap <= CERTIFIED_GAP
    assert (found.weights >= 0).all()
    assert found.intercepts[0] == 0
    x = np.r_[found.weights, found.intercepts[1:]]
    bounds = [(0, None)] * members + [(None, None)] * (classes - 1)
    other = minimize(
        objective, np.r_[np.full(members, 0.5), np.zeros(classes - 1)], (logs, label, weight), bounds=bounds
    )
    assert objective(x, logs, label, weight) <= other.fun + CERTIFIED_GAP
    # The certificate holds: nothing lies further below than it says.
    assert other.fun >= objective(x, logs, label, weight) - found.gap - 1e-12


@pytest.mark.parametrize("classes", [2, 3])
def test_order_blocks_and_doubled_rows_do_not_show(classes):
    logs, label, weight = problem(1, classes=classes)
    whole = solve_logit(logs, label, weight)
    for other in (
        solve_logit(logs[::-1], label[::-1], weight[::-1]),
        solve_logit(logs, label, weight, SolverConfig(block=17)),
        solve_logit(logs, label, 9 * weight),
        solve_logit(np.r_[logs, logs[:50]], np.r_[label, label[:50]], np.r_[weight, np.zeros(50)]),
    ):
        np.testing.assert_allclose(other.weights, whole.weights, atol=1e-7)
        np.testing.assert_allclose(other.intercepts, whole.intercepts, atol=1e-7)
    doubled = solve_logit(logs, label, np.where(np.arange(200) < 50, 2.0, 1.0))
    repeated = solve_logit(np.r_[logs, logs[:50]], np.r_[label, label[:50]], np.ones(250))
    np.testing.assert_allclose(doubled.weights, repeated.weights, atol=1e-7)


def test_a_copy_of_a_member_changes_nothing():
    logs, label, weight = problem(2)
    alone = solve_logit(logs, label, weight)
    copied = solve_logit(np.concatenate([logs, logs[:, :1]], axis=1), label, weight)
    p, q = (
        softmax_pool(values, found.weights, found.intercepts)
        for values, found in ((logs, alone), (np.concatenate([logs, logs[:, :1]], axis=1), copied))
    )
    np.testing.assert_allclose(p, q, atol=1e-6)
    # The copies share what the one had.
    assert copied.weights[0] == pytest.approx(copied.weights[-1], abs=1e-6)


@pytest.mark.parametrize("kind", ["perfect", "wrong", "constant", "single"])
def test_members_that_break_other_solvers(kind):
    random = np.random.default_rng(3)
    label = random.integers(0, 2, 120)
    sure = np.stack([1.0 - label, label], axis=1)
    p = np.stack([sure if kind != "wrong" else 1 - sure, random.dirichlet([1, 1], 120)], axis=1)
    if kind == "constant":
        p[:] = 0.5
    if kind == "single":
        p = p[:, 1:]
    found = solve_logit(log_probabilities(p), label, np.ones(120))
    assert found.gap <= CERTIFIED_GAP
    assert np.isfinite(found.weights).all()
    if kind == "wrong":
        assert found.weights[0] == pytest.approx(0, abs=1e-9)  # a weight is never negative


def test_it_calibrates_what_is_too_sure_of_itself():
    random = np.random.default_rng(4)
    truth = random.normal(0, 1, 4000)
    label = (random.random(4000) < 1 / (1 + np.exp(-truth))).astype(int)
    # Thrice as sure as it should be, and shifted.
    p = 1 / (1 + np.exp(-(3 * truth + 2)))
    found = solve_logit(log_probabilities(np.stack([1 - p, p], axis=1)[:, None]), label, np.ones(4000))
    assert found.weights[0] == pytest.approx(1 / 3, abs=0.05)
    assert found.intercepts[1] == pytest.approx(-2 / 3, abs=0.12)


@pytest.mark.parametrize("weight", [np.zeros(200), np.full(200, -1.0), np.full(200, np.nan), np.ones(3)])
def test_rows_without_weight_are_refused(weight):
    logs, label, _ = problem(0)
    with pytest.raises(TableError):
        solve_logit(logs, label, weight)
