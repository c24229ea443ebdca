"""Targets that share their weights, and members that are not always there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from radboost.data.predictions import Predictions
from radboost.ensemble.apply import apply_blend
from radboost.ensemble.blend import fit_blend
from radboost.ensemble.panel import Panel, fill
from radboost.ensemble.plan import Plan, fit_plan, predict_plan
from radboost.ensemble.policy import Policy
from radboost.ensemble.result import BlendConfig
from radboost.ensemble.solver import CERTIFIED_GAP, solve
from radboost.errors import TableError, UserError
from radboost.metrics import Bootstrap, log_loss

FEW = Bootstrap(replicates=20)
FOLDS = frozenset(range(5))
MEMBERS = (0, 1, 2)


@pytest.fixture
def panels(binary) -> tuple[Panel, Panel]:
    other = {("good", "regular"): 0.2, ("fair", "regular"): 1.5, ("noise", "regular"): 0.0}
    (first,), (second,) = binary(0).blocks(), binary(1, other, target="biopsy", prevalence=0.1).blocks()
    return Panel.of(first, first.task_weight), Panel.of(second, 2 * second.task_weight)


def two_targets(binary) -> Predictions:
    other = {("good", "regular"): 0.2, ("fair", "regular"): 1.5, ("noise", "regular"): 0.0}
    table = binary(1, other, target="biopsy").table
    # The same patients and folds, as in one cohort.
    first = binary(0).table
    table = table.assign(fold=first["fold"].to_numpy())
    return Predictions(pd.concat([first, table], ignore_index=True))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_target_s_weights_minimise_its_loss_plus_a_share_of_the_others(panels, share):
    fits = fit_plan(panels, Plan("prob", share, MEMBERS), FOLDS)
    for k, fit in enumerate(fits):
        factors = [1.0 if i == k else share for i in range(2)]
        q = np.concatenate([p.q for p in panels])
        weight = np.concatenate([f * p.weight for f, p in zip(factors, panels, strict=True)])
        assert fit.weights == pytest.approx(solve(q, weight).weights, abs=1e-9)
        assert fit.gap <= CERTIFIED_GAP
    assert (fits[0].weights == fits[1].weights).all() == (share == 1)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_shared_logit_weights_have_intercepts_of_each_target_and_are_what_another_solver_finds(panels, share):
    fits = fit_plan(panels, Plan("logit", share, MEMBERS), FOLDS)
    factors = np.array([1.0, share])
    diffs = [p.logs[:, :, 1] - p.logs[:, :, 0] for p in panels]

    def loss(x: np.ndarray) -> float:
        total = 0.0
        for f, d, p, b in zip(factors, diffs, panels, x[3:], strict=True):
            total += f * (p.weight @ np.logaddexp(0, -(2 * p.label - 1) * (d @ x[:3] + b)))
        return total / sum(f * p.weight.sum() for f, p in zip(factors, panels, strict=True))

    other = minimize(loss, np.r_[np.full(3, 0.4), 0, 0], bounds=[(0, None)] * 3 + [(None, None)] * 2, tol=1e-12)
    x = np.r_[fits[0].weights, fits[0].intercepts[1], 0]
    if share == 1:
        x[4] = fits[1].intercepts[1]
        assert fits[0].intercepts != fits[1].intercepts
        assert loss(x) <= other.fun + 1e-8
    assert fits[0].weights == pytest.approx(other.x[:3], abs=2e-3)
    assert max(fit.gap for fit in fits) <= CERTIFIED_GAP


def test_one_vector_for_all_targets_unless_told(binary):
    shared, own, shrunk = (
        fit_blend(two_targets(binary), Policy.SAFE, FEW, BlendConfig("prob", how, keep_all=True))
        for how in ("shared", "own", "shrunk")
    )
    first, second = shared.targets
    assert first.weights == second.weights
    assert own.targets[0].weights["good"] > own.targets[1].weights["good"] + 0.3
    # Targets that differ as much as these are left their own weights by the shrinkage that cross-fitting chooses.
    assert shrunk.targets[0].share < 1
    assert [t.share for t in (*shared.targets, *own.targets)] == [1, 1, 0, 0]
    total = {
        name: sum(t.scores[0].loss.value for t in result.targets)
        for name, result in (("shared", shared), ("own", own), ("shrunk", shrunk))
    }
    assert total["own"] < total["shared"]
    assert total["shrunk"] < total["shared"]
    with pytest.raises(UserError, match="Give one of shared, own, shrunk"):
        BlendConfig(per_target="alone")


def test_sharing_helps_where_targets_are_alike_and_patients_few(binary):
    # Six labels that the same members read alike: a vector each is fitted to noise.
    gains = []
    for seed in range(4):
        skills = {(f"m{k}", "regular"): s for k, s in enumerate((1.0, 0.8, 0.6, 0.4, 0.2))}
        tables = [binary(10 * seed + k, skills, patients=60, target=f"t{k}").table for k in range(6)]
        fold = tables[0]["fold"].to_numpy()
        joined = Predictions(pd.concat([t.assign(fold=fold) for t in tables], ignore_index=True))
        losses = [
            sum(t.scores[0].loss.value for t in fit_blend(joined, Policy.SAFE, FEW, config).targets)
            for config in (BlendConfig("prob", how, keep_all=True) for how in ("shared", "own"))
        ]
        gains.append(losses[1] - losses[0])
    assert np.mean(gains) > 0


def test_rows_that_a_member_lacks_are_blended_by_the_others_weights(panels):
    panel = panels[0]
    random = np.random.default_rng(0)
    present = random.random(panel.q.shape) < 0.7
    present[~present.any(axis=1), 0] = True
    block_p = np.where(present[:, :, None], panel.p, np.nan)
    for space in ("prob", "logit"):
        lacking = replace(
            panel, p=fill(panel.p, present, np.ones(3)), q=fill(panel.q, present, np.ones(3)), present=present
        )
        plan = Plan(space, 1.0, MEMBERS)
        (fit,) = fit_plan([lacking], plan, FOLDS)
        assert fit.gap <= CERTIFIED_GAP
        p = predict_plan(lacking, plan, fit)
        for row in (0, 1, 5, int(np.flatnonzero(~present.all(axis=1))[0])):
            there = np.flatnonzero(present[row])
            share = fit.weights[there] / fit.weights[there].sum()
            if space == "prob":
                expected = share @ panel.p[row, there, 1]
            else:
                logits = np.log(panel.p[row, there, 1] / panel.p[row, there, 0])
                z = fit.weights.sum() * share @ logits + fit.intercepts[1]
                expected = 1 / (1 + np.exp(-z))
            assert p[row, 1] == pytest.approx(expected, abs=1e-9)
        weights = {f"m{k}": float(w) for k, w in enumerate(fit.weights)}
        members = {f"m{k}": block_p[:, k] for k in range(3)}
        again = apply_blend(weights, members, fit.intercepts, missing="renormalise")
        assert again == pytest.approx(p, abs=1e-12)


def test_a_member_that_lacks_rows_counts_there_as_the_mean_of_the_others_while_weights_are_fitted(panels):
    panel = panels[0]
    present = np.random.default_rng(1).random(panel.q.shape) < 0.6
    present[:, 0] = True
    lacking = replace(panel, q=fill(panel.q, present, np.ones(3)), present=present)
    for members in (MEMBERS, (0, 2)):
        (fit,) = fit_plan([lacking], Plan("prob", 1.0, members), FOLDS)
        q, there = panel.q[:, members], present[:, members]
        mean = (q * there).sum(axis=1) / there.sum(axis=1)
        expected = solve(np.where(there, q, mean[:, None]), panel.weight)
        assert fit.weights[list(members)] == pytest.approx(expected.weights, abs=1e-9)


def test_a_member_that_is_never_there_and_one_that_always_is(binary):
    source = binary().table
    ghost = source[(source["member"] == "fair") & (source["unit"] == "u00000")].assign(member="ghost")
    with pytest.raises(TableError, match="renormalise"):
        fit_blend(Predictions(pd.concat([source, ghost], ignore_index=True)), Policy.SAFE, FEW)
    with_ghost = Predictions(pd.concat([source, ghost], ignore_index=True))
    spread = fit_blend(with_ghost, Policy.SAFE, FEW, BlendConfig(missing="renormalise")).targets[0]
    plain = fit_blend(Predictions(source), Policy.SAFE, FEW).targets[0]
    assert spread.scores[0].loss.value == pytest.approx(plain.scores[0].loss.value, abs=5e-3)
    whole = fit_blend(Predictions(source), Policy.SAFE, FEW, BlendConfig(missing="renormalise"))
    assert whole.targets[0].to_dict() == plain.to_dict()


def test_runs_that_cover_different_patients_are_blended_together(binary):
    source = binary(3, patients=300)
    unit = source.table["unit"].str[1:].astype(int)
    # One run knows the first two thirds of the units, the other the last two.
    half = Predictions(
        source.table[
            ((source.table["member"] == "good") & (unit < 400)) | ((source.table["member"] == "fair") & (unit >= 200))
        ]
    )
    result = fit_blend(half, Policy.SAFE, FEW, BlendConfig("prob", missing="renormalise"))
    target = result.targets[0]
    assert target.units == 600
    table = result.predictions.table
    alone = source.table[(source.table["member"] == "good") & (unit < 200)].set_index("unit")["p"]
    blended = table.set_index("unit")["p"].loc[alone.index]
    assert blended.to_numpy() == pytest.approx(alone.to_numpy(), abs=1e-12)
    y = table["y"].to_numpy()
    assert log_loss(y.astype(int), table["p"].to_numpy()) == pytest.approx(target.scores[0].loss.value)


def test_a_unit_without_any_member_of_weight_is_not_predicted():
    found = apply_blend({"a": 1.0, "b": 0.0}, {"a": [np.nan, 0.3], "b": [0.1, 0.2]}, missing="renormalise")
    assert found == pytest.approx([0.1, 0.3])
    none = apply_blend({"a": 1.0, "b": 0.0}, {"a": [np.nan, 0.3]}, missing="renormalise")
    assert none == pytest.approx([np.nan, 0.3], nan_ok=True)
    assert apply_blend({"a": 0.5, "b": 0.5}, {"b": [0.2]}, missing="renormalise") == pytest.approx([0.2])
