"""Each kind of leak, planted in a clean cohort, is refused by its name, and let pass by its name alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from radboost.booster.crossfit import BoostConfig, fit_boost
from radboost.booster.design import build_design
from radboost.booster.leaks import LEAKS, check_leaks
from radboost.booster.run import Run
from radboost.data.cohort import Cohort
from radboost.data.networks import TRAINED_GROUPS
from radboost.data.task import Metadata
from radboost.errors import FormatError, LeakError, UserError

SIZE = {"patients": 24, "folds": 2, "rate": 0.6}


def two_patients(cohort: Cohort) -> tuple[str, str]:
    """One of each fold."""
    folds = cohort.folds.set_index("group")["fold"]
    return folds.index[folds == 0][0], folds.index[folds == 1][0]


def with_copy(cohort: Cohort, store, factor: float, noise: float):
    """A crop of one fold's patient gets the vector of one of the other fold's."""
    crops = cohort.manifest.groupby("group")["crop_id"].first()
    one, two = (store.ids.index(crops[group]) for group in two_patients(cohort))
    vectors = store.vectors.astype(np.float32)
    away = np.random.default_rng(0).normal(size=vectors.shape[1]).astype(np.float32)
    size = np.linalg.norm(vectors[one] - vectors.mean(axis=0)) / np.linalg.norm(away)
    vectors[two] = factor * vectors[one] + noise * size * away
    return cohort, replace(store, vectors=vectors)


def crop(cohort: Cohort, store):
    a, b = two_patients(cohort)
    stolen = cohort.links["crop_id"][cohort.links["unit"] == f"{a}_L"].iloc[0]
    links = cohort.links.copy()
    at = links.index[(links["unit"] == f"{b}_L") & links["slot"].str.endswith("/opposite")][0]
    links.loc[at, "crop_id"] = stolen
    return replace(cohort, links=links), store


def pixels(cohort: Cohort, store):
    return with_copy(cohort, store, 1.0, 0.0)


def near_duplicates(cohort: Cohort, store):
    return with_copy(cohort, store, 1.001, 0.005)


def metadata(cohort: Cohort, store):
    """A column that was filled in once the outcome was known."""
    sick = cohort.targets.set_index("unit")["label"]
    unit = cohort.manifest["group"] + "_" + cohort.manifest["laterality"]
    known = np.where(unit.map(sick) > 0, "biopsy", "none")
    task = replace(cohort.task, metadata=Metadata(("age",), ("site", "outcome")))
    return replace(cohort, manifest=cohort.manifest.assign(**{"metadata.outcome": known}), task=task), store


def columns(cohort: Cohort, store):
    """Patients without a label, such as a test table's, lack the age."""
    groups = sorted(set(cohort.targets["group"]))[:4]
    labels = cohort.targets["label"].where(~cohort.targets["group"].isin(groups), -1)
    ages = cohort.manifest["metadata.age"].where(~cohort.manifest["group"].isin(groups), "")
    manifest = cohort.manifest.assign(**{"metadata.age": ages})
    return replace(cohort, targets=cohort.targets.assign(label=labels), manifest=manifest), store


def training(cohort: Cohort, store):
    """The network of fold 1 saw a patient that it is to help judge."""
    folds = cohort.folds.set_index("group")["fold"]
    trained = cohort.hashed("group", [folds.index[folds == 1][0]])
    return cohort, replace(store, config={TRAINED_GROUPS: {"fold0": [], "fold1": trained}})


PLANTED: dict[str, Callable] = {
    "crop": crop,
    "pixels": pixels,
    "near-duplicates": near_duplicates,
    "metadata": metadata,
    "columns": columns,
    "training": training,
}


def check(cohort: Cohort, store, *allowed: str):
    return check_leaks(cohort, build_design(cohort, [store]), [store], allowed)


def test_a_clean_cohort_passes(make) -> None:
    for seed in range(3):
        cohort, store = make(**SIZE, seed=seed, signal=2.0, age=1.0)
        assert check(cohort, store) == []


def test_every_leak_is_planted() -> None:
    assert {*PLANTED, "group"} == set(LEAKS)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_leak_is_refused_by_name_and_let_pass_by_name(make, name: str) -> None:
    cohort, store = PLANTED[name](*make(**SIZE))
    others = [leak for leak in LEAKS if leak != name]
    with pytest.raises(LeakError, match=f"leak '{name}'.*--allow-leak {name}$") as error:
        check(cohort, store, *others)
    assert error.value.exit_code == 2
    assert "PAT" not in str(error.value), "names are hashed"
    (found,) = check(cohort, store, name)
    assert (found.name, found.count >= 1) == (name, True)


def test_a_group_in_two_folds_is_refused_unless_allowed(make) -> None:
    cohort, store = make(**SIZE)
    design = build_design(cohort, [store])
    torn = replace(design, fold=np.where(np.arange(len(design)) == 0, 1 - design.fold, design.fold))
    with pytest.raises(LeakError, match=r"group.*two folds.*--allow-leak group") as error:
        check_leaks(cohort, torn, [store], ("crop",))
    assert "PAT" not in str(error.value), "names are hashed"
    assert {leak.name for leak in check_leaks(cohort, torn, [store], ("group", "crop"))} == {"group", "crop"}


def test_an_unknown_leak_cannot_be_allowed(make) -> None:
    with pytest.raises(UserError, match="no leak has this name"):
        check(*make(patients=6, folds=2, rate=0.6), "all")


def test_what_was_let_pass_stands_in_the_run(make, tmp_path: Path) -> None:
    cohort, store = pixels(*make(**SIZE))
    quick = BoostConfig(learners=("logistic",), workers=1)
    with pytest.raises(LeakError, match="pixels"):
        fit_boost(cohort, [store], quick)
    fit_boost(cohort, [store], replace(quick, allow_leak=("pixels",))).save(tmp_path / "run")
    run = Run.load(tmp_path / "run")
    assert [leak["name"] for leak in run.content["leaks"]] == ["pixels"]
    assert run.content["config"]["allow_leak"] == ["pixels"]
    assert any("let pass" in note for note in run.notes), "the reader of the table is told"


def test_images_of_one_patient_may_be_alike(make) -> None:
    """Two exposures of one breast are no leak: the patient is on one side."""
    cohort, store = make(**SIZE)
    vectors = store.vectors.copy()
    crops = cohort.manifest.groupby("group")["crop_id"].agg(list).iloc[0]
    vectors[store.ids.index(crops[1])] = vectors[store.ids.index(crops[0])]
    assert check(cohort, replace(store, vectors=vectors)) == []


def test_columns_are_looked_for_in_the_table_of_new_exams(make, tmp_path: Path) -> None:
    cohort, store = make(**SIZE)
    cohort = replace(cohort, root=tmp_path, task=replace(cohort.task, test_table="test.csv"))
    (tmp_path / "test.csv").write_text("patient,side,site\n1,L,A\n")
    with pytest.raises(LeakError, match=r"leak 'columns'.*got age"):
        check(cohort, store)
    (tmp_path / "test.csv").write_text("patient,side,site,age\n1,L,A,50\n")
    assert check(cohort, store) == []


def test_networks_of_folds_may_see_the_patients_of_other_folds(make) -> None:
    cohort, store = make(**SIZE)
    folds = cohort.folds.set_index("group")["fold"]
    saw = {f"fold{k}": cohort.hashed("group", folds.index[folds != k]) for k in sorted(set(folds))}
    assert check(cohort, replace(store, config={TRAINED_GROUPS: saw})) == []
    # A network of no fold helps with all of them.
    with pytest.raises(LeakError, match="leak 'training'"):
        check(cohort, replace(store, config={TRAINED_GROUPS: {"network": saw["fold0"]}}))


def test_a_damaged_list_of_trained_groups_is_no_proof_of_innocence(make) -> None:
    cohort, store = make(**SIZE)
    with pytest.raises(FormatError, match="who trained"):
        check(cohort, replace(store, config={TRAINED_GROUPS: ["a"]}))


def test_metadata_alone_stands_beside_the_fused_member(make) -> None:
    cohort, store = make(**SIZE)
    run = fit_boost(cohort, [store], BoostConfig(learners=("logistic",), workers=1, blocks=("fused",)))
    assert [member for member, _ in run.members] == ["logistic/fused", "logistic/metadata"]
