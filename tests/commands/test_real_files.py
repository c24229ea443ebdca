"""Real files by others, through the commands as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from radboost.booster import boosting
from radboost.data.cohort import Cohort
from radboost.data.predictions import Predictions
from radboost.data.store import EmbeddingStore

TASK = Path(__file__).resolve().parents[2] / "examples" / "mini-mias.toml"
QUICK = ("--backbone", "test_resnet", "--random-init", 0, "--size", 96, "--workers", 1)


@pytest.mark.parametrize("folder", ["mg", "ct"])
def test_a_folder_of_dicom_every_readable_file_is_embedded(radboost, shared_data, folder, tmp_path):
    text = radboost("index", shared_data / folder, "--out", tmp_path / "cohort", "--workers", 1).output
    radboost("extract", tmp_path / "cohort", "--out", tmp_path / "store", *QUICK)
    cohort = Cohort.load(tmp_path / "cohort")
    tables = [pd.read_csv(path) for path in (tmp_path / "cohort" / "quarantine").glob("*.csv")]
    bad = pd.concat(tables)
    store = EmbeddingStore.open(tmp_path / "store")
    kept = set(cohort.manifest["path"]) - set(bad["path"])
    assert len(store) == len(kept) > 0
    assert bad["reason"].str.len().gt(10).all()
    dicom = {p.relative_to(shared_data / folder).as_posix() for p in (shared_data / folder).rglob("*.dcm")}
    assert dicom <= kept | set(bad["path"])
    if folder == "mg":
        # A tomosynthesis whose pixel data is cut off: it must neither be embedded nor end the run.
        assert any("GH1376" in path for path in bad["path"])
    else:
        assert "skipped" in text


@pytest.fixture(scope="module")
def films(radboost, shared_data, tmp_path_factory):
    """The MIAS films through every step; no claim hangs on how well they learn."""
    folder, films = tmp_path_factory.mktemp("mias"), shared_data / "mini-mias"
    cohort, store, run, blend = (folder / n for n in ("cohort", "store", "run", "blend"))
    radboost("index", films, "--task", TASK, "--out", cohort, "--folds", "holdout:0.2:3", "--workers", 1)
    radboost("extract", cohort, "--out", store, *QUICK)
    learners = ("--learner", "mlp", "--learner", "lightgbm", "--seeds", 1, "--curve", "lightgbm")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(boosting, "ROUNDS", 10)
        radboost("fit-boost", cohort, store, "--out", run, *learners)
    radboost("blend", "safe", run, "--out", blend)
    return folder


def test_their_report_is_a_page_that_claims_nothing(films, radboost, check_page):
    words = ("--cohort", films / "cohort", "--replicates", 200, "--hardest", 3)
    radboost("report", films / "blend", *words, "--out", films / "report.html")
    numbers = json.loads((films / "report-files" / "metrics.json").read_text("utf-8"))["targets"]["malignant"][
        "numbers"
    ]
    # Weights that saw no film tell nothing, and the page must not say otherwise.
    assert numbers["malignant"]["AUC"]["low"] < 0.6
    text = (films / "report.html").read_text("utf-8")
    assert "Learning curves" in text
    assert "patients learnt from" in text
    check_page(films / "report.html")


def test_films_from_a_toml_file_to_predictions(films, radboost):
    cohort, store, run, blend = (films / n for n in ("cohort", "store", "run", "blend"))
    out = films / "predictions.csv"
    radboost("predict", blend, "--cohort", cohort, "--store", store, "--split", "holdout", "--out", out)
    units = Cohort.load(cohort).units
    held = units[units["split"] == "holdout"]
    assert sorted(pd.read_csv(out)["image_id"]) == sorted(held["unit"])
    oof = Predictions.read(run / "predictions.parquet").table
    assert oof["unit"].nunique() == 114 - len(held)
    assert oof.groupby("group")["fold"].nunique().max() == 1
