"""CatBoost keeps what every learner promises; without it, the message names the extra."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from radboost.booster import catboost_trees
from radboost.booster.catboost_trees import fit, load
from radboost.booster.forest import Forest
from radboost.booster.learner import row_loss
from radboost.booster.objective import Objective
from radboost.booster.recipe import Recipe
from radboost.booster.rows import Rows, Span, make_inner
from radboost.data.folder import read_json
from radboost.errors import FormatError, UserError


def rows(n: int = 240, classes: int = 2, seed: int = 0, signal: float = 2.0) -> Rows:
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 8))
    y = (signal * x[:, :1] + random.normal(size=(n, 1)) > 1 + np.arange(classes - 1)).sum(axis=1)
    return Rows(x.astype(np.float32), y, np.ones(n), np.arange(n) // 2, classes, (Span("a", 0, 8, True),))


def loss(model: Forest, at: Rows) -> float:
    return float(row_loss(at.y, model.predict_proba(at.x)).mean())


@pytest.mark.parametrize("classes", [2, 3])
def test_beats_the_prior_on_a_signal_and_comes_back_from_disk(classes: int, tmp_path: Path) -> None:
    train, test = rows(classes=classes), rows(600, classes, seed=1)
    inner = make_inner(train, 0)
    model = fit(train, inner, Recipe(seeds=2))
    p = model.predict_proba(test.x)
    assert p.shape == (600, classes)
    assert loss(model, test) < row_loss(test.y, np.tile(train.rates, (600, 1))).mean() - 0.1
    assert not np.isnan(model.inner).any()
    model.save(tmp_path)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["model.json", "model0.cbm", "model1.cbm"]
    np.testing.assert_array_equal(load(tmp_path, read_json(tmp_path / "model.json")).predict_proba(test.x), p)
    np.testing.assert_array_equal(fit(train, inner, Recipe(seeds=2)).predict_proba(test.x), p)
    (tmp_path / "model1.cbm").write_bytes(b"none")
    with pytest.raises(FormatError, match="damaged"):
        load(tmp_path, read_json(tmp_path / "model.json"))


def test_the_first_trees_are_the_same_however_many_follow() -> None:
    train = rows()
    seen = catboost_trees._Seen(train.x, train.y, train.weight, 2)
    bound = Objective().bind(train)
    few, many = (catboost_trees._grown(seen, bound, Recipe(), 3, n) for n in (20, 60))
    first = many.predict(train.x, prediction_type="RawFormulaVal", ntree_end=20)
    np.testing.assert_array_equal(few.predict(train.x, prediction_type="RawFormulaVal"), first)


def test_weight_two_is_the_row_twice() -> None:
    # Few values a column: its cut points depend on how often a value comes, which a weight does not tell it.
    train = rows(400)
    train = replace(train, x=np.round(train.x))
    weight = np.random.default_rng(3).integers(1, 3, len(train))
    at = np.repeat(np.arange(len(train)), weight)
    weighted = replace(train, weight=weight.astype(float))
    inner = make_inner(weighted, 0)
    one, two = fit(weighted, inner, Recipe()), fit(train.take(at), inner.take(at), Recipe())
    np.testing.assert_allclose(one.predict_proba(train.x), two.predict_proba(train.x), atol=1e-6)


@pytest.mark.parametrize("constant", [True, False])
def test_nothing_to_learn_leaves_the_base_rate(constant: bool) -> None:
    train = rows(signal=0.0)
    train = replace(train, x=np.zeros_like(train.x)) if constant else train
    p = fit(train, make_inner(train, 0), Recipe()).predict_proba(train.x)
    np.testing.assert_allclose(p, np.tile(train.rates, (len(p), 1)), atol=1e-9 if constant else 0.2)


def test_class_weights_are_corrected_back_and_other_losses_refused() -> None:
    train, test = rows(600), rows(1000, seed=1)
    p = fit(train, make_inner(train, 0), Recipe(objective=Objective("balanced"))).predict_proba(test.x)
    assert abs(p[:, 1].mean() - test.y.mean()) < 0.04
    with pytest.raises(UserError, match="focal"):
        fit(train, make_inner(train, 0), Recipe(objective=Objective(focal=2.0)))


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "catboost", None)
    train = rows(40)
    with pytest.raises(UserError, match=r"radboost\[catboost\]"):
        fit(train, make_inner(train, 0), Recipe())
