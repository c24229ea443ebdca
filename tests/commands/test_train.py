"""`radboost train`, on the cohort that all commands are tested on."""

from __future__ import annotations

import json
import pickle
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from radboost.data.cohort import Cohort
from radboost.data.predictions import Predictions
from radboost.data.progress import Silent
from radboost.data.store import EmbeddingStore
from radboost.errors import UserError
from radboost.extractor import train as room
from radboost.extractor.train.crop_file import CropFile
from radboost.extractor.train.file import read_config
from radboost.extractor.train.keeper import Keeper
from radboost.pipeline.prediction import PredictConfig, predict_stored


def test_a_config_file_and_options_make_a_training(radboost, cohort, tmp_path):
    config = tmp_path / "mine.toml"
    config.write_text(
        'size = 64\n[backbone]\nname = "test_resnet"\nrandom_init = 0\n[head]\nmetadata = true\n'
        '[learn]\nbatch_size = 16\n[[stage]]\nname = "all"\nepochs = 5\nrate = 0.001\n[augment]\nshear = 0.2\n'
    )
    schedule = tmp_path / "short.toml"
    schedule.write_text('[[stage]]\nname = "short"\nepochs = 1\nrate = 0.001\nlayers = "head"\n')
    words = ("--config", config, "--schedule", schedule, "--size", 32, "--fold", 0, "--workers", 1, "--device", "cpu")
    said = radboost("train", cohort, "--out", tmp_path / "training", *words).output
    assert "kept, fold 0: short epoch 1" in said
    assert "out of fold" in said
    content = json.loads((tmp_path / "training" / "training.json").read_text())["config"]
    assert content["backbone"]["size"] == 32
    assert [stage["name"] for stage in content["stages"]] == ["short"]
    assert (content["head"]["metadata"], content["learn"]["batch_size"]) == (True, 16)
    assert content["augment"]["shear"] == 0.2
    for name in ("curves.png", "confusion.png"):
        assert cv2.imread(str(tmp_path / "training" / name)) is not None
    header = json.loads((tmp_path / "training" / "training.json").read_text())
    assert len(header["id"]) == 16
    assert {"lightning", "torch", "device", "precision"} <= set(header["environment"])
    assert "train fold 0" in (tmp_path / "training" / "log.txt").read_text()
    (listed,) = json.loads(radboost("runs", tmp_path, "--json", "-").output)
    assert (listed["kind"], listed["numbers"]["members"]) == ("training", 1)
    assert listed["numbers"]["of"] == f"cancer: {header['member']}"
    counts = pd.read_csv(tmp_path / "training" / "confusion.csv", dtype=str)
    table = Predictions.read(tmp_path / "training" / "predictions.parquet").table
    assert counts["weight"].astype(float).sum() == pytest.approx(table["task_weight"].sum())
    again = radboost("train", cohort, "--out", tmp_path / "training", *words, code=2)
    assert "already exists" in again.stderr


def test_unknown_settings_are_named(radboost, cohort, tmp_path):
    config = tmp_path / "mine.toml"
    config.write_text("[learn]\nlearning_rate = 0.1\n")
    told = radboost("train", cohort, "--out", tmp_path / "training", "--config", config, code=2).stderr
    assert "[learn]" in told
    assert "learning_rate" in told
    assert "batch_size" in told


def test_a_recipe_lends_its_augmentation(tmp_path):
    config = tmp_path / "mine.toml"
    config.write_text('[augment]\npreset = "cbis-s10"\nzoom = 0.1\n')
    recipe = read_config(Path("cbis-s10")).augment
    assert read_config(config).augment == replace(recipe, zoom=0.1)
    same = tmp_path / "mine.json"
    same.write_text(json.dumps({"augment": {"preset": "cbis-s10", "zoom": 0.1}}))
    assert read_config(same) == read_config(config)
    same.write_text(json.dumps({"augment": "cbis-s10"}))
    with pytest.raises(UserError, match="augment"):
        read_config(same)
    config.write_text('[augment]\npreset = "cbis-s11"\n')
    with pytest.raises(UserError, match="cbis-s10"):
        read_config(config)


def test_the_extra_is_named_where_it_is_absent(radboost, cohort, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "find_spec", lambda _: None)
    told = radboost("train", cohort, "--out", tmp_path / "training", code=2).stderr
    assert "radboost[train]" in told


@pytest.fixture(scope="module")
def training(radboost, cohort, tmp_path_factory):
    out = tmp_path_factory.mktemp("training") / "training"
    schedule = out.with_suffix(".toml")
    schedule.write_text('[[stage]]\nname = "short"\nepochs = 1\nrate = 0.01\n')
    words = ("--schedule", schedule, "--size", 32, "--workers", 1, "--device", "cpu", "--random-init", 0)
    radboost("train", cohort, "--out", out, "--backbone", "test_resnet", *words)
    return out


@pytest.fixture(scope="module")
def fold_store(radboost, cohort, training):
    out = training.with_name("store")
    radboost("extract", cohort, "--training", training, "--out", out, "--workers", 1)
    return out


def test_every_fold_begins_afresh(training):
    networks = json.loads((training / "training.json").read_text())["networks"]
    assert len({network["began_with"] for network in networks}) == 1
    assert len({network["weights_sha256"] for network in networks}) == 3


def test_each_fold_learns_from_its_own_network(radboost, cohort, training, fold_store, new_exams, tmp_path):
    store = EmbeddingStore.open(fold_store)
    assert list(store.pools) == ["avg@fold0", "avg@fold1", "avg@fold2"]
    rows = np.arange(4)
    assert not np.array_equal(store.read("avg@fold0", rows), store.read("avg@fold1", rows))
    said = radboost("fit-boost", cohort, fold_store, "--out", tmp_path / "run", "--learner", "logistic").output
    assert "logistic/fused" in said
    for fold in range(3):
        content = json.loads((tmp_path / "run" / "prepared" / "regular" / f"fold{fold}" / "prepared.json").read_text())
        assert content["blocks"]
        assert all(f"avg@fold{fold}/" in block["name"] for block in content["blocks"])
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    # Members that see embeddings are calibrated, that of the metadata is not.
    assert sorted(run["calibration"]) == [f"logistic/{b}|regular|cancer" for b in ("fused", "image")]
    # Members that see images, since a blend of metadata alone needs no network.
    told = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    told[told["member"] == "logistic/image"].to_parquet(tmp_path / "run" / "predictions.parquet")
    radboost("blend", "safe", tmp_path / "run", "--out", tmp_path / "blend", "--space", "prob")
    words = (tmp_path / "blend", new_exams, "--out", tmp_path / "p.csv")
    assert "--checkpoint" in radboost("predict", *words, code=2).stderr
    radboost("predict", *words, "--checkpoint", training)
    assert len((tmp_path / "p.csv").read_text().splitlines()) > 1


def test_what_has_no_sense_with_networks_of_folds_is_refused(radboost, cohort, training, fold_store, data, tmp_path):
    for option in ("--refit", "--share-bins"):
        words = ("--learner", "lightgbm", option, "--out", tmp_path / "run")
        assert option in radboost("fit-boost", cohort, fold_store, *words, code=2).stderr
    words = ("--training", training, "--backbone", "test_vit", "--out", tmp_path / "other")
    assert "another source" in radboost("extract", cohort, *words, code=2).stderr
    key = ("--key", cohort / "key", "--folds", "holdout:0.25:3", "--seed", 5)
    radboost("index", data, "--task", "rsna-breast", "--out", tmp_path / "dealt-anew", *key)
    told = radboost("fit-boost", tmp_path / "dealt-anew", fold_store, "--out", tmp_path / "run", code=2).stderr
    # Some patient that a network saw is now to be predicted by it.
    assert "leak 'training'" in told


def changed(training, out, change):
    shutil.copytree(training, out)
    header = json.loads((out / "training.json").read_text())
    change(header)
    (out / "training.json").write_text(json.dumps(header))
    return out


def test_a_training_predicts_alone_and_as_a_member(radboost, cohort, training, new_exams, tmp_path, monkeypatch):
    # One epoch teaches so little that the calibrated member says the base rates.
    training = changed(training, tmp_path / "plain", lambda header: header["calibration"].clear())
    words = ("--workers", 1, "--device", "cpu", "--work", tmp_path / "work")
    radboost("predict", training, new_exams, "--out", tmp_path / "alone.csv", *words)
    alone = pd.read_csv(tmp_path / "alone.csv")["cancer"]
    assert alone.between(0, 1).all()
    assert alone.nunique() > 1
    radboost("blend", "safe", training, "--out", tmp_path / "blend", "--space", "prob")
    # The blend holds the networks and their epochs' scores, and nothing that says who was predicted.
    (kept,) = (tmp_path / "blend").glob("run-*")
    assert sorted(p.name for p in kept.iterdir()) == ["epochs.csv", "fold0", "fold1", "fold2", "training.json"]
    shutil.move(tmp_path / "blend", tmp_path / "moved")
    # What the networks say of these crops is known by now.
    monkeypatch.delattr(CropFile, "fill")
    radboost("predict", tmp_path / "moved", new_exams, "--out", tmp_path / "blended.csv", *words)
    assert pd.read_csv(tmp_path / "blended.csv")["cancer"].to_numpy() == pytest.approx(alone.to_numpy(), abs=1e-9)
    told = radboost("predict", training, "--cohort", cohort, "--out", tmp_path / "p.csv", code=2).stderr
    assert "trained on" in told


def test_a_training_is_blended_and_compared_with_runs(radboost, cohort, training, run, store, tmp_path):
    radboost("blend", "safe", run, training, "--out", tmp_path / "blend", "--keep-all", "--space", "prob")
    (target,) = json.loads((tmp_path / "blend" / "blend.json").read_text())["targets"]
    assert "2:train/test_resnet" in target["weights"]
    assert "log loss" in radboost("compare", training, f"{run}:logistic/fused").output
    units = Predictions.read(run / "predictions.parquet").table["unit"].unique()
    weights = tmp_path / "weights.csv"
    units = sorted(units)
    names = pd.read_parquet(cohort / "targets.parquet")["unit"].unique()
    pd.DataFrame({"unit": names, "weight": np.linspace(0.5, 1.5, len(names))}).to_csv(weights, index=False)
    words = ("--learner", "logistic", "--weights", weights, "--out", tmp_path / "weighted")
    radboost("fit-boost", cohort, store, *words)
    # Judged under the target's weights, though it was not trained under them.
    radboost("blend", "risky", tmp_path / "weighted", training, "--out", tmp_path / "risky")
    (target,) = json.loads((tmp_path / "risky" / "blend.json").read_text())["targets"]
    assert "2:train/test_resnet" in target["weights"]


def test_a_network_that_saw_whom_it_predicts_is_refused(radboost, training, run, tmp_path):
    own = Predictions.read(training / "predictions.parquet").table.query("fold == 0")["group"].iat[0]
    leaky = changed(training, tmp_path / "leaky", lambda header: header["networks"][0]["saw"].append(own))
    for words in (("blend", "safe", run, leaky, "--out", tmp_path / "blend"), ("compare", leaky, run)):
        assert "leak 'training'" in radboost(*words, code=2).stderr


def test_a_network_that_was_changed_is_refused(radboost, cohort, training, new_exams, tmp_path):
    other = shutil.copytree(training, tmp_path / "other")
    path = other / "fold1" / "network.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for words in (
        ("predict", other, new_exams, "--out", tmp_path / "p.csv"),
        ("extract", cohort, "--training", other, "--out", tmp_path / "store"),
    ):
        assert "is not the network that was written" in radboost(*words, "--workers", 1, code=2).stderr


class Touches:
    """Unpickled, it runs code: here it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_code_in_a_foreign_checkpoint_is_not_run(radboost, cohort, tmp_path, write):
    ran = tmp_path / "ran"
    write({"state_dict": {"weight": torch.ones(1)}, "epoch": Touches(ran)}, tmp_path / "foreign.pth")
    words = ("--backbone", "test_resnet", "--size", 32, "--workers", 1, "--device", "cpu")
    for command in ("train", "extract"):
        out = tmp_path / command
        given = ("--checkpoint", tmp_path / "foreign.pth", "--out", out)
        assert "cannot be read as weights" in radboost(command, cohort, *given, *words, code=2).stderr
        assert not out.exists()
    assert not ran.exists()
    # Told before the crops are decoded.
    assert not list(tmp_path.glob(".train.training/crops*"))


def test_an_interrupted_training_goes_on_but_never_from_a_changed_checkpoint(radboost, cohort, tmp_path, monkeypatch):
    schedule = tmp_path / "two.toml"
    schedule.write_text('[[stage]]\nname = "two"\nepochs = 2\nrate = 0.001\nlayers = "head"\n')
    words = ("--schedule", schedule, "--size", 32, "--fold", 0, "--workers", 1, "--device", "cpu", "--random-init", 0)
    words = ("train", cohort, "--out", tmp_path / "training", "--backbone", "test_resnet", *words)
    keep = Keeper.on_train_epoch_end

    def interrupt(self, trainer, learning):
        keep(self, trainer, learning)
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Keeper, "on_train_epoch_end", interrupt)
    assert "run it again to go on" in radboost(*words, code=130).stderr
    # A second Ctrl-C works as the first did.
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.setattr(Keeper, "on_train_epoch_end", keep)
    last = tmp_path / ".training.training" / "fold0" / "0-two" / "last.safetensors"
    whole = last.read_bytes()
    last.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "is not the checkpoint that was written" in radboost(*words, code=1).stderr
    last.write_bytes(whole[: len(whole) // 2])
    assert "cannot be read as a checkpoint" in radboost(*words, code=1).stderr
    assert not (tmp_path / "training").exists()
    last.write_bytes(whole)
    radboost(*words)
    assert pd.read_csv(tmp_path / "training" / "epochs.csv")["epoch"].tolist() == [0, 1]


def test_patients_of_an_earlier_network_are_no_new_exams(radboost, cohort, training, run, store, tmp_path):
    # A network may have begun where one of another cohort ended, and have seen who is in no fold of this one. Whoever
    # made the features of a run knows as much as whoever predicts.
    units = Cohort.load(cohort).units
    held = units.loc[units["split"] == "holdout", "group_id"].iat[0]
    words = ("--cohort", cohort, "--split", "holdout", "--out", tmp_path / "p.csv")
    taught = changed(training, tmp_path / "taught", lambda header: header["networks"][0]["saw"].append(held))
    assert "1 of" in radboost("predict", taught, *words, code=2).stderr
    shutil.copytree(run, tmp_path / "run")
    header = json.loads((tmp_path / "run" / "run.json").read_text())
    header["inputs"]["stores"][0]["config"]["trained_groups"] = {"fold0": [held]}
    (tmp_path / "run" / "run.json").write_text(json.dumps(header))
    radboost("blend", "safe", tmp_path / "run", "--out", tmp_path / "blend")
    assert "1 of" in radboost("predict", tmp_path / "blend", *words, "--store", store, code=2).stderr


def test_who_waits_for_a_trainings_networks_sees_them_work(cohort, training):
    # Features are there, but the networks of a training look at images, which takes its time.
    begun = []

    class Listens(Silent):
        def start(self, what, total):
            begun.append(what)

    found = predict_stored(training, cohort, [], PredictConfig(split="holdout", workers=1, device="cpu"), Listens())
    assert found.units == (Cohort.load(cohort).units["split"] == "holdout").sum()
    assert "decode" in begun
