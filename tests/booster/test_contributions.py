"""Shares add up: to the margin of each library's model, to a model's probability, to a member's prediction."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from radboost.booster import boosting
from radboost.booster.contributions import EXACT, SAMPLED, Asked, model_shares
from radboost.booster.crossfit import BoostConfig, fit_boost
from radboost.booster.design import build_design
from radboost.booster.forest import Forest
from radboost.booster.learner import Fitted, fit_learner
from radboost.booster.member import MemberModel
from radboost.booster.objective import Objective
from radboost.booster.recipe import Recipe
from radboost.booster.rows import Rows, Span, make_inner
from radboost.booster.shares import through_each, through_margin
from radboost.booster.why import member_shares

COLUMNS = np.arange(6)
GROUP = np.array([0, 0, 1, 2, 2, 2])


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "ROUNDS", 10)


def rows(classes: int = 2, n: int = 160) -> Rows:
    random = np.random.default_rng(classes)
    x = random.normal(size=(n, 6)).astype(np.float32)
    score = 2 * x[:, 0] + x[:, 2] * x[:, 3] + 0.5 * random.normal(size=n)
    y = np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1]))
    return Rows(x, y, np.ones(n), np.arange(n) // 2, classes, (Span("a", 0, 3, True), Span("b", 3, 6, False)))


def fitted(name: str, classes: int = 2, **recipe: Any) -> Fitted:
    train = rows(classes)
    return fit_learner(name, train, make_inner(train, 0), Recipe(**recipe))


def shares(model: MemberModel, classes: int = 2) -> tuple[np.ndarray, np.ndarray, str]:
    return model_shares(model, Asked(rows(classes).x, np.arange(12), GROUP, 3))


@pytest.mark.parametrize("m", [1, 3, 4])
def test_shares_of_a_margin_sum_to_the_difference_of_probabilities(m: int) -> None:
    random = np.random.default_rng(m)
    start, parts = random.normal(size=(50, m)), 3 * random.normal(size=(50, 5, m))
    base, out = through_margin(start, parts)
    assert out.shape == (50, 5, max(2, m))
    stop, nothing = through_margin(start + parts.sum(axis=1), np.zeros((50, 1, m)))
    np.testing.assert_allclose(base + out.sum(axis=1), stop, atol=1e-12)
    assert not nothing.any()
    # What one class wins the others lose.
    np.testing.assert_allclose(out.sum(axis=2), 0, atol=1e-6)


def test_of_two_classes_shares_keep_their_proportions() -> None:
    start, parts = np.array([[-1.0]]), np.array([[[2.0], [-0.5], [1.0]]])
    _, out = through_margin(start, parts)
    np.testing.assert_allclose(out[0, :, 1], (expit(1.5) - expit(-1)) / 2.5 * parts[0, :, 0], atol=1e-10)


def test_shares_that_cancel_keep_the_slope_of_the_map() -> None:
    base, out = through_each(np.log, np.array([[0.25]]), np.array([[[0.1], [-0.1]]]))
    np.testing.assert_allclose(base, np.log(0.25))
    np.testing.assert_allclose(out[0, :, 0], [0.4, -0.4], rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "catboost"])
def test_the_libraries_values_sum_to_their_margins(name: str, classes: int) -> None:
    if name == "catboost":
        pytest.importorskip("catboost")
    model = fitted(name, classes)
    assert isinstance(model, Forest)
    assert model.models
    x = rows(classes).x
    start = np.tile(model.loss.start, (len(x), 1))
    for told, margin in zip(
        model.trees.told(model.models, x, start), model.trees.margins(model.models, x, start), strict=True
    ):
        assert told.shape == (len(x), 7, start.shape[1])
        np.testing.assert_allclose(told.sum(axis=1), margin, atol=2e-6)
        # Columns that tell nothing are left alone, those that tell are not.
        assert np.abs(told[:, 0]).mean() > 5 * np.abs(told[:, 5]).mean()


OBJECTIVES = {"plain": Objective(), "focal": Objective(class_weight="balanced", focal=2.0)}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ["logistic", "xgboost", "lightgbm", "mlp"])
def test_shares_sum_to_the_models_probability(name: str, classes: int, objective: str) -> None:
    model = MemberModel(
        ((fitted(name, classes, seeds=2, objective=OBJECTIVES[objective]), COLUMNS),), rows(classes).rates
    )
    base, parts, how = shares(model, classes)
    wanted = model.predict_proba(rows(classes).x[:12])
    np.testing.assert_allclose(base + parts.sum(axis=1), wanted, atol=2e-6)
    assert how == (SAMPLED if name == "mlp" else EXACT)
    assert np.abs(parts[:, 0]).mean() > 0.02


def test_two_parts_add_their_evidence() -> None:
    image, metadata = np.arange(3), np.arange(3, 6)
    train = rows()
    parts = []
    for name, columns in (("logistic", image), ("lightgbm", metadata)):
        cut = train.only(["a"] if name == "logistic" else ["b"])
        parts.append((fit_learner(name, cut, make_inner(cut, 0), Recipe()), columns))
    model = MemberModel(tuple(parts), train.rates)
    base, found, _ = shares(model)
    np.testing.assert_allclose(base + found.sum(axis=1), model.predict_proba(train.x[:12]), atol=2e-6)


def test_hidden_blocks_get_what_they_add_on_average_over_orders() -> None:
    """Of three blocks all six orders can be tried: sampled shares are the true ones within what eight orders miss."""

    class Says:
        inner = np.empty((0, 0))

        def predict_proba(self, x: np.ndarray) -> np.ndarray:
            p = expit(x[:, 0] + x[:, 2] * x[:, 3])
            return np.stack([1 - p, p], axis=1)

    x = rows().x
    _, parts, how = model_shares(MemberModel(((Says(), COLUMNS),), rows().rates), Asked(x, np.arange(12), GROUP, 3))
    wanted = np.zeros((12, 3))
    for order in permutations(range(3)):
        shown = np.zeros(6, bool)
        for number in order:
            before = Says().predict_proba(np.where(shown, x[:12], 0))[:, 1]
            shown |= number == GROUP
            wanted[:, number] += (Says().predict_proba(np.where(shown, x[:12], 0))[:, 1] - before) / 6
    assert how == SAMPLED
    np.testing.assert_allclose(parts[:, :, 1].sum(axis=1), wanted.sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(parts[:, :, 1], wanted, atol=0.06)


def test_a_members_shares_name_views_differences_and_fields(make: Callable[..., Any]) -> None:
    cohort, store = make(patients=30, signal=1.5, age=1.0, folds=2)
    for learner, share in (("logistic", False), ("lightgbm", True)):
        config = BoostConfig(learners=(learner,), workers=1, share_bins=share)
        run = fit_boost(cohort, [store], config)
        design = build_design(cohort, [store])
        at = np.arange(8)
        members = [m for m in run.members if m[1] == "regular"]
        found = member_shares(run, design, at, members, ("cancer", run.folds))
        p = run.predict(design.take(at), members)
        for each in found:
            np.testing.assert_allclose(each.p, p[each.member]["cancer"], atol=5e-6)
            np.testing.assert_allclose(each.base + each.parts.sum(axis=1), each.p, atol=1e-12)
        fused = next(each for each in found if each.member[0] == f"{learner}/fused")
        named = {(b.kind, b.name) for b in fused.blocks}
        assert named >= {("own", "CC"), ("own", "MLO"), ("difference", "CC"), ("metadata", "age"), ("metadata", "site")}
        # Members of one kind of columns owe nothing to the other.
        for each in found:
            owed = {b.kind: np.abs(each.parts[:, number]).max() for number, b in enumerate(each.blocks)}
            block = each.member[0].rpartition("/")[2]
            assert block != "image" or owed["metadata"] == 0
            assert block != "metadata" or (owed["own"] == owed["difference"] == 0 < owed["metadata"])


def test_only_one_folds_models_are_asked(make: Callable[..., Any]) -> None:
    cohort, store = make(patients=20, signal=1.5, folds=2)
    run = fit_boost(cohort, [store], BoostConfig(learners=("logistic",), blocks=("image",), workers=1))
    design = build_design(cohort, [store])
    at = np.flatnonzero(design.fold == 1)[:5]
    (found,) = member_shares(run, design, at, [("logistic/image", "regular")], ("cancer", [1]))
    table = run.predictions.table.query("member == 'logistic/image' and `class` == 1").set_index("unit")
    np.testing.assert_allclose(found.p[:, 1], table["p"].reindex(design.unit[at]), atol=1e-6)
