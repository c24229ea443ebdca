"""Fits go on where they were ended, and share bins without a trace; on a cluster, see test_spread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radboost.booster import boosting, lightgbm_trees, xgboost_bins, xgboost_trees
from radboost.booster.crossfit import BoostConfig, fit_boost
from radboost.booster.design import build_design
from radboost.booster.fits import ALL_ROWS, Work
from radboost.booster.kept import Kept
from radboost.booster.run import Run
from radboost.data.task import Target
from radboost.errors import UserError

TREES = BoostConfig(learners=("logistic", "xgboost", "lightgbm"), workers=1)
FEW = replace(TREES, blocks=("image",))
TWO = (Target("cancer", "cancer"), Target("mass", "mass"))


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "ROUNDS", 12)


@pytest.fixture(scope="module")
def cohort_and_store(make):
    return make(patients=36, signal=1.5, folds=2, targets=TWO, unlabelled=0.1)


def same(one: Run, two: Run) -> None:
    pd.testing.assert_frame_equal(one.predictions.table, two.predictions.table, check_exact=True)


def test_a_run_that_was_ended_goes_on_and_ends_the_same(cohort_and_store, tmp_path: Path, monkeypatch) -> None:
    cohort, store = cohort_and_store
    whole = fit_boost(cohort, [store], FEW)
    fit, fitted = Work.fit, []

    def counted(self, job, *given):
        if len(fitted) == 4:
            raise KeyboardInterrupt
        fitted.append(job)
        return fit(self, job, *given)

    monkeypatch.setattr(Work, "fit", counted)
    with pytest.raises(KeyboardInterrupt):
        fit_boost(cohort, [store], FEW, keep=tmp_path / "fits")
    done = list(fitted)
    fitted.clear()
    resumed = fit_boost(cohort, [store], FEW, keep=tmp_path / "fits")
    assert len(done) == 4
    assert len(fitted) == 2
    assert not set(done) & set(fitted), "nothing is fitted twice"
    same(whole, resumed)
    design = build_design(cohort, [store])
    again = resumed.predict(design)
    for member, p in whole.predict(design).items():
        for target, values in p.items():
            np.testing.assert_array_equal(values, again[member][target])


@pytest.mark.parametrize("learner", ["xgboost", "lightgbm"])
def test_a_kill_inside_a_job_costs_one_fit(cohort_and_store, tmp_path: Path, monkeypatch, learner: str) -> None:
    """A job of trees has a fit for each block and target; those that were finished are not done again."""
    cohort, store = cohort_and_store
    trees, module = replace(TREES, learners=(learner,)), {"xgboost": xgboost_trees, "lightgbm": lightgbm_trees}[learner]
    whole = fit_boost(cohort, [store], trees)
    boost, begun = module.boost, []

    def counted(*given):
        begun.append(given)
        if len(begun) == 5:
            raise KeyboardInterrupt
        return boost(*given)

    monkeypatch.setattr(module, "boost", counted)
    with pytest.raises(KeyboardInterrupt):
        fit_boost(cohort, [store], trees, keep=tmp_path / "fits")
    [parts] = (tmp_path / "fits").glob("*.parts/*")
    finished = sorted(path.name for path in parts.iterdir())
    assert len(finished) == 4
    (parts / finished[0] / "inner.safetensors").write_bytes(b"cut off")
    resumed = fit_boost(cohort, [store], trees, keep=tmp_path / "fits")
    # Two folds of three blocks and two targets; the one that was in hand, and the one that is damaged, are begun twice.
    assert len(begun) == 2 * 3 * 2 + 2
    same(whole, resumed)
    assert not list((tmp_path / "fits").glob("*.parts")), "a finished job needs no parts"
    design = build_design(cohort, [store])
    for member, p in whole.predict(design).items():
        for target, values in p.items():
            np.testing.assert_array_equal(values, resumed.predict(design)[member][target])


def test_fits_of_other_settings_are_not_reused(cohort_and_store, tmp_path: Path, monkeypatch) -> None:
    cohort, store = cohort_and_store
    quick = replace(FEW, learners=("logistic",))
    fit_boost(cohort, [store], quick, keep=tmp_path)
    asked = []
    find = Kept.find

    def watch(self, job):
        asked.append(find(self, job))
        return asked[-1]

    monkeypatch.setattr(Kept, "find", watch)
    fit_boost(cohort, [store], quick, keep=tmp_path)
    assert None not in asked
    asked.clear()
    fit_boost(cohort, [store], replace(quick, components=2), keep=tmp_path)
    assert set(asked) == {None}
    (tmp_path / "logistic-regular-fold0" / "p.safetensors").write_bytes(b"cut off")
    asked.clear()
    fit_boost(cohort, [store], replace(quick, components=2), keep=tmp_path)
    assert [found is None for found in asked] == [True, False], "a damaged fit is done again"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match="something else"):
        fit_boost(cohort, [store], quick, keep=tmp_path / "other")


def test_targets_share_bins_without_a_trace(make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target's predictions are the same whether or not another one used the bins before it."""
    cohort, store = make(patients=36, signal=1.5, folds=2, targets=TWO)
    trees = replace(TREES, learners=("xgboost", "lightgbm"), blocks=("image",))
    together = fit_boost(cohort, [store], trees)

    def alone(cls, rows, inner):
        return cls(rows, inner)

    for bins in (lightgbm_trees._Bins, xgboost_trees.OwnBins):
        monkeypatch.setattr(bins, "of", classmethod(alone))
    same(together, fit_boost(cohort, [store], trees))


@pytest.mark.parametrize("weighted", [False, True])
def test_shared_bins_are_the_bins_of_each_fold_on_its_own(make, monkeypatch, tmp_path: Path, weighted: bool) -> None:
    """One matrix for all folds, with rows weighed out or picked, against a matrix for each fold in the same bins."""
    targets = (Target("cancer", "cancer"), Target("grade", "grade", ("a", "b", "c"), (1.0, 2.0, 4.0)))
    cohort, store = make(patients=36, signal=1.5, folds=2, targets=targets, unlabelled=0.1)
    weights = dict(zip(cohort.units["unit"], np.tile([0.0, 1.0, 2.0, 1.0], 18), strict=True)) if weighted else None
    config = replace(TREES, learners=("xgboost", "lightgbm"), share_bins=True, weights=weights)
    shared = fit_boost(cohort, [store], config)
    assert (shared.predictions.table["p"].groupby(shared.predictions.table["member"]).nunique() > 2).all()
    saved = shared.save(tmp_path / "run")

    class Referring(xgboost_bins.OwnBins):
        def __init__(self, rows, inner):
            whole = xgboost_bins._matrix(rows.whole.x, rows.whole.common)
            self._fold = inner.fold
            self._whole, self._weight = xgboost_bins._matrix(rows.x, rows.common, whole), rows.common
            self._splits = []
            for train, held in inner:
                fitted = xgboost_bins._matrix(rows.x[train], rows.common[train], whole)
                seen = xgboost_bins._matrix(rows.x[held], rows.common[held], fitted)
                self._splits.append((train, fitted, held, seen))

    def subset(base, rows):
        return lightgbm_trees._dataset(xs[id(base)][rows], base)

    xs = {}
    whole_dataset = lightgbm_trees._whole_dataset

    def remember(whole):
        base = whole_dataset(whole)
        xs[id(base)] = whole.x
        return base

    monkeypatch.setattr(xgboost_trees, "SharedBins", Referring)
    monkeypatch.setattr(lightgbm_trees, "_subset", subset)
    monkeypatch.setattr(lightgbm_trees, "_whole_dataset", remember)
    same(shared, fit_boost(cohort, [store], config))
    monkeypatch.undo()
    design = build_design(cohort, [store])
    for member, p in saved.predict(design).items():
        for target, values in p.items():
            np.testing.assert_array_equal(values, shared.predict(design)[member][target])


def test_seeds_are_averaged_and_the_first_is_the_one_alone(cohort_and_store) -> None:
    cohort, store = cohort_and_store
    few = replace(TREES, learners=("xgboost",), blocks=("image",))
    one, three = fit_boost(cohort, [store], few), fit_boost(cohort, [store], replace(few, seeds=3))
    models = next(iter(three.models.values())).parts[0][0].models
    assert len(models) in (0, 3)
    assert not one.predictions.table["p"].equals(three.predictions.table["p"])
    same(one, fit_boost(cohort, [store], replace(few, seeds=1)))
    with pytest.raises(UserError, match="at least one model"):
        fit_boost(cohort, [store], replace(few, seeds=0))


def test_a_fit_on_all_rows_stands_beside_the_folds(cohort_and_store, tmp_path: Path) -> None:
    cohort, store = cohort_and_store
    quick = replace(FEW, learners=("logistic",))
    plain = fit_boost(cohort, [store], quick)
    run = fit_boost(cohort, [store], replace(quick, refit=True))
    same(plain, run)
    run = run.save(tmp_path / "run")
    assert run.folds == [0, 1]
    assert ("regular", ALL_ROWS) in run.prepared
    design = build_design(cohort, [store])
    folds, whole = run.predict(design), run.predict(design, refit=True)
    member = ("logistic/image", "regular")
    assert not np.allclose(folds[member]["cancer"], whole[member]["cancer"])
    np.testing.assert_array_equal(folds[member]["cancer"], plain.predict(design)[member]["cancer"])
    with pytest.raises(UserError, match="no model of all rows"):
        plain.predict(design, refit=True)


def test_each_store_stands_alone_beside_all_of_them(make) -> None:
    cohort, store = make(patients=30, signal=1.5, folds=2)
    noise = replace(store, fingerprint_hash="f" * 64, vectors=np.random.default_rng(1).normal(size=store.vectors.shape))
    run = fit_boost(cohort, [store, noise], replace(TREES, learners=("logistic",)))
    members = [member for member, _ in run.members]
    assert members == [
        *("logistic/fused", "logistic/image", "logistic/metadata"),
        *("logistic/store-01234567", "logistic/store-ffffffff"),
    ]
    loss = {score.member: score.loss[0] for score in run.scores}
    assert loss["logistic/store-01234567"] < loss["logistic/store-ffffffff"]
    assert [m for m, _ in fit_boost(cohort, [store], replace(TREES, learners=("logistic",))).members] == members[:3]
