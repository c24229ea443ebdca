"""Every command as a user types it: what it prints, what it writes, how it fails."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest

from radboost import __version__
from radboost.data.cohort import Cohort
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
from radboost.data.predictions import Predictions

COMMANDS = ("index", "crops", "explore", "extract", "fit-boost", "blend", "predict", "demo")


@pytest.mark.parametrize("module", ["radboost", "radboost.cli"])
def test_both_modules_run(module):
    done = subprocess.run([sys.executable, "-m", module, "--version"], check=True, capture_output=True, text=True)
    assert done.stdout == f"radboost {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_the_common_options(radboost, command):
    text = radboost(command, "--help").output
    assert "--out" in text
    assert "--overwrite" in text
    assert "--debug" in text


def test_help_lists_every_command(radboost):
    text = radboost("--help").output
    assert all(command in text for command in COMMANDS)


def test_index_counts_and_says_what_is_next(radboost, data, tmp_path):
    text = radboost("index", data, "--task", "rsna-breast", "--out", tmp_path / "c", "--folds", 3).output
    assert "target cancer" in text
    assert "in quarantine" in text
    assert "next: radboost extract" in text


def test_extract_again_runs_no_forward_pass(radboost, cohort, store, monkeypatch):
    before = {p.name: p.read_bytes() for p in store.iterdir() if p.is_file()}

    def refuse(*_: object) -> None:
        raise AssertionError("the network was built")

    monkeypatch.setattr("radboost.extractor.extract.load_backbone", refuse)
    words = ("--backbone", "test_resnet", "--random-init", 0, "--size", 96, "--shard-rows", 64)
    text = radboost("extract", cohort, "--out", store, *words).output
    assert "no forward pass" in text
    assert {p.name: p.read_bytes() for p in store.iterdir() if p.is_file()} == before


def test_another_fingerprint_is_refused_by_field(radboost, cohort, store):
    result = radboost("extract", cohort, "--out", store, "--backbone", "test_resnet", "--random-init", 1, code=2)
    assert "random" in result.stderr
    assert "size" in result.stderr


def test_without_a_network_the_error_names_the_three_ways_out(radboost, cohort, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    result = radboost("extract", cohort, "--out", tmp_path / "s", "--backbone", "resnet18.a1_in1k", code=2)
    for way in ("--checkpoint", "cache", "--random-init"):
        assert way in result.stderr
    assert "Traceback" not in result.stderr


def test_stores_are_reused_after_the_images_are_gone(radboost, data, store, cohort, tmp_path, quick):
    moved = data.with_name("moved")
    data.rename(moved)
    try:
        radboost("fit-boost", cohort, store, "--out", tmp_path / "run", *quick)
    finally:
        moved.rename(data)


def test_a_run_holds_out_of_fold_predictions_of_every_learner(run, cohort):
    table = Predictions.read(run / "predictions.parquet").table
    learners = {m.split("/")[0] for m in table["member"]}
    assert learners == {"logistic", "mlp", "lightgbm", "xgboost"}
    assert {m.split("/")[1] for m in table["member"]} == {"fused", "image", "metadata"}
    units = Cohort.load(cohort).units.set_index("unit_id")
    # The fold recorded is the fold of the unit's group, and held-out units are in no out-of-fold table.
    assert (units.loc[table["unit"], "fold"].to_numpy() == table["fold"].to_numpy()).all()
    assert (units.loc[table["unit"], "split"] == "train").all()


def test_nothing_after_the_cohort_names_a_person(data, cohort, store, run, blend):
    table = pd.read_csv(data / "train.csv", dtype=str)
    images = pd.read_parquet(cohort / "manifest.parquet")
    units = table["patient_id"] + "_" + table["laterality"]
    # Not the bare patient number: five digits stand in any table of decimals by chance.
    names = {*table["image_id"], *images["instance"], *images["study"], *images["path"], *units, str(data)}
    secrets = {name.encode() for name in names}
    assert len(secrets) > 100
    assert all(len(secret) >= 7 for secret in secrets)
    for folder in (store, run, blend):
        for path in folder.rglob("*"):
            if path.is_file():
                text = path.read_bytes()
                if path.suffix == ".parquet":
                    # Compressed columns hide what they hold from a search of the bytes.
                    text += pd.read_parquet(path).to_csv().encode()
                assert not [s for s in secrets if s in text], path


def test_blend_risky_says_when_there_are_no_target_weights(radboost, run, tmp_path):
    text = radboost("blend", "risky", run, "--out", tmp_path / "risky").output
    assert "risky equals safe" in text


def test_risky_uses_the_weights_given(radboost, cohort, store, tmp_path, quick):
    units = Cohort.load(cohort).units
    weights = pd.DataFrame({"unit": units["unit"], "weight": np.where(units.index % 2 == 0, 2.0, 0.5)})
    weights.to_csv(tmp_path / "w.csv", index=False)
    radboost("fit-boost", cohort, store, "--out", tmp_path / "run", *quick, "--weights", tmp_path / "w.csv")
    text = radboost("blend", "risky", tmp_path / "run", "--out", tmp_path / "risky").output
    assert "risky equals safe" not in text
    assert "weighted" in text
    assert "where safe, risky and robust cross" in text
    assert {"sweep.json", "sweep.png"} <= {path.name for path in (tmp_path / "risky").iterdir()}
    radboost("blend", "safe", tmp_path / "run", "--out", tmp_path / "safe", "--no-sweep", "--keep-all")
    assert not (tmp_path / "safe" / "sweep.json").exists()


def test_predict_writes_the_submission_format(radboost, blend, new_exams, tmp_path):
    out = tmp_path / "predictions.csv"
    radboost("predict", blend, new_exams, "--out", out, "--workers", 1)
    found = pd.read_csv(out, dtype={"prediction_id": str})
    expected = pd.read_csv(new_exams / "test.csv", dtype=str)["prediction_id"].unique()
    assert list(found.columns) == ["prediction_id", "cancer"]
    assert sorted(found["prediction_id"]) == sorted(expected)
    assert found["cancer"].between(0, 1).all()
    assert found["cancer"].nunique() > 1


def test_predict_from_stored_features_of_a_held_out_split(radboost, blend, cohort, store, tmp_path):
    out = tmp_path / "held.csv"
    words = ("--cohort", cohort, "--store", store, "--split", "holdout", "--out", out, "--threshold", "auto")
    text = radboost("predict", blend, *words).output
    assert "AUC" in text
    assert set(pd.read_csv(out)["cancer"]) <= {0, 1}
    external = Predictions.read(tmp_path / "held.predictions.parquet").table
    assert set(external["kind"]) == {"external"}
    units = Cohort.load(cohort).units
    assert set(external["unit"]) == set(units.loc[units["split"] == "holdout", "unit_id"])


def test_three_labelled_exams_are_predicted_and_scored(radboost, blend, work, tmp_path):
    write_rsna_breast(tmp_path / "few", BreastPhantom(patients=3, seed=5, pixels=256, prevalence=0.5))
    out = tmp_path / "few.csv"
    text = radboost("predict", blend, tmp_path / "few", "--out", out, "--work", tmp_path / "work").output
    assert "cancer, blend" in text
    assert "cannot be told without" in text
    again = radboost("predict", blend, tmp_path / "few", "--out", out, "--work", tmp_path / "work", "--overwrite")
    assert "log loss" in again.output
    # Another cohort's key would recognise nobody: it must not be taken for an assurance.
    (tmp_path / "key").write_text("00" * 32)
    words = ("--out", tmp_path / "p.csv", "--key", tmp_path / "key")
    assert "not the training cohort's key" in radboost("predict", blend, tmp_path / "few", *words, code=2).stderr


def test_a_cohort_made_anew_keeps_its_key(radboost, data, tmp_path):
    words = ("index", data, "--task", "rsna-breast", "--out", tmp_path / "c", "--workers", 1)
    radboost(*words, "--folds", 3)
    key = (tmp_path / "c" / "key").read_text()
    radboost(*words, "--folds", 4, "--overwrite")
    # Another key would orphan every store that was made from it.
    assert (tmp_path / "c" / "key").read_text() == key


def test_predicting_what_was_trained_on_is_refused(radboost, blend, cohort, store, tmp_path):
    result = radboost("predict", blend, "--cohort", cohort, "--store", store, "--out", tmp_path / "p.csv", code=2)
    assert "trained on" in result.stderr
    assert not (tmp_path / "p.csv").exists()


def test_results_are_not_overwritten_unasked(radboost, data, cohort, run, tmp_path):
    result = radboost("index", data, "--task", "rsna-breast", "--out", cohort, code=2)
    assert "--overwrite" in result.stderr
    header = (run / "run.json").read_bytes()
    radboost("blend", "safe", run, "--out", run, "--overwrite", code=2)
    assert (run / "run.json").read_bytes() == header


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("index", "{absent}", "--out", "{tmp}/c"), "is no folder"),
        (("index", "{data}", "--task", "rsna-brest", "--out", "{tmp}/c"), "unknown task"),
        (("extract", "{data}", "--out", "{tmp}/s"), "is not a radboost cohort"),
        (("extract", "{cohort}", "--out", "{tmp}/s", "--backbone", "resnet81", "--random-init", "0"), "resnet"),
        (("fit-boost", "{cohort}", "{cohort}", "--out", "{tmp}/r"), "is not a radboost store"),
        (("fit-boost", "{cohort}", "{store}", "--out", "{tmp}/r", "--learner", "forest"), "forest"),
        (("blend", "safe", "{store}", "--out", "{tmp}/b"), "is not a radboost run"),
        (("predict", "{run}", "{data}", "--out", "{tmp}/p.csv"), "is not a radboost blend"),
        (("predict", "{blend}", "--out", "{tmp}/p.csv"), "--cohort"),
        (("predict", "{blend}", "{data}", "--out", "{tmp}/p.csv", "--threshold", "high"), "--threshold"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(radboost, words, says, data, cohort, store, run, blend, tmp_path):
    places = {"data": data, "cohort": cohort, "store": store, "run": run, "blend": blend, "tmp": tmp_path}
    result = radboost(*(w.format(absent=tmp_path / "absent", **places) for w in words), code=2)
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_result_is_a_failure_not_the_users_mistake(radboost, cohort, tmp_path):
    shutil.copytree(cohort, tmp_path / "cohort")
    (tmp_path / "cohort" / "manifest.parquet").write_bytes(b"cut off")
    result = radboost("extract", tmp_path / "cohort", "--out", tmp_path / "s", "--random-init", 0, code=1)
    assert "damaged" in result.stderr


def test_headers_are_json_and_shards_plain_hdf5(cohort, store, run, blend):
    for folder, kind in ((cohort, "cohort"), (store, "store"), (run, "run"), (blend, "blend")):
        assert json.loads((folder / f"{kind}.json").read_text())["kind"] == kind
    with h5py.File(next(store.glob("part-*.h5"))) as file:
        assert file["embeddings/avg"].chunks is None
