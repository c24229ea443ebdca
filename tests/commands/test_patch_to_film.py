"""From patches to whole breasts: a patch network's trunk as where an image-level network begins, up to new films."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from radboost.data.phantom.cbis import CbisPhantom, write_cbis_ddsm
from radboost.data.predictions import Predictions
from radboost.metrics import Scored, auc, clustered_difference, clustered_interval, log_loss

STAGES = """
[[stage]]
name = "head"
epochs = 2
rate = 0.002
layers = "head"
[[stage]]
name = "all"
epochs = {}
rate = {}
"""
LEARN = '[backbone]\nname = "test_resnet"\npool = ["avgmax"]\n[learn]\nbatch_size = 16\nrate = "cosine"\npatience = 0\n'


def rows(table, member):
    """What a member says of malignancy, abnormality by abnormality."""
    own = table[(table["member"] == member) & (table["class"] == 1)].set_index("unit").sort_index()
    return Scored(own["y"].to_numpy(), own["p"].to_numpy(), np.ones(len(own)), own["group"].to_numpy())


def line(what, scored):
    shown = [f"{what:<34}", f"{len(scored.y):>5}"]
    for metric in (log_loss, auc):
        low, high = clustered_interval(metric, scored)
        shown.append(f"{metric(scored.y, scored.p):.3f} [{low:.3f}, {high:.3f}]")
    print("  ".join(shown))


# Where few patients leave the Hessian singular, the library goes over to another solver, and says so.
@pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning")
@pytest.mark.proof
def test_a_patch_network_becomes_an_image_network(radboost, tmp_path):
    for name, phantom in (
        ("data", CbisPhantom(56, seed=5, pixels=224)),
        ("exams", CbisPhantom(24, seed=5, pixels=224, first_patient=900)),
    ):
        write_cbis_ddsm(tmp_path / name, phantom, workers=1)
    for name, size, epochs, rate in (("patches", 48, 10, 2e-3), ("films", 96, 8, 1e-3)):
        (tmp_path / f"{name}.toml").write_text(f"size = {size}\n{LEARN}{STAGES.format(epochs, rate)}")
    words = ("--task", "cbis-ddsm", "--folds", 2, "--workers", 1)
    patches, films, network = (tmp_path / name for name in ("patches", "films", "patch-network"))
    radboost("index", tmp_path / "data", "--patches", 3, "--size", 64, "--out", patches, *words)
    radboost("index", tmp_path / "data", "--key", patches / "key", "--out", films, *words)
    words = ("--workers", 1, "--device", "cpu")
    radboost("train", patches, "--config", tmp_path / "patches.toml", "--random-init", 0, "--out", network, *words)
    # The same network on whole breasts, begun at the patch networks' trunks, or at random.
    words = (*words, "--config", tmp_path / "films.toml", "--crop", "breast")
    radboost("train", films, "--checkpoint", network, "--out", tmp_path / "image", *words)
    radboost("train", films, "--random-init", 0, "--out", tmp_path / "afresh", *words)
    trained = json.loads((tmp_path / "image" / "training.json").read_text())
    seen = {each["fold"]: set(each["saw"]) for each in json.loads((network / "training.json").read_text())["networks"]}
    for each in trained["networks"]:
        assert seen[each["fold"]] <= set(each["saw"])
    image, store, run, blend = (tmp_path / name for name in ("image", "store", "run", "blend"))
    radboost("extract", films, "--training", image, "--out", store, "--workers", 1)
    radboost("fit-boost", films, store, "--learner", "logistic", "--out", run)
    radboost("blend", "safe", run, image, "--keep-all", "--space", "prob", "--out", blend)
    out = tmp_path / "p.csv"
    # A blend holds the networks only where their own predictions carry weight; features need them in any case.
    radboost("predict", blend, tmp_path / "exams", "--checkpoint", image, "--out", out, "--workers", 1)
    truth = pd.read_csv(tmp_path / "exams" / "truth" / "regions.csv")
    assert sorted(pd.read_csv(out)["abnormality"]) == sorted(truth["unit"])
    print(f"\n{'member, out of fold':<34}  units  log loss                AUC")
    made = ("image", "afresh", "run")
    tables = {name: Predictions.read(tmp_path / name / "predictions.parquet").table for name in made}
    ours, theirs = (rows(tables[name], "train/test_resnet") for name in ("image", "afresh"))
    line("image network, from patches", ours)
    line("image network, from random weights", theirs)
    for member in sorted(set(tables["run"]["member"])):
        line(member, rows(tables["run"], member))
    external = Predictions.read(tmp_path / "p.predictions.parquet").table
    line("blend, new films", rows(external, external["member"].iat[0]))
    for metric in (log_loss, auc):
        found = clustered_difference(metric, ours, theirs.p)
        span = f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
        print(f"{metric.__name__}, from patches less from random: {span}")
