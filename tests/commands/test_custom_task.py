"""A task of one's own from a TOML file: several classes and several labels, no Python, all the way to a submission."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import timm
import torch

from radboost.booster import boosting

TOML = """
table = "cases.csv"
test_table = "new.csv"
unit = ["patient", "organ"]
group = "patient"

[targets.grade]
classes = ["low", "mid", "high"]
weights = [1, 2, 4]
[targets.stripes]

[images]
paths = ["{name}.png", "{name}.tif"]
size = 64

[slots]
column = "view"
values = ["front", "side"]
aliases = { lateral = "side" }

[metadata]
numeric = ["age"]
categorical = ["scanner"]

[submission]
id_column = "row"
"""
NETWORK = ("--backbone", "test_resnet", "--random-init", 0, "--size", 64, "--workers", 1)


def make(root: Path, patients: range, table: str, *, labelled: bool) -> None:
    """Brightness tells the grade; horizontal stripes tell the other label. One organ a patient lacks its side view."""
    root.mkdir(exist_ok=True)
    rows = []
    for patient in patients:
        rng = np.random.default_rng(patient)
        for organ in ("liver", "kidney"):
            grade, stripes = int(rng.integers(3)), int(rng.integers(2))
            views = ["front"] if organ == "kidney" and patient % 5 == 0 else ["front", rng.choice(["side", "lateral"])]
            for view in views:
                name = f"{patient}-{organ}-{view}"
                picture = rng.normal(9000 + 16000 * grade, 3000, (48, 64))
                if stripes:
                    picture[::4] += 12000
                suffix = ".png" if patient % 2 else ".tif"
                cv2.imwrite(str(root / f"{name}{suffix}"), picture.clip(0, 65535).astype(np.uint16))
                row = {"patient": patient, "organ": organ, "view": view, "name": name}
                row |= {"age": "" if patient % 7 == 0 else 40 + patient, "scanner": "AB"[patient % 2]}
                if labelled:
                    # One grade in eleven is unknown.
                    row |= {"grade": "" if patient % 11 == 0 else ("low", "mid", "high")[grade], "stripes": stripes}
                rows.append(row)
    pd.DataFrame(rows).to_csv(root / table, index=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("custom")
    make(place / "data", range(40), "cases.csv", labelled=True)
    make(place / "fresh", range(100, 108), "new.csv", labelled=False)
    (place / "organs.toml").write_text(TOML)
    return place


@pytest.fixture(scope="module")
def organs(radboost, place) -> Path:
    """The labelled cohort; its index says that labels are missing."""
    words = ("--task", place / "organs.toml", "--out", place / "cohort", "--folds", 2, "--workers", 1)
    assert "unlabelled" in radboost("index", place / "data", *words).output
    return place / "cohort"


def test_two_targets_end_to_end(radboost, place, organs, tmp_path, monkeypatch):
    # Brightness and stripes are learnt in few rounds.
    monkeypatch.setattr(boosting, "ROUNDS", 30)
    cohort, store, run, blend = (organs, *(tmp_path / n for n in ("store", "run", "blend")))
    radboost("extract", cohort, "--out", store, *NETWORK, "--pool", "avg", "--pool", "max")
    words = ("--learner", "logistic", "--learner", "xgboost", "--seeds", 1)
    text = radboost("fit-boost", cohort, store, "--out", run, *words).output
    assert "grade" in text
    assert "stripes" in text
    assert "all targets, out of fold over" in text
    text = radboost("blend", "safe", run, "--out", blend).output
    assert "weights for grade" in text
    assert "all targets: cross-fitted" in text
    out = tmp_path / "predictions.csv"
    radboost("predict", blend, place / "fresh", "--out", out, "--workers", 1)
    found = pd.read_csv(out)
    assert list(found.columns) == ["row", "grade_low", "grade_mid", "grade_high", "stripes"]
    np.testing.assert_allclose(found[["grade_low", "grade_mid", "grade_high"]].sum(axis=1), 1)
    # The signal is plain, so the probabilities must follow it on patients never seen.
    assert len(found) == 16
    truth = [np.random.default_rng(p) for p in range(100, 108)]
    grades = [g for rng in truth for g in _grades(rng)]
    order = found.set_index("row").loc[[f"{p}_{o}" for p in range(100, 108) for o in ("liver", "kidney")]]
    called = order[["grade_low", "grade_mid", "grade_high"]].to_numpy().argmax(axis=1)
    assert (called == grades).mean() > 0.7


def _grades(rng: np.random.Generator) -> list[int]:
    """Replay the draws of `make` for one patient of the new exams."""
    found = []
    for _ in ("liver", "kidney"):
        found.append(int(rng.integers(3)))
        rng.integers(2)
        rng.choice(["side", "lateral"])
        rng.normal(size=(48, 64))
        rng.normal(size=(48, 64))
    return found


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("low", "lowest"), "grade holds values that are no class"),
        (("lateral", "oblique"), "oblique"),
        (("stripes", "dots"), "lacks columns that task organs needs"),
        (("0-liver-front", "lost"), "rows have no image file"),
        (("41", "forty-one"), "age holds text"),
    ],
)
def test_a_bad_table_is_one_error(radboost, place, tmp_path, change, says):
    text = (place / "data" / "cases.csv").read_text()
    for path in (place / "data").iterdir():
        if path.suffix != ".csv":
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "cases.csv").write_text(text.replace(*change))
    result = radboost("index", tmp_path, "--task", place / "organs.toml", "--out", tmp_path / "c", code=2)
    assert says in result.stderr
    assert not (tmp_path / "c").exists()


def test_a_missing_weights_file_is_named(radboost, place, organs, tmp_path, monkeypatch):
    monkeypatch.setattr(boosting, "ROUNDS", 4)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        state = timm.create_model("test_resnet", num_classes=0).state_dict()
    weights = tmp_path / "ours.safetensors"
    safetensors.torch.save_file(state, weights)
    store, run, blend = (tmp_path / n for n in ("store", "run", "blend"))
    words = ("--backbone", "test_resnet", "--checkpoint", weights, "--size", 64, "--workers", 1)
    radboost("extract", organs, "--out", store, *words)
    radboost("fit-boost", organs, store, "--out", run, "--learner", "lightgbm", "--seeds", 1)
    radboost("blend", "safe", run, "--out", blend)
    out = tmp_path / "p.csv"
    result = radboost("predict", blend, place / "fresh", "--out", out, code=2)
    assert "ours.safetensors" in result.stderr
    assert "sha256" in result.stderr
    assert "--checkpoint" in result.stderr
    other = tmp_path / "other.safetensors"
    safetensors.torch.save_file({k: v + 1 for k, v in state.items()}, other)
    radboost("predict", blend, place / "fresh", "--out", out, "--checkpoint", other, code=2)
    radboost("predict", blend, place / "fresh", "--out", out, "--checkpoint", weights, "--workers", 1)
    assert len(pd.read_csv(out)) == 16


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".pgm"])
def test_every_picture_format_is_read_without_a_task(radboost, suffix, tmp_path):
    (tmp_path / "pictures").mkdir()
    for number, depth in enumerate((np.uint8, np.uint16)):
        if suffix == ".jpg" and depth is np.uint16:
            continue
        picture = np.linspace(0, np.iinfo(depth).max, 40 * 30).reshape(40, 30).astype(depth)
        cv2.imwrite(str(tmp_path / "pictures" / f"{number}{suffix}"), picture)
    (tmp_path / "pictures" / f"broken{suffix}").write_bytes(b"no picture at all")
    radboost("index", tmp_path / "pictures", "--out", tmp_path / "cohort", "--workers", 1)
    text = radboost("extract", tmp_path / "cohort", "--out", tmp_path / "store", *NETWORK).output
    bad = pd.concat(pd.read_csv(p) for p in (tmp_path / "cohort" / "quarantine").glob("*.csv"))
    assert bad["path"].tolist() == [f"broken{suffix}"]
    assert "embedded now" in text
