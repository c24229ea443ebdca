"""Networks of several series: neighbouring slices as channels, and a network for each condition, up to a submission."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from radboost.data.cohort import Cohort
from radboost.data.phantom.lumbar import LumbarPhantom, write_rsna_lumbar
from radboost.data.predictions import Predictions
from radboost.data.store import EmbeddingStore
from radboost.data.submission import check_submission, read_submission
from radboost.data.tasks.rsna_lumbar import RSNA_LUMBAR
from radboost.extractor.train.config import OnlyConfig
from radboost.extractor.train.examples import read_units
from radboost.extractor.train.predict import predict_units, training_config
from radboost.extractor.train.training import Training

SPINAL, OTHERS = ["spinal"], ["foraminal", "subarticular"]
NETWORK = ("--backbone", "test_resnet", "--random-init", 0, "--size", 32, "--workers", 1)


@pytest.fixture(scope="module")
def place(radboost, tmp_path_factory):
    """Folder of a cohort of two folds and of exams to come."""
    place = tmp_path_factory.mktemp("spines")
    write_rsna_lumbar(place / "data", LumbarPhantom(studies=4, seed=1, pixels=48))
    write_rsna_lumbar(place / "exams", LumbarPhantom(studies=2, seed=1, pixels=48, first_study=900, test=True))
    # A key of one's own deals the same folds each time: what networks learn from four studies hangs on it.
    (place / "key").write_text("5e" * 32 + "\n")
    words = ("--task", "rsna-lumbar", "--key", place / "key", "--out", place / "cohort", "--folds", 2, "--workers", 1)
    radboost("index", place / "data", *words)
    return place


@pytest.fixture(scope="module")
def trained(radboost, place):
    """Train a network for one condition, or some, on some slots."""

    def make(name, parts, slots, *words):
        config = place / f"{name}.toml"
        stage = '[[stage]]\nname = "all"\nepochs = 2\nrate = 0.02\n[learn]\nbatch_size = 8\n'
        config.write_text(f"[only]\nparts = {json.dumps(parts)}\nslots = {json.dumps(slots)}\n{stage}")
        radboost("train", place / "cohort", "--config", config, "--out", place / name, *NETWORK, *words)
        return place / name

    return make


def test_a_store_of_a_training_shows_the_slices_that_it_was_trained_on(radboost, place, trained):
    """What the network's head says in the store of each crop, as the mean over a unit's crops, is its prediction."""
    slots = ["t2/level/own"]
    training = trained("stacked", SPINAL, slots, "--stack", 3, "--fold", 0)
    words = ("--training", training, "--pool", "head", "--workers", 1)
    radboost("extract", place / "cohort", "--out", place / "heads", *words)
    store = EmbeddingStore.open(place / "heads")
    assert json.loads((training / "training.json").read_text())["config"]["pixels"]["stack"] == 3
    assert json.loads((place / "heads" / "store.json").read_text())["config"]["pixels"]["stack"] == 3
    cohort = Cohort.load(place / "cohort")
    found = read_units(cohort, OnlyConfig(parts=tuple(SPINAL), slots=tuple(slots)))
    rows = store.rows_of(cohort.manifest["crop_id"].tolist())[found.crop]
    says = pd.DataFrame(store.read("head@fold0", rows).astype(float)).groupby(found.unit[found.owner]).mean()
    # Of one fold alone there is nothing to calibrate by: its predictions are what the network said.
    told = Predictions.read(training / "predictions.parquet").table.pivot(index="unit", columns="class", values="p")
    assert len(told)
    missed = np.abs(says.loc[told.index] - told).to_numpy().max()
    # Half precision; units are told apart by much more than that.
    assert missed < 1e-3
    assert told.std().max() > 5 * missed


def test_a_network_for_each_condition_makes_one_submission(radboost, place, trained, tmp_path):
    spinal = trained("spinal", SPINAL, ["t2/level/own"], "--stack", 3)
    others = trained("others", OTHERS, ["t1/level/own", "axial/level/own"])
    for training, parts in ((spinal, SPINAL), (others, OTHERS)):
        assert set(Predictions.read(training / "predictions.parquet").table["part"]) == set(parts)
        words = (place / "exams", "--out", tmp_path / "alone.csv", "--workers", 1)
        # It says nothing of the other conditions, which a submission asks for.
        assert "--missing renormalise" in radboost("predict", training, *words, code=2).stderr
    blend = tmp_path / "blend"
    words = ("--missing", "renormalise", "--keep-all", "--space", "prob", "--out", blend)
    radboost("blend", "safe", spinal, others, *words)
    out = tmp_path / "p.csv"
    radboost("predict", blend, place / "exams", "--out", out, "--workers", 1, "--work", tmp_path / "work")
    sample = place / "exams" / "sample_submission.csv"
    check_submission(read_submission(out, RSNA_LUMBAR), read_submission(sample, RSNA_LUMBAR), RSNA_LUMBAR)
    told = pd.read_csv(out).set_index("row_id")
    exams = Cohort.load(tmp_path / "work" / "cohort")
    names = exams.units["unit"].tolist()
    for folder in (spinal, others):
        training = Training.load(folder)
        said = predict_units(training, exams, replace(training_config(training), workers=1), tmp_path).p["grade"]
        own = ~np.isnan(said).any(axis=1)
        assert 0 < own.sum() < len(own)
        # Who is of a condition is told by its network alone.
        np.testing.assert_allclose(told.loc[names].to_numpy()[own], said[own], atol=1e-5)
