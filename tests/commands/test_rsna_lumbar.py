"""The lumbar task by its commands, from the downloaded folder's layout to the submission file."""

from __future__ import annotations

import pandas as pd
import pytest

from radboost.booster import boosting
from radboost.booster.run import Run
from radboost.data.phantom.lumbar import LumbarPhantom, write_rsna_lumbar
from radboost.data.submission import check_submission, read_submission
from radboost.data.tasks.rsna_lumbar import RSNA_LUMBAR

PHANTOM = LumbarPhantom(studies=8, seed=1, pixels=48, lacking=0.3)
# Other patients, more ill ones, more of them from the other site.
EXAMS = LumbarPhantom(studies=3, seed=1, pixels=48, severity=0.8, lacking=0.7, thick=0.7, first_study=900, test=True)


def test_from_the_folder_to_the_submission(radboost, tmp_path, monkeypatch: pytest.MonkeyPatch):
    # No claim hangs on how well they learn.
    monkeypatch.setattr(boosting, "ROUNDS", 6)
    write_rsna_lumbar(tmp_path / "data", PHANTOM)
    write_rsna_lumbar(tmp_path / "exams", EXAMS)
    cohort, store, run, blend = (tmp_path / n for n in ("cohort", "store", "run", "blend"))
    words = ("--task", "rsna-lumbar", "--workers", 1)
    radboost("index", tmp_path / "data", *words, "--folds", 2, "--out", cohort)
    words = ("--backbone", "test_resnet", "--random-init", 0, "--size", 32, "--workers", 1)
    radboost("extract", cohort, "--out", store, *words)
    text = radboost("fit-boost", cohort, store, "--out", run, "--learner", "lightgbm").output
    assert "mean of parts, out of fold" in text
    table = Run.load(run).predictions.table
    assert set(table["part"]) == {"spinal", "foraminal", "subarticular"}
    assert set(table["class"]) == {0, 1, 2}
    text = radboost("blend", "safe", run, "--out", blend).output
    assert "any worst spinal" in text
    refuse_what_the_competition_would(radboost, blend, tmp_path)
    # Weighted as the exams are, learnt under the weights, and blended for the exams.
    radboost("index", tmp_path / "exams", "--task", "rsna-lumbar", "--out", tmp_path / "target", "--workers", 1)
    words = ("--target", tmp_path / "target", "--method", "strata", "--on", "slice_thickness:category")
    radboost("weights", cohort, *words, "--out", tmp_path / "weights.csv")
    words = ("--learner", "lightgbm", "--weights", tmp_path / "weights.csv")
    radboost("fit-boost", cohort, store, "--out", tmp_path / "weighted", *words)
    radboost("blend", "risky", tmp_path / "weighted", "--out", tmp_path / "risky", "--no-sweep")
    refuse_what_the_competition_would(radboost, tmp_path / "risky", tmp_path)


def refuse_what_the_competition_would(radboost, blend, tmp_path):
    out = tmp_path / f"{blend.name}.csv"
    words = ("--out", out, "--workers", 1, "--work", tmp_path / "work")
    text = radboost("predict", blend, tmp_path / "exams", *words).output
    assert "predicted 75 units" in text
    sample = tmp_path / "exams" / "sample_submission.csv"
    # 25 rows a study in the competition's order, whatever series a study lacks; each row sums to one.
    check_submission(read_submission(out, RSNA_LUMBAR), read_submission(sample, RSNA_LUMBAR), RSNA_LUMBAR)
    found = pd.read_csv(out)
    assert list(found.columns) == ["row_id", "normal_mild", "moderate", "severe"]
    assert found.groupby(found["row_id"].str.split("_").str[0]).size().eq(25).all()
