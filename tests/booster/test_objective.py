"""Objectives shape training only: derivatives are right, weights mean rows, probabilities come back to the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from radboost.booster.objective import CURVATURE_FLOOR, Objective
from radboost.booster.rows import Rows
from radboost.errors import UserError

OBJECTIVES = st.builds(
    Objective,
    class_weight=st.sampled_from(["none", "balanced", "batch"]),
    focal=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.5]),
    soft=st.sampled_from([0.0, 0.1, 0.4]),
)


def rows(classes: int, seed: int = 0, n: int = 12) -> Rows:
    random = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), random.integers(0, classes, n - classes)])
    return Rows(np.zeros((n, 1), np.float32), y, random.uniform(0.5, 2, n), np.arange(n), classes, ())


@settings(max_examples=60, deadline=None)
@given(OBJECTIVES, st.integers(2, 4), st.integers(0, 1000))
def test_derivatives_are_those_of_the_loss(objective: Objective, classes: int, seed: int) -> None:
    train = rows(classes, seed)
    loss = objective.bind(train)
    margin = np.random.default_rng(seed).normal(size=(len(train), 1 if classes == 2 else classes))
    weight = loss.weights(train.y, train.weight)
    first, second = loss.gradient(margin, train.y, train.weight)
    step = 1e-5
    for column in range(margin.shape[1]):
        shift = np.zeros_like(margin)
        shift[:, column] = step
        up, down = (weight * loss.losses(m, train.y) for m in (margin + shift, margin - shift))
        np.testing.assert_allclose(first[:, column], (up - down) / (2 * step), atol=1e-7)
        up, down = (loss.gradient(m, train.y, train.weight)[0][:, column] for m in (margin + shift, margin - shift))
        exact = (up - down) / (2 * step)
        convex = second[:, column] > CURVATURE_FLOOR * 0.26 * weight
        np.testing.assert_allclose(second[convex, column], exact[convex], rtol=1e-5, atol=1e-7)
        assert (second[:, column] >= exact - 1e-6).all(), "where it is floored, it was lower"
        assert (second > 0).all(), "trees divide by it"


@settings(max_examples=40, deadline=None)
@given(OBJECTIVES, st.integers(2, 3), st.integers(0, 1000))
def test_weight_two_is_the_row_twice(objective: Objective, classes: int, seed: int) -> None:
    train = rows(classes, seed)
    count = np.random.default_rng(seed).integers(1, 3, len(train))
    at = np.repeat(np.arange(len(train)), count)
    twice = train.take(at)
    weighted = Rows(train.x, train.y, train.weight * count, train.group, classes, ())
    margin = np.random.default_rng(seed).normal(size=(len(train), 1 if classes == 2 else classes))
    for one, two in zip(objective.gradient(margin, weighted), objective.gradient(margin[at], twice), strict=True):
        total = np.zeros_like(one)
        np.add.at(total, at, two)
        np.testing.assert_allclose(one, total, rtol=1e-10)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["none", "balanced", (0.5, 3.0, 2.0)]),
    st.sampled_from([0.0, 1.0, 2.0, 4.0]),
    st.lists(st.floats(0.02, 1.0), min_size=3, max_size=3),
)
def test_the_corrected_minimiser_is_the_true_distribution(
    weights: str | tuple[float, ...], focal: float, shares: list[float]
) -> None:
    # One row a class with the weight of the class: the best constant margin must be corrected to these very rates.
    train = Rows(np.zeros((3, 1), np.float32), np.arange(3), np.asarray(shares), np.arange(3), 3, ())
    loss = Objective(weights, focal).bind(train)
    weight = loss.weights(train.y, train.weight)

    def total(z: np.ndarray) -> float:
        return float(weight @ loss.losses(np.tile(z, (3, 1)), train.y)) / weight.sum()

    def slope(z: np.ndarray) -> np.ndarray:
        return loss.gradient(np.tile(z, (3, 1)), train.y, train.weight)[0].sum(axis=0) / weight.sum()

    found = minimize(total, np.zeros(3), jac=slope, method="BFGS", options={"gtol": 1e-9})
    p = np.exp(found.x - found.x.max())
    np.testing.assert_allclose(loss.corrected(p / p.sum()), train.rates, atol=1e-5)
    np.testing.assert_allclose(slope(loss.start), 0, atol=1e-9, err_msg="training begins at the best constant")


@settings(max_examples=30, deadline=None)
@given(OBJECTIVES, st.floats(1e-4, 0.5))
def test_training_begins_at_the_base_rate_however_rare(objective: Objective, rate: float) -> None:
    weight = np.array([1 - rate, rate])
    train = Rows(np.zeros((2, 1), np.float32), np.arange(2), weight, np.arange(2), 2, ())
    loss = objective.bind(train)
    p = 1 / (1 + np.exp(-loss.start[0]))
    np.testing.assert_allclose(loss.corrected(np.array([[1 - p, p]])), [train.rates], rtol=1e-9)


def test_balanced_classes_have_the_same_total_weight() -> None:
    train = rows(3, n=50)
    loss = Objective("balanced").bind(train)
    totals = np.bincount(train.y, loss.weights(train.y, train.weight))
    np.testing.assert_allclose(totals, totals[0])
    np.testing.assert_allclose(totals.sum(), train.weight.sum())


def test_two_classes_are_corrected_by_the_odds() -> None:
    train = rows(2)
    p = np.array([[0.3, 0.7]])
    out = Objective((1.0, 4.0)).bind(train).corrected(p)
    np.testing.assert_allclose(out[0, 1] / out[0, 0], 0.7 / 0.3 / 4)
    assert Objective().plain
    assert Objective().bind(train).corrected(p) is p


def test_what_is_out_of_range_is_refused_by_name() -> None:
    for wrong, match in (
        ({"class_weight": "heavy"}, "no such class weight"),
        ({"class_weight": (1.0, 0.0)}, "positive"),
        ({"focal": -1.0}, "gamma"),
        ({"soft": 1.0}, "smoothed"),
    ):
        with pytest.raises(UserError, match=match):
            Objective(**wrong)
    with pytest.raises(UserError, match="2 classes"):
        Objective((1.0, 2.0, 3.0)).bind(rows(2))


def test_a_loss_comes_back_from_json() -> None:
    loss = Objective("balanced", 2.0, 0.1).bind(rows(3))
    again = type(loss).from_dict(loss.to_dict())
    p = np.array([[0.2, 0.3, 0.5]])
    np.testing.assert_array_equal(loss.corrected(p), again.corrected(p))
