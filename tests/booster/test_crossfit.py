"""Cross-fitting end to end: no patient is predicted by a model that saw it, and noise stays noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radboost.booster import boosting
from radboost.booster.columns import Columns
from radboost.booster.crossfit import BoostConfig, fit_boost
from radboost.booster.design import build_design
from radboost.booster.learner import DEFAULT_LEARNERS
from radboost.booster.run import Key, Run
from radboost.booster.score import score_predictions
from radboost.data.task import Target
from radboost.errors import ExistsError, FormatError, LeakError, MismatchError, UserError
from radboost.metrics import Bootstrap

QUICK = BoostConfig(learners=("logistic", "xgboost"), workers=1)


def scores(run: Run) -> dict[str, object]:
    return {f"{s.target} {s.member} {s.kind}": s for s in score_predictions(run.predictions, Bootstrap(replicates=200))}


@pytest.fixture(scope="module")
def fitted(make):
    """A run on a clear signal with target weights and two kinds of members."""
    cohort, store = make(patients=40, signal=1.5, folds=2)
    weights = dict(zip(cohort.units["unit"], np.tile([0.0, 1.0, 2.0, 1.0], 20), strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "ROUNDS", 60)
        return cohort, store, fit_boost(cohort, [store], replace(QUICK, weights=weights))


NOISE = {"patients": 80, "folds": 3, "width": 128, "signature": 3.0, "noise": 0.05, "both_sick": True}
"""All crops of a patient are nearly one vector, and its two sides share the label: who knows the patient knows all."""


@pytest.mark.parametrize("learner", DEFAULT_LEARNERS)
def test_noise_with_a_patient_signature_scores_no_better_than_the_prior(make, learner: str) -> None:
    cohort, store = make(**NOISE)
    run = fit_boost(cohort, [store], BoostConfig(learners=(learner,), workers=2))
    for score in score_predictions(run.predictions, Bootstrap(replicates=300))[1:]:
        assert score.gain[1] <= 0, f"{score.member} beats the prior on noise"
        # A few dozen patients mislead any inner choice a little; without the fall-back it would cost .2 and more.
        assert score.gain[0] > -0.15, f"{score.member} is much worse than the prior"
        # Below .5 is no skill either: a fold rich in positives is predicted from folds that are poor in them.
        assert score.auc[1] <= 0.5, score.member


def test_that_noise_would_be_learnt_if_a_patient_straddled(make) -> None:
    """The counter-check: the same cohort, with each side called a patient of its own, looks brilliant."""
    cohort, store = make(**NOISE)
    manifest, targets = cohort.manifest.copy(), cohort.targets.copy()
    manifest["group"] = manifest["group"] + "_" + manifest["laterality"]
    targets["group"] = targets["unit"]
    groups = sorted(set(targets["group"]))
    folds = pd.DataFrame({"group": groups, "fold": [i % 3 for i in range(len(groups))], "split": "train"})
    torn = replace(cohort, manifest=manifest, targets=targets, folds=folds)
    with pytest.raises(LeakError, match="crop"):
        fit_boost(torn, [store], QUICK)
    run = fit_boost(torn, [store], replace(QUICK, learners=("logistic",), blocks=("image",), allow_leak=("crop",)))
    assert scores(run)["cancer logistic/image regular"].gain[1] > 0


def test_no_group_straddles_and_no_model_saw_whom_it_predicts(make, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort, store = make(patients=30, folds=3)
    seen: list[set[str]] = []
    original = Columns.rows

    def watch(self, design, target, weight):
        found, inner = original(self, design, target, weight)
        seen.append(set(design.group[self.train[weight[self.train] > 0]]))
        # The learner is given numbers for the groups, as many as there are.
        assert len(set(found.group)) == len(seen[-1])
        return found, inner

    monkeypatch.setattr(Columns, "rows", watch)
    run = fit_boost(cohort, [store], replace(QUICK, learners=("logistic",)))
    table = run.predictions.table
    assert (table.groupby("group")["fold"].nunique() == 1).all()
    held = table.groupby("fold")["group"].agg(set)
    assert len(seen) == len(held) == 3
    for fold, groups in held.items():
        assert not seen[fold] & groups
        assert seen[fold] | groups == set(table["group"])


def test_a_planted_signal_beats_the_prior(fitted) -> None:
    found = scores(fitted[2])
    for member in ("logistic/image", "logistic/fused", "xgboost/image", "xgboost/fused"):
        assert found[f"cancer {member} regular"].gain[1] > 0, member


def test_results_do_not_depend_on_the_number_of_workers(make) -> None:
    cohort, store = make(patients=16, signal=1.0, folds=2)
    config = BoostConfig(learners=("logistic", "mlp", "lightgbm"), blocks=("image", "metadata"))
    one, three = (fit_boost(cohort, [store], replace(config, workers=w)).predictions.table for w in (1, 3))
    pd.testing.assert_frame_equal(one, three)


def test_weighted_members_stand_beside_regular_ones(fitted) -> None:
    cohort, _, run = fitted
    table = run.predictions.table
    assert run.members == [
        (f"{learner}/{block}", kind)
        for kind in ("regular", "weighted")
        for learner in QUICK.learners
        for block in ("fused", "image", "metadata")
    ]
    by_unit = table.groupby("unit")["target_weight"].agg(["min", "max"])
    expected = pd.Series(np.tile([0.0, 1.0, 2.0, 1.0], 20), index=cohort.units["unit_id"])
    assert (by_unit["min"] == expected[by_unit.index]).all(), "regular members carry the target weights too"
    assert (by_unit["max"] == expected[by_unit.index]).all()
    wide = table.pivot(index="unit", columns=["member", "kind"], values="p")
    assert (wide["logistic/image"]["regular"] != wide["logistic/image"]["weighted"]).any()


def test_a_unit_of_weight_zero_is_as_if_absent(make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its label may be anything without a change in what others are predicted."""
    monkeypatch.setattr(boosting, "ROUNDS", 60)
    cohort, store = make(patients=30, signal=1.0, folds=2)
    unit = cohort.units["unit"][7]
    weights = {u: float(u != unit) for u in cohort.units["unit"]}
    flipped = cohort.targets.copy()
    flipped.loc[flipped["unit"] == unit, "label"] ^= 1
    tables = []
    config = BoostConfig(learners=("lightgbm", "xgboost"), blocks=("image",), weights=weights, workers=1)
    for targets in (cohort.targets, flipped):
        run = fit_boost(replace(cohort, targets=targets), [store], config)
        table = run.predictions.table
        tables.append(table[table["kind"] == "weighted"].reset_index(drop=True))
    pd.testing.assert_series_equal(tables[0]["p"], tables[1]["p"])


def test_several_targets_and_classes(make) -> None:
    targets = (Target("grade", "grade", ("a", "b", "c"), (1.0, 2.0, 4.0)), Target("mass", "mass"))
    cohort, store = make(patients=60, signal=2.5, rate=0.6, folds=2, targets=targets, unlabelled=0.1)
    run = fit_boost(cohort, [store], replace(QUICK, learners=("logistic", "lightgbm"), blocks=("image",)))
    table = run.predictions.table
    assert not table["y"].isna().any(), "unlabelled units are in no out-of-fold table"
    grade = table[table["target"] == "grade"]
    assert sorted(grade["class"].unique()) == [0, 1, 2]
    np.testing.assert_allclose(grade.groupby(["unit", "member"])["p"].sum(), 1, atol=1e-9)
    labelled = cohort.targets[cohort.targets["label"] >= 0].groupby("target")["unit"].nunique()
    units = table.groupby("target")["unit"].nunique()
    assert units.to_dict() == labelled.to_dict()
    found = scores(run)
    for target in ("grade", "mass"):
        assert found[f"{target} logistic/image regular"].gain[1] > 0


def test_a_saved_run_predicts_the_same(fitted, tmp_path: Path) -> None:
    cohort, store, run = fitted
    loaded = run.save(tmp_path / "run")
    pd.testing.assert_frame_equal(loaded.predictions.table, run.predictions.table, check_dtype=False)
    design = build_design(cohort, [store])
    here, there = run.predict(design), loaded.predict(design)
    assert list(here) == list(there) == run.members
    for member, by_target in here.items():
        np.testing.assert_allclose(there[member]["cancer"], by_target["cancer"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(by_target["cancer"].sum(axis=1), 1, atol=1e-9)
    np.testing.assert_equal([s.__dict__ for s in loaded.scores], [s.__dict__ for s in run.scores])
    with pytest.raises(ExistsError):
        run.save(tmp_path / "run")


def test_prediction_is_the_mean_of_the_fold_models(fitted) -> None:
    cohort, store, run = fitted
    design = build_design(cohort, [store])
    member = ("xgboost/fused", "weighted")
    p = run.predict(design, [member])[member]["cancer"]
    parts = []
    for fold in run.folds:
        x = run.prepared["weighted", fold].transform(design)
        parts.append(run.models[Key(*member, "cancer", fold)].predict_proba(x))
    np.testing.assert_allclose(p, np.mean(parts, axis=0), atol=1e-12)
    held = design.fold == run.folds[0]
    table = run.predictions.table
    oof = table[(table["member"] == member[0]) & (table["kind"] == member[1])].set_index("unit")["p"]
    np.testing.assert_allclose(parts[0][held, 1], oof[design.unit[held]], atol=1e-12)


def test_copied_members_predict_without_the_rest(fitted, tmp_path: Path) -> None:
    cohort, store, run = fitted
    used = [("logistic/metadata", "regular"), ("xgboost/image", "regular")]
    design = build_design(cohort, [store])
    expected = run.predict(design, used)
    saved = run.save(tmp_path / "run")
    for number, source in enumerate((run, saved)):
        source.copy_members(tmp_path / f"copy{number}", used)
        copy = Run.load(tmp_path / f"copy{number}")
        assert copy.members == used
        for member in used:
            np.testing.assert_allclose(copy.predict(design)[member]["cancer"], expected[member]["cancer"], atol=1e-12)
        with pytest.raises(FormatError, match="no predictions"):
            _ = copy.predictions
    assert not (tmp_path / "copy1" / "prepared" / "weighted").exists()


def test_nothing_in_the_folder_names_a_patient(fitted, tmp_path: Path) -> None:
    cohort, _, run = fitted
    run.save(tmp_path / "run")
    files = [p for p in (tmp_path / "run").rglob("*") if p.is_file()]
    assert not [p for p in files if p.suffix in (".pkl", ".pickle", ".npy", ".npz", ".pt", ".joblib")]
    secrets = [b"PAT0", b".dcm", b"1.2.3.4", cohort.key.hex().encode(), str(tmp_path).encode()]
    for path in files:
        content = path.read_bytes()
        assert not [s for s in secrets if s in content], path


def test_a_damaged_folder_is_refused(fitted, tmp_path: Path) -> None:
    run = fitted[2].save(tmp_path / "run")
    place = Key("logistic/image", "regular", "cancer", 0).folder(tmp_path / "run")
    place.rename(place.with_name("moved"))
    with pytest.raises(FormatError, match=r"lacks models.*fold0"):
        Run.load(tmp_path / "run")
    with pytest.raises(MismatchError, match="no such members"):
        run.predict(build_design(fitted[0], [fitted[1]]), [("forest/image", "regular")])


def test_without_metadata_or_stores_the_rest_is_fitted(make) -> None:
    cohort, store = make(patients=24, folds=2, metadata=False)
    run = fit_boost(cohort, [store], replace(QUICK, learners=("logistic",)))
    assert run.members == [("logistic/image", "regular")]
    assert "no metadata" in run.notes[0]
    cohort, _ = make(patients=24, folds=2)
    run = fit_boost(cohort, [], replace(QUICK, learners=("logistic",)))
    assert run.members == [("logistic/metadata", "regular")]
    with pytest.raises(UserError, match="none of the asked-for blocks"):
        fit_boost(cohort, [], replace(QUICK, blocks=("image",)))


def test_two_stores_make_blocks_of_their_own(make) -> None:
    cohort, store = make(patients=24, folds=2, signal=1.0)
    other = replace(store, fingerprint_hash="f" * 64, vectors=store.vectors[:, ::2])
    run = fit_boost(cohort, [store, other], replace(QUICK, learners=("logistic",)))
    assert [s["fingerprint_hash"] for s in run.stores] == [store.fingerprint_hash, other.fingerprint_hash]
    names = {s.name for s in run.prepared["regular", 0].spans}
    assert {"01234567/avg/own", "ffffffff/avg/difference"} <= names
    design = build_design(cohort, [other, store])
    expected = run.predict(build_design(cohort, [store, other]))
    p = run.predict(design)
    for member in run.members:
        np.testing.assert_allclose(p[member]["cancer"], expected[member]["cancer"], err_msg="order of stores is free")
    with pytest.raises(MismatchError, match="lacks blocks"):
        run.predict(build_design(cohort, [store]))


def test_units_without_a_crop_are_predicted(fitted) -> None:
    cohort, store, run = fitted
    bare = replace(cohort, links=cohort.links[cohort.links["unit"] != "PAT0003_L"])
    p = run.predict(build_design(bare, [store]))
    assert all(np.isfinite(v["cancer"]).all() for v in p.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learners": ("forest",)}, r"no such learner.*forest"),
        ({"learners": ()}, "no such learner"),
        ({"blocks": ("all",)}, r"no such block.*all"),
        ({"components": 0}, "at least one component"),
    ],
)
def test_config_is_checked_when_it_is_made(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        BoostConfig(**change)


def test_what_cannot_be_learnt_from_is_said(make) -> None:
    cohort, store = make(patients=12, folds=2, rate=0.6)
    one_fold = replace(cohort, folds=cohort.folds.assign(fold=0))
    with pytest.raises(UserError, match="two folds or more"):
        fit_boost(one_fold, [store], QUICK)
    same = replace(cohort, targets=cohort.targets.assign(label=1))
    with pytest.raises(UserError, match=r"cancer.*fewer than two classes"):
        fit_boost(same, [store], QUICK)
    bare = replace(cohort, targets=cohort.targets.assign(label=-1))
    with pytest.raises(UserError, match="labelled units"):
        fit_boost(bare, [store], QUICK)


def test_held_out_units_are_not_in_the_table(make) -> None:
    cohort, store = make(patients=24, folds=2)
    held = cohort.folds["group"].isin(cohort.folds["group"][::5])
    folds = cohort.folds.assign(fold=cohort.folds["fold"].where(~held, -1), split=np.where(held, "holdout", "train"))
    run = fit_boost(replace(cohort, folds=folds), [store], replace(QUICK, learners=("logistic",)))
    units = replace(cohort, folds=folds).units
    assert set(run.predictions.table["unit"]) == set(units["unit_id"][units["split"] == "train"])


def test_models_do_not_depend_on_the_key(make) -> None:
    """The key is random: two people who index the same data must get the same scores."""
    cohort, store = make(patients=60, signal=0.8, folds=2)
    other = replace(cohort, key=bytes(reversed(range(32))))
    quick = replace(QUICK, learners=("logistic",), blocks=("image",))
    first, second = (fit_boost(c, [store], quick).predictions.table for c in (cohort, other))
    assert set(first["unit"]).isdisjoint(second["unit"])
    np.testing.assert_allclose(np.sort(first["p"]), np.sort(second["p"]), atol=1e-6)
