"""The blend as commands use it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from radboost.data.predictions import COLUMNS, Predictions
from radboost.ensemble.apply import apply_blend
from radboost.ensemble.blend import fit_blend
from radboost.ensemble.policy import Policy
from radboost.ensemble.result import BlendConfig
from radboost.errors import LeakError, MismatchError, TableError, UserError
from radboost.metrics import Bootstrap

FEW = Bootstrap(replicates=30)
TWINS = {("good", "regular"): 1.0, ("good", "weighted"): 0.9, ("fair", "regular"): 0.8}


def by_name(target):
    return {row.name: row for row in target.scores}


def test_headline_is_cross_fitted_and_lies_above_the_in_sample_loss(binary):
    (target,) = fit_blend(binary(), Policy.SAFE, FEW).targets
    rows = by_name(target)
    assert list(rows) == ["blend", "blend, in-sample", "uniform mean", "best member", "prior"]
    assert target.loss == pytest.approx(rows["blend, in-sample"].loss.value, abs=1e-12)
    assert rows["blend"].loss.value > rows["blend, in-sample"].loss.value
    assert rows["blend"].loss.value < rows["prior"].loss.value
    assert rows["prior"].lead.high < 0
    assert rows["best member"].detail == "good"
    assert (target.units, target.groups) == (300, 150)


def test_noise_is_not_better_than_the_prior(binary):
    # The honesty of the headline: over seeds, members that know nothing must not gain from being blended, though
    # their in-sample loss always does.
    from_noise = {(f"noise{i}", "regular"): 0.0 for i in range(6)}
    leads = []
    for seed in range(12):
        (target,) = fit_blend(binary(seed, from_noise), Policy.SAFE, FEW).targets
        rows = by_name(target)
        leads.append(rows["prior"].lead.value)
        assert target.loss < rows["blend"].loss.value
    assert np.mean(leads) > 0
    assert min(leads) > -0.01


@pytest.mark.parametrize("space", ["auto", "prob", "logit"])
def test_blended_predictions_are_those_of_the_other_folds_weights(binary, space):
    source = binary()
    result = fit_blend(source, Policy.SAFE, FEW, BlendConfig(space))
    table = result.predictions.table
    assert list(table.columns) == list(COLUMNS)
    assert set(table["member"]) == {"blend/safe"}
    assert set(table["kind"]) == {"regular"}
    assert set(table["unit"]) == set(source.table["unit"])
    # Refit by hand without fold 3: the blend of fold 3 must be those weights on fold 3's rows.
    others = Predictions(source.table[source.table["fold"] != 3])
    (fitted,) = fit_blend(others, Policy.SAFE, FEW, BlendConfig(space)).targets
    own = source.table[source.table["fold"] == 3].sort_values("unit")
    positive = {m: own.loc[own["member"] == m, "p"].to_numpy() for m in fitted.weights}
    members = {m: np.stack([1 - p, p], axis=1) for m, p in positive.items()}
    blended = table[table["fold"] == 3].sort_values("unit")["p"].to_numpy()
    assert blended == pytest.approx(apply_blend(fitted.weights, members, fitted.intercepts)[:, 1], abs=1e-9)


def test_blends_can_be_blended_again(binary):
    source = binary()
    blend = fit_blend(source, Policy.SAFE, FEW).predictions
    (target,) = fit_blend(Predictions.join([source, blend]), Policy.SAFE, FEW).targets
    assert "blend/safe" in target.weights


def test_three_classes_with_weights_and_unlabelled_units(multi):
    result = fit_blend(multi(), Policy.SAFE, FEW)
    (target,) = result.targets
    assert target.classes == (0, 1, 2)
    assert target.threshold is None
    assert target.units < 200
    wide = result.predictions.table.pivot(index="unit", columns="class", values="p")
    assert wide.shape == (200, 3)
    assert wide.sum(axis=1).to_numpy() == pytest.approx(np.ones(200), abs=1e-12)
    unlabelled = result.predictions.table["y"].isna().sum()
    assert unlabelled == 3 * (200 - target.units)


def test_every_target_has_its_own_weights(binary):
    first = binary(0)
    other = binary(1, {("good", "regular"): 0.0, ("fair", "regular"): 2.0, ("noise", "regular"): 0.0}, target="biopsy")
    both = Predictions(pd.concat([first.table, other.table], ignore_index=True))
    cancer, biopsy = fit_blend(both, Policy.SAFE, FEW, BlendConfig(per_target="own")).targets
    assert (cancer.target, biopsy.target) == ("cancer", "biopsy")
    assert cancer.weights["good"] > 0.5
    assert biopsy.weights["fair"] > 0.5


def test_weight_two_is_the_row_twice(binary):
    table = binary(2).table
    heavy = table["unit"].isin(sorted(table["unit"].unique())[::3])
    weighted = Predictions(table.assign(task_weight=np.where(heavy, 2.0, 1.0)))
    twice = Predictions(pd.concat([table, table[heavy].assign(unit=table["unit"] + "b")], ignore_index=True))
    (a,), (b,) = fit_blend(weighted, Policy.SAFE, FEW).targets, fit_blend(twice, Policy.SAFE, FEW).targets
    assert a.weights == pytest.approx(b.weights, abs=1e-8)
    assert a.threshold == pytest.approx(b.threshold, abs=1e-9)
    for row, copy in zip(a.scores, b.scores, strict=True):
        for name in ("loss", "auc", "pf1", "f1"):
            one, other = getattr(row, name), getattr(copy, name)
            assert one.value == pytest.approx(other.value, abs=1e-9)
            assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-9)


def test_risky_weighs_by_the_target_and_takes_the_weighted_twin(binary):
    source = binary(0, TWINS)
    random = np.random.default_rng(0)
    weight = dict.fromkeys(source.table["unit"], 1.0)
    weight = {unit: random.choice([0.0, 0.5, 3.0]) for unit in weight}
    shifted = Predictions(source.table.assign(target_weight=source.table["unit"].map(weight)))
    safe, risky = fit_blend(shifted, Policy.SAFE, FEW), fit_blend(shifted, Policy.RISKY, FEW)
    assert set(safe.targets[0].weights) == {"good", "fair"}
    assert set(risky.targets[0].weights) == {"good (weighted)", "fair"}
    assert set(risky.predictions.table["kind"]) == {"weighted"}
    assert risky.notes == ()
    # SAFE does not see the target weights at all.
    plain = fit_blend(source, Policy.SAFE, FEW)
    assert safe.targets[0].to_dict() == plain.targets[0].to_dict()


def test_risky_without_target_weights_equals_safe_and_says_so(binary):
    safe, risky = (fit_blend(binary(), policy, FEW) for policy in (Policy.SAFE, Policy.RISKY))
    assert risky.targets[0].weights == safe.targets[0].weights
    assert risky.targets[0].scores == safe.targets[0].scores
    assert any("risky equals safe" in note for note in risky.notes)


def test_hold_out_predictions_are_cross_fitted_over_groups_dealt_anew(binary):
    source = binary()
    (target,) = fit_blend(Predictions(source.table.assign(fold=0)), Policy.SAFE, FEW).targets
    assert any("dealt anew" in note for note in target.notes)
    assert by_name(target)["blend"].loss.value > target.loss


def test_one_class_only_is_said_and_leaves_no_threshold(binary):
    (target,) = fit_blend(Predictions(binary().table.assign(y=0.0)), Policy.SAFE, FEW).targets
    assert target.threshold is None
    assert any("one class" in note for note in target.notes)
    json.dumps(target.to_dict(), allow_nan=False)


def test_result_is_strict_json(binary):
    result = fit_blend(binary(), Policy.SAFE, FEW)
    back = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert back["policy"] == "safe"
    assert back["targets"][0]["weights"] == result.targets[0].weights
    assert back["targets"][0]["scores"][0]["loss"]["low"] == result.targets[0].scores[0].loss.low


def test_predictions_that_do_not_belong_together_are_refused(binary):
    table = binary().table
    other = table.assign(member=table["member"] + "2", fold_hash="1" * 64)
    with pytest.raises(MismatchError, match="different folds"):
        fit_blend(Predictions(pd.concat([table, other], ignore_index=True)), Policy.SAFE, FEW)
    with pytest.raises(LeakError):
        fit_blend(Predictions(table.assign(group="g" + (table["unit"].str[-1] < "5").astype(str))), Policy.SAFE, FEW)
    with pytest.raises(TableError, match="lacks 1 of 300"):
        fit_blend(Predictions(table.iloc[1:]), Policy.SAFE, FEW)
    with pytest.raises(TableError, match="no out-of-fold"):
        fit_blend(Predictions(table.assign(kind="external")), Policy.SAFE, FEW)


def test_apply_blend_needs_only_members_that_carry_weight():
    assert apply_blend({"a": 1.0, "b": 0.0}, {"a": [[0.2, 0.8]]}).tolist() == [[0.2, 0.8]]
    with pytest.raises(MismatchError, match="did not predict"):
        apply_blend({"a": 0.5, "b": 0.5}, {"a": [0.2]})
    with pytest.raises(MismatchError, match="differ in shape"):
        apply_blend({"a": 0.5, "b": 0.5}, {"a": [0.2], "b": [0.2, 0.3]})
    with pytest.raises(TableError, match="none may be missing"):
        apply_blend({"a": 1.0}, {"a": [np.nan]})


def overconfident(predictions: Predictions) -> Predictions:
    """The same members, thrice as sure of themselves."""
    p = predictions.table["p"].clip(1e-6, 1 - 1e-6)
    logit = 3 * np.log(p / (1 - p)) + 1
    return Predictions(predictions.table.assign(p=1 / (1 + np.exp(-logit))))


def test_the_space_is_chosen_by_cross_fitting(binary):
    wild = overconfident(binary(patients=400))
    configs = [BlendConfig(space) for space in ("auto", "prob", "logit")]
    auto, prob, logit = (fit_blend(wild, Policy.SAFE, FEW, config).targets[0] for config in configs)
    # Logits can be calibrated by their sum, probabilities cannot.
    assert auto.space == "logit"
    assert auto.scores[0].loss.value == pytest.approx(logit.scores[0].loss.value)
    assert auto.scores[0].loss.value < prob.scores[0].loss.value
    assert logit.intercepts[0] == 0
    assert prob.intercepts == ()
    assert prob.gap <= 1e-8
    assert logit.gap <= 1e-8


def test_spaces_that_do_not_exist_are_refused(binary):
    with pytest.raises(UserError, match="knows no such choice"):
        fit_blend(binary(), Policy.SAFE, FEW, BlendConfig("odds"))
    with pytest.raises(UserError, match="robust blends in probability space"):
        fit_blend(binary(), Policy.ROBUST, FEW, BlendConfig("logit"))


def test_a_logit_blend_of_nothing_is_its_intercepts():
    found = apply_blend({"a": 0.0}, {"a": np.full((3, 2), 0.5)}, (0.0, np.log(3.0)))
    np.testing.assert_allclose(found, [[0.25, 0.75]] * 3)
    assert apply_blend({"a": 0.0}, {}, (0.0, np.log(3.0)), units=3).tolist() == found.tolist(), (
        "its members may be gone"
    )
