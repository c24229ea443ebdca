"""The blend's optimum: certified, unique, and the same however its rows are written down."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from radboost.ensemble.solver import CERTIFIED_GAP, SolverConfig, solve
from radboost.errors import SolverError, TableError
from radboost.metrics import CLIP


def members(seed: int, n: int = 150, k: int = 5) -> np.ndarray:
    """Probability of the true class by k noisy members of different skill."""
    random = np.random.default_rng(seed)
    signal = random.normal(size=n)
    y = random.random(n) < 1 / (1 + np.exp(-signal))
    logit = signal[:, None] * random.uniform(0.2, 1.5, k) + random.normal(size=(n, k)) * random.uniform(0.1, 2, k)
    p = 1 / (1 + np.exp(-logit))
    return np.where(y[:, None], p, 1 - p)


def loss(q: np.ndarray, a: np.ndarray, weight: np.ndarray | None = None) -> float:
    return float(-np.average(np.log(np.clip(q, CLIP, 1 - CLIP) @ a), weights=weight))


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Small problems with the corners in: copies, constants, sure and wrong, and tables of 0 and 1 only."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, k = draw(st.sampled_from([1, 2, 3, 5, 20, 150])), draw(st.integers(1, 9))
    q = random.random((n, k)) ** draw(st.sampled_from([0.1, 1.0, 10.0]))
    match draw(st.sampled_from(["plain", "wrong", "sure", "binary", "rounded", "constant", "collinear", "skilled"])):
        case "wrong":
            q[random.random(q.shape) < 0.3] = 0
        case "sure":
            q[random.random(q.shape) < 0.5] = 1
        case "binary":
            q = (q > 0.5).astype(float)
        case "rounded":
            q = q.round(1)
        case "constant":
            q[:] = q[:, :1]
        case "collinear":
            q = np.clip(q @ random.dirichlet(np.ones(k), size=k + 3).T, 0, 1)
        case "skilled":
            q = members(int(random.integers(1 << 30)), n, k)
    return q, random.integers(0, 5, n) + np.eye(1, n)[0]


@given(problems())
@settings(max_examples=150, deadline=None)
def test_always_certified_and_never_worse_than_the_best_member(problem):
    q, weight = problem
    found = solve(q, weight)
    assert found.gap <= CERTIFIED_GAP
    assert (found.weights >= 0).all()
    assert found.weights.sum() == pytest.approx(1, abs=1e-12)
    assert found.loss == pytest.approx(loss(q, found.weights, weight), abs=1e-12)
    assert found.loss <= min(loss(q, e, weight) for e in np.eye(q.shape[1])) + 1e-8
    assert found.loss <= loss(q, np.full(q.shape[1], 1 / q.shape[1]), weight) + 1e-8


@given(problems())
@settings(max_examples=80, deadline=None)
def test_weight_two_is_the_row_twice_and_weight_zero_is_no_row(problem):
    q, weight = problem
    rows = np.repeat(np.arange(len(q)), weight.astype(int))
    once, repeated = solve(q, weight), solve(q[rows])
    assert repeated.loss == pytest.approx(once.loss, abs=1e-10)
    assert repeated.weights == pytest.approx(once.weights, abs=1e-6)


@given(problems(), st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_neither_blocks_nor_row_order_nor_scale_of_weights_matter(problem, block, seed):
    q, weight = problem
    order = np.random.default_rng(seed).permutation(len(q))
    once, other = solve(q, weight), solve(q[order], 7 * weight[order], SolverConfig(block=block))
    assert other.loss == pytest.approx(once.loss, abs=1e-10)
    assert other.weights == pytest.approx(once.weights, abs=1e-6)


@given(problems(), st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_a_copy_of_a_member_moves_no_blended_probability(problem, which):
    # Otherwise a run given twice by mistake would change every prediction.
    q, weight = problem
    copied = np.column_stack([q, q[:, which % q.shape[1]]])
    moved = np.abs(q @ solve(q, weight).weights - copied @ solve(copied, weight).weights)
    assert moved[weight > 0].max() < 1e-6


@given(problems(), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_a_mixture_of_the_members_adds_nothing(problem, seed):
    q, weight = problem
    mixture = q @ np.random.default_rng(seed).dirichlet(np.ones(q.shape[1]))
    more = np.column_stack([q, np.clip(mixture, 0, 1)])
    assert solve(more, weight).loss == pytest.approx(solve(q, weight).loss, abs=1e-8)


@pytest.mark.parametrize("seed", range(25))
def test_agrees_with_an_independent_solver_within_the_certificate(seed):
    random = np.random.default_rng(seed)
    q, weight = members(seed, k=int(random.integers(2, 12))), random.choice([1.0, 2.0, 4.0], 150)
    c, k = weight / weight.sum(), q.shape[1]
    sums_to_one = {"type": "eq", "fun": lambda a: a.sum() - 1, "jac": lambda a: np.ones(k)}
    peer = minimize(
        lambda a: -c @ np.log(q @ a),
        np.full(k, 1 / k),
        jac=lambda a: -(q / (q @ a)[:, None]).T @ c,
        method="SLSQP",
        bounds=[(0, 1)] * k,
        constraints=sums_to_one,
        options={"ftol": 1e-14, "maxiter": 500},
    )
    found = solve(q, weight)
    assert found.loss - found.gap - 1e-12 <= peer.fun
    assert found.loss <= peer.fun + 1e-9


@pytest.mark.parametrize("seed", range(10))
def test_the_certificate_bounds_the_distance_of_any_weights(seed):
    # The inequality itself, away from the optimum, where it can fail if it is wrong.
    q = members(seed)
    a = np.random.default_rng(seed).dirichlet(np.ones(q.shape[1]))
    gradient = -(q / (q @ a)[:, None]).mean(axis=0)
    assert loss(q, a) - solve(q).loss <= math.log((-gradient).max())


def test_ties_are_broken_towards_equal_weights():
    q = members(0, k=2)
    assert solve(np.full((10, 4), 0.3)).weights == pytest.approx([0.25] * 4)
    shared = solve(np.column_stack([q, q[:, 0], q[:, 0]])).weights
    assert shared[[0, 2, 3]] == pytest.approx(solve(q).weights[0] / 3, abs=1e-8)
    # A mixture of two members takes its share of both, within what leaves the probabilities as they are.
    half = solve(np.column_stack([q, q.mean(axis=1)])).weights
    assert half[2] > 0.3


@pytest.mark.parametrize("k", [1, 2])
def test_members_that_are_always_wrong_are_still_solved(k):
    found = solve(np.zeros((20, k)))
    assert found.loss == pytest.approx(-math.log(CLIP))
    assert found.weights == pytest.approx([1 / k] * k, abs=1e-8)


def test_one_sure_mistake_does_not_rule_a_member_out():
    # The second member is far better but for one row, where the pool needs the first.
    q = np.column_stack([np.full(100, 0.5), np.append(np.full(99, 0.95), 0.0)])
    found = solve(q)
    assert 0 < found.weights[0] < 0.1
    assert found.gap <= CERTIFIED_GAP


def test_an_answer_without_a_certificate_is_an_error():
    with pytest.raises(SolverError, match="certified to"):
        solve(members(0), config=SolverConfig(iterations=0))


@pytest.mark.parametrize(
    ("q", "weight", "says"),
    [
        (np.zeros((0, 2)), None, "rows and members"),
        (np.zeros((2, 0)), None, "rows and members"),
        (np.zeros(3), None, "rows and members"),
        ([[0.5], [1.5]], None, "1.5"),
        ([[0.5], [math.nan]], None, "nan"),
        ([[0.5], [0.5]], [1.0], "one weight a row"),
        ([[0.5], [0.5]], [1.0, -1.0], "-1.0"),
        ([[0.5], [0.5]], [0.0, 0.0], "no row has a weight"),
    ],
)
def test_a_bad_problem_is_refused_with_what_was_wrong(q, weight, says):
    with pytest.raises(TableError) as caught:
        solve(q, weight)
    assert says in str(caught.value)
