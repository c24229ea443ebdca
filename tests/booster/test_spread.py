"""Fits that several processes share: near those of one process, the same twice, and honouring weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radboost.booster import boosting
from radboost.booster.config import BoostConfig
from radboost.booster.crossfit import fit_boost
from radboost.booster.design import build_design
from radboost.booster.fits import Job
from radboost.booster.learner import fit_learner, row_loss
from radboost.booster.objective import Objective
from radboost.booster.recipe import Recipe
from radboost.booster.rows import Rows, Span, make_inner
from radboost.booster.running import is_spread
from radboost.booster.spread import SPREADING, Share, Spread, deal_shares
from radboost.data.task import Target
from radboost.engines.cluster import Cluster, Needs, node_address
from radboost.engines.gang import Gang

# Ray closes neither the pipes nor the log files of the processes that it starts and stops.
pytestmark = [
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "ROUNDS", 25)


@pytest.fixture(scope="module")
def cluster():
    with Cluster() as here:
        yield here


def test_a_run_splits_its_large_fits(cluster, make, tmp_path: Path) -> None:
    cohort, store = make(patients=60, signal=2.0, folds=2)
    here = BoostConfig(learners=("lightgbm",), blocks=("image",), workers=2)
    run = fit_boost(cohort, [store], replace(here, engine="ray", split_rows=20), keep=tmp_path / "fits")
    p = [r.predictions.table["p"].to_numpy() for r in (fit_boost(cohort, [store], here), run)]
    assert not np.array_equal(*p)
    assert np.corrcoef(*p)[0, 1] > 0.9
    assert any("split" in note for note in run.content["notes"])
    assert {path.name for path in (tmp_path / "fits").iterdir()} >= {"lightgbm-regular-fold0", "lightgbm-regular-fold1"}
    # What the workers sent back is a model like any other.
    design = build_design(cohort, [store])
    saved, fresh = (r.predict(design)["lightgbm/image", "regular"]["cancer"] for r in (run.save(tmp_path / "run"), run))
    np.testing.assert_array_equal(saved, fresh)


def test_a_cluster_gives_the_same_run(cluster, make, tmp_path: Path) -> None:
    targets = (Target("cancer", "cancer"), Target("mass", "mass"))
    cohort, store = make(patients=36, signal=1.5, folds=2, targets=targets, unlabelled=0.1)
    # Without trees: those there would grow more rounds than the few that this file allows here.
    few = BoostConfig(learners=("logistic",), workers=1)
    here = fit_boost(cohort, [store], few)
    there = fit_boost(cohort, [store], replace(few, engine="ray"), keep=tmp_path)
    pd.testing.assert_frame_equal(here.predictions.table, there.predictions.table, check_exact=True)
    assert len(list(tmp_path.rglob("done.json"))) == 2, "what comes from the cluster is kept too"


@pytest.mark.parametrize(
    ("learner", "rows", "engine", "split"),
    [
        ("xgboost", 21, "ray", True),
        ("xgboost", 20, "ray", False),
        ("xgboost", 21, "local", False),
        ("logistic", 21, "ray", False),
    ],
)
def test_only_large_fits_of_trees_on_a_cluster_are_split(learner, rows, engine, split) -> None:
    work: Any = SimpleNamespace(rows=lambda job: rows)
    assert is_spread(work, Job(learner, "regular", 0), BoostConfig(engine=engine, split_rows=20)) is split


@pytest.fixture(scope="module")
def team(cluster):
    # From here on both cores are taken, so that a run of its own must come before.
    with Spread(Gang(cluster, Share, 2, Needs(1)), node_address(), 100) as team:
        yield team


def made(classes: int, seed: int = 1, n: int = 900) -> Rows:
    """Rows of which the heavy ones say the contrary of the light ones, as many."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 12)).astype(np.float32)
    heavy = np.arange(n) % 4 < 2
    y = np.where(heavy, x[:, 0] > 0, x[:, 0] < 0).astype(np.int64)
    if classes == 3:
        y += x[:, 1] > 0.8
    spans = (Span("image", 0, 12, image=True),)
    return Rows(x, y, np.where(heavy, 4.0, 1.0), np.arange(n) // 2, classes, spans)


def loss(rows: Rows, p: np.ndarray) -> float:
    return float(np.average(row_loss(rows.y, p), weights=rows.weight))


def test_each_row_goes_to_one_worker_and_each_worker_has_rows_of_each_fold():
    fold = np.random.default_rng(0).integers(0, 5, 203)
    shares = deal_shares(fold, 4)
    assert sorted(np.concatenate(shares).tolist()) == list(range(203))
    for share in shares:
        assert np.bincount(fold[share], minlength=5).min() > 0
        assert abs(len(share) - 203 / 4) <= 5


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("learner", SPREADING)
def test_a_shared_fit_is_near_that_of_one_process_and_the_same_twice(team, learner: str, classes: int) -> None:
    rows = made(classes)
    inner = make_inner(rows, 0)
    recipe = Recipe()
    alone = fit_learner(learner, rows, inner, recipe)
    one, two = (fit_learner(learner, rows, inner, replace(recipe, team=team)) for _ in range(2))
    p = one.predict_proba(rows.x)
    np.testing.assert_array_equal(p, two.predict_proba(rows.x))
    np.testing.assert_array_equal(one.inner, two.inner)
    base = loss(rows, np.tile(rows.rates, (len(rows), 1)))
    # What is learnt, on the rows themselves and on the inner folds: within 5 % of what one process learns.
    for shared, single in ((p, alone.predict_proba(rows.x)), (one.inner, alone.inner)):
        assert base - loss(rows, single) > 0.1
        assert base - loss(rows, shared) == pytest.approx(base - loss(rows, single), rel=0.05)
    # Light rows are as many and say the contrary, so that without weights nothing is learnt from the first column.
    plain = replace(rows, weight=np.ones(len(rows)))
    unweighted = fit_learner(learner, plain, make_inner(plain, 0), replace(recipe, team=team)).predict_proba(rows.x)
    assert loss(rows, unweighted) - loss(rows, p) > 0.1


def test_a_loss_that_the_library_lacks_is_shared_too(team) -> None:
    rows = made(2)
    inner = make_inner(rows, 0)
    focal = Recipe(objective=Objective(focal=1.0))
    for learner in SPREADING:
        alone = fit_learner(learner, rows, inner, focal)
        shared = fit_learner(learner, rows, inner, replace(focal, team=team))
        assert loss(rows, shared.inner) == pytest.approx(loss(rows, alone.inner), rel=0.05)


def test_few_rows_are_not_split(team) -> None:
    rows = made(2, n=96)
    inner = make_inner(rows, 0)
    assert team.library("xgboost", rows, inner, Recipe()) is None
    shared, alone = (fit_learner("xgboost", rows, inner, Recipe(team=t)) for t in (team, None))
    np.testing.assert_array_equal(shared.inner, alone.inner)
