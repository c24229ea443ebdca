"""CBIS-DDSM by its commands: patches of five classes, and abnormalities up to predictions for another population."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd

from radboost.booster.run import Run
from radboost.data.cohort import Cohort
from radboost.data.phantom.cbis import CbisPhantom, write_cbis_ddsm
from radboost.data.store import EmbeddingStore

FEW = CbisPhantom(patients=10, seed=2, pixels=256)
PHANTOM = CbisPhantom(patients=20, seed=2, pixels=256)
# Denser breasts than those that are learnt from.
EXAMS = CbisPhantom(patients=10, seed=2, pixels=256, first_patient=900, density_mix={"2": 0.3, "3": 0.5, "4": 0.2})
NETWORK = ("--backbone", "test_resnet", "--random-init", 0, "--size", 64, "--workers", 1)


def test_patches_from_the_folder_to_a_blend(radboost, tmp_path):
    write_cbis_ddsm(tmp_path / "data", FEW)
    cohort, store, run, blend = (tmp_path / n for n in ("cohort", "store", "run", "blend"))
    words = ("--patches", "s10", "--size", 48, "--folds", 2, "--workers", 1)
    text = radboost("index", tmp_path / "data", "--task", "cbis-ddsm", "--out", cohort, *words).output
    assert "benign calcification" in text
    radboost("crops", cohort, "--out", tmp_path / "crops", "--sample", 6, "--workers", 1, "--size", 64)
    assert len(list((tmp_path / "crops").rglob("*.png"))) >= 6
    radboost("extract", cohort, "--out", store, *NETWORK)
    radboost("fit-boost", cohort, store, "--out", run, "--learner", "logistic")
    radboost("blend", "safe", run, "--out", blend)
    table = Run.load(run).predictions.table
    table = table[table["member"] == "logistic/fused"]
    units = table.pivot(index="unit", columns="class", values="p")
    assert len(units) == len(Cohort.load(cohort).units)
    np.testing.assert_allclose(units.sum(axis=1), 1)
    # Background, and a class for each kind and pathology.
    assert set(table.loc[table["y"] == 1, "class"]) == set(range(5))
    # Patches of films to come are drawn, embedded and judged by the same rules.
    write_cbis_ddsm(tmp_path / "exams", replace(EXAMS, patients=5))
    radboost("predict", blend, tmp_path / "exams", "--out", tmp_path / "p.csv", "--workers", 1)
    found = pd.read_csv(tmp_path / "p.csv")
    findings = len(pd.read_csv(tmp_path / "exams" / "truth" / "regions.csv"))
    assert findings * 10 <= len(found)
    np.testing.assert_allclose(found[list(Cohort.load(cohort).task.targets[0].classes)].sum(axis=1), 1, atol=1e-5)


def test_abnormalities_to_a_risky_blend_for_another_population(radboost, tmp_path, quick):
    write_cbis_ddsm(tmp_path / "data", PHANTOM)
    write_cbis_ddsm(tmp_path / "exams", EXAMS)
    cohort, target, store, run = (tmp_path / n for n in ("cohort", "target", "store", "run"))
    for data, out in (("data", cohort), ("exams", target)):
        words = ("--task", "cbis-ddsm", "--out", out, "--folds", 2, "--workers", 1)
        radboost("index", tmp_path / data, *words)
    weights = tmp_path / "weights.csv"
    radboost("weights", cohort, "--target", target, "--on", "density", "--out", weights)
    radboost("extract", cohort, "--out", store, *NETWORK)
    radboost("fit-boost", cohort, store, "--out", run, "--weights", weights, *quick)
    for policy in ("safe", "risky"):
        radboost("blend", policy, run, "--out", tmp_path / policy)
    out = tmp_path / "predictions.csv"
    words = ("--out", out, "--work", tmp_path / "work", "--workers", 1)
    radboost("predict", tmp_path / "risky", tmp_path / "exams", *words, "--key", cohort / "key")
    found = pd.read_csv(out)
    truth = pd.read_csv(tmp_path / "exams" / "truth" / "regions.csv")
    assert list(found.columns) == ["abnormality", "malignant"]
    assert sorted(found["abnormality"]) == sorted(truth["unit"])
    assert found["malignant"].between(0, 1).all()


def test_a_patch_network_slides_over_films(radboost, tmp_path):
    """Network k of the patches is for the films of fold k alone, up to films that nobody saw."""
    write_cbis_ddsm(tmp_path / "data", FEW)
    write_cbis_ddsm(tmp_path / "exams", replace(FEW, patients=3, first_patient=900))
    patches, films, training, store = (tmp_path / n for n in ("patches", "films", "training", "store"))
    words = ("--task", "cbis-ddsm", "--folds", 2, "--workers", 1)
    radboost("index", tmp_path / "data", "--patches", 2, "--size", 64, "--out", patches, *words)
    words = (*words, "--patches", "grid", "--size", 128, "--key", patches / "key")
    radboost("index", tmp_path / "data", "--out", films, *words)
    words = ("--backbone", "test_resnet", "--random-init", 0, "--size", 32, "--epochs", 1, "--workers", 1)
    radboost("train", patches, "--out", training, *words)
    radboost(
        "extract", films, "--training", training, "--pool", "avg", "--pool", "head", "--out", store, "--workers", 1
    )
    found = EmbeddingStore.open(store)
    assert {pool: found.width(pool) for pool in found.pools if "head" in pool} == {"head@fold0": 5, "head@fold1": 5}
    says = found.read("head@fold0", np.arange(8))
    np.testing.assert_allclose(says.sum(axis=1), 1, atol=2e-3)
    radboost("fit-boost", films, store, "--out", tmp_path / "run", "--learner", "logistic")
    names = json.loads((tmp_path / "run" / "prepared" / "regular" / "fold1" / "prepared.json").read_text())["blocks"]
    assert [b for b in names if "head@fold1" in b["name"]]
    assert not [b for b in names if "@fold0" in b["name"]]
    radboost("blend", "safe", tmp_path / "run", "--out", tmp_path / "blend")
    words = ("--checkpoint", training, "--out", tmp_path / "p.csv", "--workers", 1)
    radboost("predict", tmp_path / "blend", tmp_path / "exams", *words)
    table = pd.read_csv(tmp_path / "p.csv")
    assert table["malignant"].between(0, 1).all()
    assert len(table)
