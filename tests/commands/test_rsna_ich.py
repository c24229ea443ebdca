"""The haemorrhage task by its commands, from the downloaded folder's layout to the submission file."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from radboost.booster import boosting
from radboost.booster.run import Run
from radboost.booster.sequence import plan
from radboost.data.phantom.ct import HeadPhantom, write_rsna_ich
from radboost.data.submission import check_submission, read_submission
from radboost.data.tasks.rsna_ich import RSNA_ICH
from radboost.extractor.backbone import HOUNSFIELD

PHANTOM = HeadPhantom(patients=10, seed=1, pixels=32, prevalence=1, slices=(20, 21), repeated=3)
# Other patients, most of them from the other kind of scanner.
EXAMS = HeadPhantom(patients=4, seed=1, pixels=32, slices=(20, 21), first_patient=900, signed=0.8, test=True)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    # No claim hangs on how well they learn.
    monkeypatch.setattr(boosting, "ROUNDS", 6)
    monkeypatch.setattr(plan, "LEAST_STEPS", dict.fromkeys(plan.LEAST_STEPS, 1))
    monkeypatch.setattr(plan, "RATES", {name: (2e-4,) * 3 for name in plan.RATES})


@pytest.fixture(scope="module")
def place(radboost, tmp_path_factory):
    """Folder of the cohort and of exams to come."""
    place = tmp_path_factory.mktemp("heads")
    write_rsna_ich(place / "data", PHANTOM)
    write_rsna_ich(place / "exams", EXAMS)
    words = ("--task", "rsna-ich", "--out", place / "cohort", "--folds", 2, "--workers", 1)
    assert "rows said twice" in radboost("index", place / "data", *words).output
    return place


def test_from_the_folder_to_the_submission(radboost, place, short):
    cohort, store, run, blend = (place / n for n in ("cohort", "store", "run", "blend"))
    words = ("--backbone", "test_resnet", "--random-init", 0, "--size", 32, "--stage", 1, "--workers", 1)
    # Windows as the network's first layer, as predict then makes them again.
    words += ("--window-layer",)
    radboost("extract", cohort, "--out", store, *words)
    radboost("fit-boost", cohort, store, "--out", run, "--learner", "residual", "--learner", "pooled-res", "--seeds", 1)
    members = {name.split("/")[0] for name in Run.load(run).predictions.table["member"]}
    assert members == {"residual", "pooled-res"}
    radboost("blend", "safe", run, "--out", blend)
    refuse_what_the_challenge_would(radboost, blend, place)
    simulate_the_exams(radboost, place)
    see_the_slices_beside(radboost, place)


def test_windows_that_were_learnt_go_with_the_networks(radboost, place, tmp_path):
    cohort, training = place / "cohort", tmp_path / "training"
    schedule = tmp_path / "short.toml"
    schedule.write_text('[[stage]]\nname = "short"\nepochs = 1\nrate = 0.001\nlayers = "head"\nwindow = 0.00001\n')
    words = ("--schedule", schedule, "--size", 32, "--workers", 1, "--device", "cpu", "--random-init", 0, "--fold", 0)
    radboost("train", cohort, "--out", training, "--backbone", "test_resnet", *words, "--window-layer")
    weights = load_file(training / "fold0" / "network.safetensors")["model.windows.weight"]
    first = np.array([1 / width for _, width in RSNA_ICH.images.windows], np.float32)
    assert (weights != first).all()
    np.testing.assert_allclose(weights, first, atol=2e-3)
    # The task's windows are where they begin, and crops are cut under one for all.
    made = json.loads((training / "training.json").read_text())["config"]
    assert made["backbone"]["windows"] == [list(window) for window in RSNA_ICH.images.windows]
    assert made["pixels"]["windows"] == [list(HOUNSFIELD)]
    radboost("predict", training, place / "exams", "--out", tmp_path / "p.csv", "--workers", 1)
    assert len(read_submission(tmp_path / "p.csv", RSNA_ICH))


def simulate_the_exams(radboost, tmp_path):
    """Weigh the cohort as the exams are, learn under the weights, and blend for the exams."""
    cohort, store, run = (tmp_path / name for name in ("cohort", "store", "weighted"))
    radboost("index", tmp_path / "exams", "--task", "rsna-ich", "--out", tmp_path / "target", "--workers", 1)
    words = ("--target", tmp_path / "target", "--method", "strata", "--on", "bit_type")
    radboost("weights", cohort, *words, "--out", tmp_path / "weights.csv")
    words = ("--learner", "lightgbm", "--weights", tmp_path / "weights.csv")
    text = radboost("fit-boost", cohort, store, "--out", run, *words).output
    assert "the task's own metric is the log loss of all targets together" in text
    assert Run.load(run).predictions.weighted_for_target
    text = radboost("blend", "risky", run, "--out", tmp_path / "risky", "--no-sweep").output
    assert "all targets: cross-fitted, risky" in text
    refuse_what_the_challenge_would(radboost, tmp_path / "risky", tmp_path)


def see_the_slices_beside(radboost, tmp_path):
    """Another cohort of the same crops and folds: its run needs no new embeddings."""
    cohort, run = tmp_path / "beside", tmp_path / "run-beside"
    words = ("--task", "rsna-ich", "--out", cohort, "--folds", 2, "--workers", 1, "--key", tmp_path / "cohort" / "key")
    radboost("index", tmp_path / "data", *words, "--neighbours", 1)
    radboost("fit-boost", cohort, tmp_path / "store", "--out", run, "--learner", "lightgbm")
    names = json.loads((run / "prepared" / "regular" / "fold0" / "prepared.json").read_text())["blocks"]
    assert {b["name"].rpartition("/")[2] for b in names} >= {"own", "neighbours", "neighbour-difference"}
    text = radboost("compare", f"{tmp_path / 'run'}:residual/image", f"{run}:lightgbm/image").output
    assert "first minus second" in text


def refuse_what_the_challenge_would(radboost, blend, tmp_path):
    out = tmp_path / f"{blend.name}.csv"
    words = ("--out", out, "--workers", 1, "--work", tmp_path / "work")
    text = radboost("predict", blend, tmp_path / "exams", *words).output
    sample = tmp_path / "exams" / "stage_2_sample_submission.csv"
    images = pd.read_csv(sample)["ID"].str.rpartition("_")[0].nunique()
    assert f"predicted {images} units" in text
    assert "1 images in quarantine" in text
    assert "The rows are those of stage_2_sample_submission.csv" in text
    # Rows, order, ranges, and `any` between its largest type and their sum.
    check_submission(read_submission(out, RSNA_ICH), read_submission(sample, RSNA_ICH), RSNA_ICH)
    assert list(pd.read_csv(out).columns) == ["ID", "Label"]
