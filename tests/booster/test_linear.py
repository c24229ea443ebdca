"""The elastic net: a true optimum, taken only where few of many columns tell something."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from radboost.booster import linear
from radboost.booster.elastic import RATIOS, Weighted, elastic_path, pays, strengths_from
from radboost.booster.learner import load_fitted, row_loss
from radboost.booster.objective import Objective
from radboost.booster.recipe import Recipe
from radboost.booster.rows import Rows, Span, make_inner


def rows(n: int = 400, told: int = 2, seed: int = 0, columns: int = 80) -> Rows:
    """`told` of the columns tell the label, together as much whatever their number."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, columns))
    margin = 2 * x[:, :told].sum(axis=1) / np.sqrt(told)
    y = (margin + random.logistic(size=n) > 1).astype(np.int64)
    x32 = (x / np.sqrt(columns)).astype(np.float32)
    return Rows(x32, y, random.uniform(0.5, 2, n), np.arange(n), 2, (Span("image", 0, columns, True),))


def loss(model: linear.Logistic, test: Rows) -> float:
    return float(np.average(row_loss(test.y, model.predict_proba(test.x)), weights=test.weight))


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_path_ends_in_optima(ratio: float) -> None:
    train = rows()
    weighted = Weighted(train.x.astype(float), train.y, train.weight / train.weight.sum())
    strengths = strengths_from(weighted, ratio)
    kept = []
    for strength, (b, offset) in zip(strengths, elastic_path(weighted, ratio, strengths, 1e-7), strict=True):
        p = 1 / (1 + np.exp(-(weighted.x @ b + offset)))
        slope = weighted.x.T @ (weighted.weight * (p - weighted.y)) + strength * (1 - ratio) * b
        # The subgradient of the penalty takes up the slope: exactly where a column is kept, within bounds elsewhere.
        inside = b != 0
        np.testing.assert_allclose(slope[inside], -strength * ratio * np.sign(b[inside]), atol=1e-7)
        assert (np.abs(slope[~inside]) <= strength * ratio * (1 + 1e-6)).all()
        assert abs(weighted.weight @ (p - weighted.y)) < 1e-7
        kept.append(int(inside.sum()))
    assert kept[0] == 0, "the first strength leaves out every column"
    assert kept[-1] > kept[1] > 0


def test_few_telling_columns_are_found_and_many_left_to_the_ridge(tmp_path: Path) -> None:
    gains = []
    for seed in range(3):
        train, test = rows(seed=seed), rows(2000, seed=100 + seed)
        inner = make_inner(train, 0)
        model = linear.fit(train, inner, Recipe())
        assert model.sparse is not None
        assert (model.coefficients != 0).sum() < 40
        search = linear._Search(train, inner, Objective())
        found = linear._solve(train, search.whole, linear._penalties(train, model.strengths), 1e-9)
        gains.append(loss(linear.Logistic(*found, model.strengths, model.loss), test) - loss(model, test))
    assert min(gains) > 0.01, "the ridge that it replaced was worse"
    model.save(tmp_path)
    again = load_fitted(tmp_path)
    np.testing.assert_array_equal(again.predict_proba(test.x), model.predict_proba(test.x))
    assert again.sparse == model.sparse
    everywhere = rows(told=80)
    assert linear.fit(everywhere, make_inner(everywhere, 0), Recipe()).sparse is None


def test_weight_two_is_the_row_twice() -> None:
    train, test = rows(200), rows(50, seed=1)
    weight = np.random.default_rng(3).integers(1, 3, len(train))
    at = np.repeat(np.arange(len(train)), weight)
    one, two = replace(train, weight=weight.astype(float)), replace(train, weight=np.ones(len(train))).take(at)
    inner = make_inner(one, 0)
    models = linear.fit(one, inner, Recipe()), linear.fit(two, inner.take(at), Recipe())
    assert models[0].sparse is not None
    np.testing.assert_allclose(*(m.predict_proba(test.x) for m in models), atol=1e-6)


def test_class_weights_are_corrected_back() -> None:
    train, test = rows(800, told=20), rows(4000, told=20, seed=1)
    model = linear.fit(train, make_inner(train, 0), Recipe(objective=Objective((1.0, 8.0), focal=2.0)))
    assert abs(np.average(model.predict_proba(test.x)[:, 1], weights=test.weight) - test.y.mean()) < 0.03
    assert model.loss.focal == 0, "the log loss is what keeps it convex"


def test_a_path_that_costs_too_much_is_not_begun() -> None:
    assert pays(1000, 128)
    assert not pays(1000, 8)
    assert not pays(100_000, 512)
