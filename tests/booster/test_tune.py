"""A search is judged inside the training rows, starts from our own settings, shares bins, and goes on after a kill."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radboost.booster import boosting, xgboost_bins
from radboost.booster.crossfit import BoostConfig, fit_boost
from radboost.booster.recipe import Recipe
from radboost.booster.rows import Rows, Span, make_inner
from radboost.booster.run import Run
from radboost.booster.tune import SPACES, Search, tune
from radboost.errors import UserError
from radboost.report.tune_figure import draw_tuning


def rows(n: int) -> Rows:
    """Two rows a group; the first column tells."""
    random = np.random.default_rng(0)
    x = random.normal(size=(n, 12)).astype(np.float32)
    y = (random.random(n) < 1 / (1 + np.exp(-2 * x[:, 0]))).astype(np.int64)
    return Rows(x, y, np.ones(n), np.repeat(np.arange(n // 2), 2), 2, (Span("image", 0, 12, True),))


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "ROUNDS", 8)


@pytest.fixture
def job():
    train = rows(160)
    return train, make_inner(train, 0)


@pytest.mark.parametrize("learner", SPACES)
def test_our_own_settings_are_tried_first_and_the_best_is_taken(job, learner: str) -> None:
    recipe, trials = tune(learner, [job], Recipe(3), Search(1e9, most=4), "study")
    assert len(trials) == 4
    assert trials[0].settings == {}
    best = min(trials, key=lambda t: t.loss)
    assert recipe.settings == best.settings
    for trial in trials[1:]:
        for name, value in trial.settings.items():
            assert SPACES[learner][name].low <= value <= SPACES[learner][name].high
    assert len({t.loss for t in trials}) > 1, "settings reach the trees"


def test_no_time_leaves_our_own_settings(job) -> None:
    recipe, trials = tune("xgboost", [job], Recipe(), Search(0.0), "study")
    assert len(trials) == 1
    assert recipe == Recipe()
    assert tune("logistic", [job], Recipe(), Search(1e9), "study") == (Recipe(), ())


def test_a_study_goes_on_where_it_was_ended(job, tmp_path: Path) -> None:
    first = tune("xgboost", [job], Recipe(), Search(1e9, tmp_path, most=2), "study")[1]
    again = tune("xgboost", [job], Recipe(), Search(1e9, tmp_path, most=3), "study")[1]
    assert again[:2] == first
    assert len(again) == 3
    assert tune("xgboost", [job], Recipe(), Search(sum(t.seconds for t in again), tmp_path), "study")[1] == again
    for line in (tmp_path / "study.jsonl").read_text().splitlines():
        json.loads(line)


def test_trials_share_bins(job, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    matrix = xgboost_bins._matrix

    def counted(*words):
        made.append(words)
        return matrix(*words)

    monkeypatch.setattr(xgboost_bins, "_matrix", counted)
    tune("xgboost", [job], Recipe(), Search(1e9, most=3), "study")
    splits = len(job[1].numbers)
    assert len(made) in (2 * splits, 1 + 2 * splits), "as for one fit, with or without a last one on all rows"


def test_a_run_says_what_was_tried(make, tmp_path: Path) -> None:
    cohort, store = make(patients=30, signal=1.5, folds=2)
    config = BoostConfig(learners=("logistic", "xgboost"), blocks=("image",), workers=1, tune=1e-9)
    run = fit_boost(cohort, [store], config, keep=tmp_path / "fits")
    run.save(tmp_path / "run")
    tuning = Run.load(tmp_path / "run").content["tuning"]
    assert [each["job"] for each in tuning] == ["xgboost-regular-fold0", "xgboost-regular-fold1"]
    assert sorted(p.stem for p in (tmp_path / "fits" / "studies").glob("*.jsonl")) == [t["job"] for t in tuning]
    assert all(each["trials"][0]["settings"] == {} for each in tuning)
    plain = fit_boost(cohort, [store], replace(config, tune=None))
    pd.testing.assert_frame_equal(plain.predictions.table, run.predictions.table, check_exact=True)
    draw_tuning(run.content["tuning"], tmp_path / "tuning.png")
    assert (tmp_path / "tuning.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_library_names_the_extra(job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"radboost\[tune\]"):
        tune("xgboost", [job], Recipe(), Search(1.0), "study")
    with pytest.raises(UserError, match="minutes above 0"):
        BoostConfig(tune=0.0)
