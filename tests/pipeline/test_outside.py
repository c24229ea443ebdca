"""Predictions made elsewhere: read as they are, refused where they cannot be trusted, blended like any others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radboost.data.cohort import Cohort
from radboost.data.predictions import Predictions
from radboost.data.task import AnyOf, Target, Task
from radboost.data.tasks import get_task
from radboost.ensemble.blend import fit_blend
from radboost.ensemble.policy import Policy
from radboost.ensemble.result import BlendConfig
from radboost.errors import RadboostError, TableError, UserError
from radboost.metrics import Bootstrap, log_loss
from radboost.pipeline.blending import Blend, blend_outside
from radboost.pipeline.outside import OutsideConfig, read_outside

LSDC = Path(__file__).resolve().parents[3] / "shared" / "data" / "lsdc-predictions"
CLASSES = ["mild", "moderate", "severe"]
UNITS = [f"{study}_{level}" for study in range(30) for level in ("l1", "l2")]


def write(path: Path, values: np.ndarray, columns: list[str] = CLASSES, **more: object) -> Path:
    pd.DataFrame(values, columns=columns).assign(**more).set_axis(UNITS[: len(values)]).to_csv(
        path, index_label="row_id"
    )
    return path


@pytest.fixture
def files(tmp_path) -> tuple[list[Path], Path]:
    random = np.random.default_rng(0)
    label = random.integers(0, 3, len(UNITS))
    truth = np.eye(3)[label]
    truth[:4] = 0  # unlabelled
    members = []
    for number, skill in enumerate((2.0, 0.5)):
        p = np.exp(skill * np.eye(3)[label] + random.normal(0, 0.5, (len(UNITS), 3)))
        members.append(write(tmp_path / f"model_{number}.csv", p / p.sum(1, keepdims=True)))
    return members, write(tmp_path / "labels.csv", truth.astype(int))


def config(labels: Path, **changes) -> OutsideConfig:
    return OutsideConfig(labels, **{"group": "^[0-9]+", **changes})


def test_classes_that_sum_to_one_are_one_target(files):
    members, labels = files
    outside = read_outside(members, config(labels, class_weights={"severe": 4.0}))
    (block,) = outside.predictions.blocks()
    assert block.classes == (0, 1, 2)
    assert [m for m, _ in block.members] == ["model_0", "model_1"]
    assert (block.label < 0).sum() == 4
    assert set(block.task_weight[block.label == 2]) == {4.0}
    assert set(block.task_weight[block.label != 2]) == {1.0}
    assert len(set(block.group)) == 30
    blended = fit_blend(outside.predictions, Policy.SAFE, Bootstrap(replicates=20)).targets[0]
    assert blended.weights["model_0"] > 0.8
    assert blended.groups == 28


def test_nothing_read_keeps_a_name(files):
    outside = read_outside(files[0], config(files[1]))
    text = outside.predictions.table.to_csv()
    assert not any(unit in text for unit in UNITS)
    # The same labels give the same hashes, so that two blends of them can be compared.
    again = read_outside(files[0][:1], config(files[1]))
    assert set(again.predictions.table["unit"]) == set(outside.predictions.table["unit"])


def test_columns_that_do_not_sum_are_targets_of_their_own(tmp_path):
    random = np.random.default_rng(1)
    names = ["any", "subdural"]
    members = [write(tmp_path / f"m{k}.csv", random.random((60, 2)), names) for k in range(2)]
    truth = random.integers(0, 2, (60, 2)).astype(float)
    truth[0] = np.nan
    group = [unit.split("_")[0] for unit in UNITS]
    labels = write(tmp_path / "labels.csv", truth, names, group=group, fold=np.arange(60) // 2 % 3, weight=2.0)
    outside = read_outside(members, OutsideConfig(labels, class_weights={"any": 3.0}))
    blocks = {block.target: block for block in outside.predictions.blocks()}
    assert set(blocks) == set(names)
    assert blocks["any"].classes == (0, 1)
    assert set(blocks["any"].task_weight[blocks["any"].label == 1]) == {6.0}
    assert set(blocks["subdural"].task_weight) == {2.0}
    assert set(blocks["any"].fold) == {0, 1, 2}
    assert (blocks["any"].label == -1).sum() == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m, t: m.assign(mild=1.5), r"lie in \[0, 1\]"),
        (lambda m, t: m.assign(mild=np.nan), "none may be missing"),
        (lambda m, t: m.assign(mild="high"), "holds text"),
        (lambda m, t: m.drop(columns="severe"), "other columns than the first file"),
        (lambda m, t: pd.concat([m, m.iloc[:1]]), "names a unit twice"),
        (lambda m, t: m.set_axis(["x_l1", *m.index[1:]]), "lacks units that model_1 predicted"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused(files, change, says):
    members, labels = files
    table = pd.read_csv(members[1], index_col=0)
    change(table, None).to_csv(members[1], index_label="row_id")
    with pytest.raises(TableError, match=says):
        read_outside(members, config(labels))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"group": None}, "do not say which units belong to one patient"),
        ({"group": "["}, "no regular expression"),
        ({"group": "nobody"}, "finds no group"),
        ({"class_weights": {"sevre": 4.0}}, "no such class"),
    ],
)
def test_what_the_labels_lack_is_named(files, changes, says):
    with pytest.raises(UserError, match=says):
        read_outside(files[0], config(files[1], **changes))


def test_labels_of_a_cohort(radboost_cohort, tmp_path):
    cohort = Cohort.load(radboost_cohort)
    units = cohort.targets["unit"].unique()
    path = tmp_path / "elsewhere.csv"
    pd.DataFrame({"prediction_id": units, "cancer": np.linspace(0, 1, len(units))}).to_csv(path, index=False)
    outside = read_outside([path], OutsideConfig(radboost_cohort))
    table = outside.predictions.table
    known = cohort.units.set_index("unit_id").loc[table["unit"]]
    assert table["group"].tolist() == known["group_id"].tolist()
    assert table["fold"].tolist() == known["fold"].tolist()
    assert set(table["fold_hash"]) == {cohort.fold_hash}
    pd.DataFrame({"prediction_id": units, "tumour": 0.5}).to_csv(path, index=False)
    with pytest.raises(TableError, match="do not predict what"):
        read_outside([path], OutsideConfig(radboost_cohort))


@pytest.mark.skipif(not LSDC.is_dir(), reason="the published lumbar predictions are not beside the project")
def test_five_published_models_score_as_published_and_blend_no_worse_than_their_mean():
    files = sorted(LSDC.glob("model_*.csv"))
    weights = {"moderate": 2.0, "severe": 4.0}
    outside = read_outside(files, OutsideConfig(LSDC / "labels.csv", "^[0-9]+", weights))
    target = fit_blend(outside.predictions, Policy.SAFE, Bootstrap(replicates=100)).targets[0]
    scores = {score.name: score for score in target.scores}
    assert scores["best member"].loss.value == pytest.approx(0.607, abs=5e-4)
    assert scores["uniform mean"].loss.value == pytest.approx(0.618, abs=5e-4)
    assert scores["blend"].loss.value < scores["uniform mean"].loss.value
    assert target.gap <= 1e-8


@pytest.mark.skipif(not LSDC.is_dir(), reason="the published lumbar predictions are not beside the project")
def test_the_lumbar_task_reads_them_by_itself_and_scores_by_its_own_metric():
    # Studies, weights and conditions all come from the task and the units' names.
    files = sorted(LSDC.glob("model_*.csv"))
    outside = read_outside(files, OutsideConfig(LSDC / "labels.csv", task=get_task("rsna-lumbar")))
    (block,) = outside.predictions.blocks()
    assert block.target == "grade"
    assert len(np.unique(block.group)) == 78
    assert {(int(k), float(w)) for k, w in zip(block.label, block.task_weight, strict=True) if k >= 0} == {
        (0, 1.0),
        (1, 2.0),
        (2, 4.0),
    }
    assert sorted(np.unique(block.part)) == ["foraminal", "spinal", "subarticular"]
    result = fit_blend(outside.predictions, Policy.SAFE, Bootstrap(replicates=50), BlendConfig(any_part="spinal"))
    scores = {score.name: score for score in result.joint}
    assert scores["blend"].loss.value < scores["uniform mean"].loss.value
    # The mean over four parts, worked out anew from the files.
    y = pd.read_csv(LSDC / "labels.csv", index_col=0)
    p = sum(pd.read_csv(path, index_col=0).loc[y.index].to_numpy() for path in files) / len(files)
    known, label = y.sum(axis=1).to_numpy() == 1, y.to_numpy().argmax(axis=1)
    weight = known * np.array([1.0, 2.0, 4.0])[label]
    losses = []
    for part in ("foraminal", "subarticular", "spinal"):
        rows = known & y.index.str.contains(part)
        losses.append(log_loss(label[rows], p[rows] / p[rows].sum(1, keepdims=True), weight[rows]))
    studies = y.index.str.split("_").str[0]
    spinal = pd.DataFrame({"y": label == 2, "p": p[:, 2] / p.sum(1), "w": weight}, index=studies)
    worst = spinal[known & y.index.str.contains("spinal")].groupby(level=0).max()
    losses.append(log_loss(worst["y"].astype(int), worst["p"], worst["w"]))
    assert scores["uniform mean"].loss.value == pytest.approx(np.mean(losses), rel=1e-6)


def test_the_command_blends_files_and_the_blend_holds_no_models(radboost, files, tmp_path):
    members, labels = files
    words = ["--labels", labels, "--group", "^[0-9]+", "--class-weight", "severe=4", "--out", tmp_path / "b"]
    for path in members:
        words += ["--predictions", path]
    text = radboost("blend", "safe", *words).output
    assert "cross-fitted over 56 units of 28 groups" in text
    assert isinstance(Blend.load(tmp_path / "b").predictions, Predictions)
    with pytest.raises(UserError, match="holds no models"):
        _ = Blend.load(tmp_path / "b").task
    assert (
        "outside predictions" in radboost("predict", tmp_path / "b", tmp_path, "--out", tmp_path / "p", code=2).stderr
    )


def test_runs_and_files_are_not_mixed(radboost, files, tmp_path):
    assert "neither" in radboost("blend", "safe", "--out", tmp_path / "b", code=2).stderr
    words = ("--predictions", files[0][0], "--out", tmp_path / "b")
    assert "need --labels" in radboost("blend", "safe", *words, code=2).stderr
    assert issubclass(UserError, RadboostError)


def test_a_task_names_the_targets_of_a_table_and_brings_weights_and_constraints(tmp_path):
    random = np.random.default_rng(2)
    names = ["any", "subdural"]
    members = [write(tmp_path / f"m{k}.csv", random.random((60, 2)), names) for k in range(2)]
    labels = write(tmp_path / "labels.csv", random.integers(0, 2, (60, 2)), names, group=UNITS)
    targets = (Target("any", "any", weights=(2.0, 2.0)), Target("subdural", "subdural"))
    task = Task("ct", "t.csv", ("id",), "p", targets, constraints=(AnyOf("any", ("subdural",)),))
    outside = read_outside(members, OutsideConfig(labels, task=task))
    weights = outside.predictions.table.groupby("target")["task_weight"].unique()
    assert weights["any"].tolist() == [2.0]
    assert weights["subdural"].tolist() == [1.0]
    blend_outside(outside, "safe", tmp_path / "b", config=BlendConfig(calibrate="platt"))
    blend = Blend.load(tmp_path / "b")
    wide = blend.predictions.table.pivot(index="unit", columns="target", values="p")
    assert wide["any"].to_numpy() == pytest.approx(wide["subdural"].to_numpy(), abs=1e-12)
    # New units go the same way: weights, calibration, constraints.
    p = random.random((5, 2))
    new = {name: {m: np.stack([1 - p[:, k], p[:, k]], axis=1) for k, m in enumerate(("m0", "m1"))} for name in names}
    found = blend.apply(new, 5)
    assert found["any"] == pytest.approx(found["subdural"])
    other = replace(task, targets=(Target("any", "any"), Target("epidural", "epidural")), constraints=())
    with pytest.raises(TableError, match="do not predict what the task asks for"):
        read_outside(members, OutsideConfig(labels, task=other))


def test_files_that_lack_units_or_cells_are_blended_where_they_are_there(radboost, files, tmp_path):
    members, labels = files
    table = pd.read_csv(members[1], index_col=0)
    table.iloc[:10] = np.nan
    table.iloc[:-5].to_csv(members[1], index_label="row_id")
    words = ["--labels", labels, "--group", "^[0-9]+", "--out", tmp_path / "b"]
    for path in members:
        words += ["--predictions", path]
    assert "none may be missing" in radboost("blend", "safe", *words, code=2).stderr
    text = radboost("blend", "safe", *words, "--missing", "renormalise", "--calibrate", "temperature").output
    assert "cross-fitted over 56 units of 28 groups" in text
    assert "calibrated (temperature), cross-fitted: calibration error" in text
    header = Blend.load(tmp_path / "b").header
    assert header["config"]["missing"] == "renormalise"
    assert header["targets"][0]["calibration"]["method"] == "temperature"
    for option in ("--per-target", "--missing", "--calibrate", "--space"):
        assert option in radboost("blend", "safe", *words, option, "wrong", "--overwrite", code=2).stderr
