"""Every option of fit-boost in one run, down to the predictions of new exams; and a run that was killed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from radboost.booster import boosting
from radboost.booster.run import Run


def test_options_reach_the_run_and_the_predictions(radboost, cohort, new_exams, tmp_path, monkeypatch):
    monkeypatch.setattr(boosting, "ROUNDS", 8)
    store, run, blend = (tmp_path / name for name in ("store", "run", "blend"))
    words = ("--backbone", "test_resnet", "--random-init", 0, "--size", 64, "--workers", 1)
    radboost("extract", cohort, "--out", store, *words, "--views", 1)
    learners = ("--learner", "logistic", "--learner", "lightgbm")
    options = ("--use-views", "--refit", "--seeds", 2, "--class-weight", "1,4", "--focal", 1, "--soft", 0.05)
    radboost("fit-boost", cohort, store, "--out", run, *learners, *options, "--share-bins", "--tune", 0.001)
    found = Run.load(run)
    assert found.views == 1
    assert found.refitted
    assert found.content["config"]["objective"] == {"class_weight": [1.0, 4.0], "focal": 1.0, "soft": 0.05}
    assert {each["job"].split("-")[0] for each in found.content["tuning"]} == {"lightgbm"}
    assert (run / "tuning.png").is_file()
    assert not (tmp_path / ".run.fits").exists(), "what was kept for a resume goes with the run's end"
    radboost("blend", "safe", run, "--out", blend, "--space", "prob")
    tables = []
    for words in ((), ("--refit",)):
        out = tmp_path / f"predictions{len(words)}.csv"
        radboost("predict", blend, new_exams, "--out", out, "--workers", 1, "--work", tmp_path / "exams", *words)
        tables.append(pd.read_csv(out))
    assert np.isfinite(tables[0]["cancer"]).all()
    assert not tables[0]["cancer"].equals(tables[1]["cancer"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--use-views",), "no store has augmented views"),
        (("--class-weight", "1,2,3"), "one a class"),
        (("--class-weight", "heavy"), "holds no numbers"),
        (("--focal", "9"), "out of range"),
        (("--learner", "oracle"), "no such learner"),
        (("--learner", "residual"), "order"),
        (("--tune", "0"), "minutes above 0"),
        (("--engine", "cloud"), "no such engine"),
        pytest.param(
            ("--device", "cuda", "--learner", "xgboost"),
            "--device cpu",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU"),
        ),
    ],
)
def test_what_cannot_be_is_one_clear_error(radboost, cohort, store, tmp_path, words, says):
    result = radboost("fit-boost", cohort, store, "--out", tmp_path / "run", *words, code=2)
    assert says in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_interrupted_goes_on(radboost, cohort, store, tmp_path, monkeypatch):
    from radboost.booster.fits import Work

    fit, fitted = Work.fit, []

    def interrupted(self, job, *given):
        if len(fitted) == 2:
            raise KeyboardInterrupt
        fitted.append(job)
        return fit(self, job, *given)

    monkeypatch.setattr(Work, "fit", interrupted)
    words = ("fit-boost", cohort, store, "--out", tmp_path / "run", "--learner", "logistic", "--workers", 1)
    assert "run it again to go on" in radboost(*words, code=130).stderr
    assert (tmp_path / ".run.fits").is_dir()
    monkeypatch.setattr(Work, "fit", fit)
    radboost(*words)
    assert len(Run.load(tmp_path / "run").folds) == 3
    assert not (tmp_path / ".run.fits").exists()
