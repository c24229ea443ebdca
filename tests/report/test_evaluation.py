"""A report says what the metrics say, of every target; nothing in it names a unit, and foreign names stay text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radboost.data.predictions import COLUMNS, PART, Predictions
from radboost.errors import MismatchError, UserError
from radboost.metrics import Bootstrap, auc, log_loss
from radboost.pipeline.outside import OutsideConfig
from radboost.report.evaluation.hardest import hardest_units
from radboost.report.evaluation.honesty import sweep_section
from radboost.report.evaluation.learning import learning_section
from radboost.report.evaluation.operating import operate
from radboost.report.evaluation.page import Around, evaluation_page
from radboost.report.evaluation.subgroups import EMPTY, REST, subgroup_items
from radboost.report.evaluation.subject import Settings, open_subject, questions
from radboost.report.page import Number, write_page

HOSTILE = "<script>alert(1)</script>\u202e=1"
FEW = Settings(Bootstrap(replicates=100))


def binary(
    seed: int = 0, patients: int = 80, *, target: str = "cancer", folds: int = 4, skill: float = 1.5
) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(patients), 2)
    y = (np.random.default_rng(99).random(group.size) < 0.3).astype(float)
    p = 1 / (1 + np.exp(1.5 - skill * y - random.normal(size=group.size)))
    return table(group, {"target": target, "class": 1, "y": y, "p": p}, folds)


def several(patients: int = 80, classes: int = 3) -> pd.DataFrame:
    random = np.random.default_rng(5)
    group = np.repeat(np.arange(patients), 2)
    label = random.integers(classes, size=group.size)
    score = np.exp(1.2 * np.eye(classes)[label] + random.normal(size=(group.size, classes)))
    p = score / score.sum(axis=1, keepdims=True)
    own = [
        table(group, {"target": HOSTILE, "class": k, "y": (label == k).astype(float), "p": p[:, k]}, 4)
        for k in range(classes)
    ]
    return pd.concat(own).assign(**{PART: np.tile(np.where(np.arange(group.size) % 2, "spinal", HOSTILE), classes)})


def table(group: np.ndarray, columns: dict, folds: int) -> pd.DataFrame:
    names = [f"{k:04d}" for k in range(group.size)]
    rest = {"unit": names, "member": "m", "kind": "regular", "task_weight": 1.0, "target_weight": 1.0}
    rest |= {"group": [f"g{k}" for k in group], "fold": group % folds, "fold_hash": "f"}
    return pd.DataFrame({**rest, **columns})[[*COLUMNS]].astype(COLUMNS)


def curve(name: str) -> list[dict]:
    """A learning curve of two members, the first of which gained by the last doubling."""
    counts = {"parts": 1, "units": 160, "groups": 80, "auc": None}
    return [
        {"target": name, "member": member, "share": share, "patients": 40 * share, **counts}
        | {"loss": [loss, loss - 0.1, loss + 0.1], "doubling": doubling}
        for member, losses in ((name, (0.6, 0.5)), ("b", (0.7, 0.65)))
        for share, loss, doubling in zip((0.5, 1.0), losses, ([0.1, 0.02, None], None), strict=True)
    ]


def saved(folder: Path, frame: pd.DataFrame, name: str = "p.parquet") -> str:
    Predictions(frame).write(folder / name)
    return str(folder / name)


def asked(folder: Path, frame: pd.DataFrame):
    subject = open_subject(saved(folder, frame))
    block = next(subject.predictions.blocks())
    return questions(block, subject.classes(block))[-1]


def test_numbers_are_the_metrics_of_the_rows_and_everything_has_its_n(tmp_path):
    frame = binary()
    page = evaluation_page([open_subject(saved(tmp_path, frame))], FEW)
    folder = write_page(page, tmp_path / "page.html")
    found = json.loads((folder / "metrics.json").read_text())["targets"]["cancer"]
    numbers = found["numbers"]["cancer"]
    assert numbers["AUC"]["value"] == pytest.approx(auc(frame["y"], frame["p"]), abs=1e-12)
    assert numbers["log loss"]["value"] == pytest.approx(log_loss(frame["y"], frame["p"]), abs=1e-12)
    assert (found["units"], found["patients"], found["positives"]["cancer"]) == (160, 80, int(frame["y"].sum()))
    for each in numbers.values():
        assert each["low"] <= each["high"]
    assert len(list(folder.glob("*.svg"))) == len(list(folder.glob("*.png"))) == 6
    text = (folder / "target-1-numbers.csv").read_text()
    assert text.startswith("metric,value [95 % interval]")


def test_several_classes_and_hostile_names_in_a_browser(tmp_path, check_page):
    frame = several()
    columns = pd.DataFrame(
        {HOSTILE: np.where(np.arange(160) % 3, HOSTILE, "b"), PART: "the cohort's own"},
        index=pd.Index([f"{k:04d}" for k in range(160)]),
    )
    subject = replace(open_subject(saved(tmp_path, frame)), header={"learning": curve(HOSTILE)})
    worse = several().assign(p=1 / 3)
    other = open_subject(saved(tmp_path, worse, "other.parquet"))
    page = evaluation_page([subject, other], FEW, Around(columns))
    folder = write_page(page, tmp_path / "page.html")
    check_page(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "there the model helps to decide" in text
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e=1" in text
    paired = json.loads((folder / "metrics.json").read_text())["paired"][HOSTILE]["other.parquet"]
    assert paired["2: log loss"]["difference"]["high"] < 0
    assert paired["2: AUC"]["p_delong"]["value"] < 0.001


def test_thresholds_are_chosen_on_other_folds_than_they_call(tmp_path):
    question = asked(tmp_path, binary())
    found = operate(question, FEW)[0]
    assert found.crossfit
    assert len(found.thresholds) == 4
    for fold, cut in zip(np.unique(question.fold), found.thresholds, strict=True):
        others = question.take(question.fold != fold)
        called = others.rows.p >= cut
        assert 1 - called[others.rows.y == 0].mean() >= 0.9 - 1e-9
        np.testing.assert_array_equal(
            found.called[question.fold == fold], question.rows.p[question.fold == fold] >= cut
        )
    assert not operate(asked(tmp_path, binary(folds=1)), FEW)[0].crossfit


def test_subgroups_count_every_unit_once_and_hide_levels_of_few_patients(tmp_path):
    question = asked(tmp_path, binary())
    site = np.where(np.arange(160) < 100, "a", "b")
    site[150:154], site[154:] = "rare", "few"
    columns = pd.DataFrame({"site": site, "same": "x"}, index=pd.Index(question.unit)).iloc[4:]
    items, data = subgroup_items("t", question, operate(question, FEW)[0], columns, FEW)
    rows = items[1].rows
    assert sum(row[2] for row in rows) == len(question)
    # Two units of two patients are not known to the cohort, and two levels are of too few patients.
    assert [row[1] for row in rows] == ["a", "b", REST]
    assert set(data["site"]) == {"a", "b", REST}
    assert EMPTY not in data["site"]
    lone = np.where(
        question.unit == question.unit[question.rows.y == 1][0], "a", np.where(question.rows.y == 1, "c", "b")
    )
    lone[question.rows.y == 0] = np.where(np.arange(len(question)) % 2, "a", "b")[question.rows.y == 0]
    _, few = subgroup_items(
        "t", question, operate(question, FEW)[0], pd.DataFrame({"s": lone}, index=question.unit), FEW
    )
    assert few["s"]["a"]["positives"] == 1
    assert np.isnan(few["s"]["a"]["AUC"].value), "one positive has no interval, however often it is drawn"
    alone = question.take(site == "b")
    assert data["site"]["b"]["AUC"].value == auc(alone.rows.y, alone.rows.p, None)


def test_the_hardest_are_the_furthest_off(tmp_path):
    question = asked(tmp_path, binary())
    positives, negatives = hardest_units(question, Settings(FEW.how, hardest=3))
    p, y = question.rows.p, question.rows.y
    assert sorted(p[positives]) == sorted(np.sort(p[y == 0])[-3:])
    assert sorted(p[negatives]) == sorted(np.sort(p[y == 1])[:3])


def test_units_without_label_or_weight_do_not_count(tmp_path):
    frame = binary()
    frame.loc[:19, "y"] = np.nan
    frame.loc[20:39, "task_weight"] = 0.0
    question = asked(tmp_path, frame)
    assert len(question) == 120
    frame["y"] = np.nan
    with pytest.raises(UserError, match="no labelled unit"):
        evaluation_page([open_subject(saved(tmp_path, frame))], FEW)


def test_other_labels_and_other_units_are_refused(tmp_path):
    first = open_subject(saved(tmp_path, binary()))
    turned = binary().assign(y=lambda t: 1 - t["y"])
    for frame, wrong in ((turned, "labels"), (binary(target="other"), "share no target")):
        other = open_subject(saved(tmp_path, frame, "other.parquet"))
        with pytest.raises(MismatchError, match=wrong):
            evaluation_page([first, other], FEW)
    with pytest.raises(UserError, match="knows none of the units"):
        evaluation_page([first], FEW, Around(pd.DataFrame({"a": ["b"]}, index=["x"])))


def test_of_many_members_the_least_loss_is_taken_and_the_page_says_so(tmp_path):
    frame = pd.concat([binary(skill=0.2), binary(seed=1).assign(member="good")])
    subject = open_subject(saved(tmp_path, frame))
    assert subject.name == "p.parquet:good"
    assert "chosen on the units" in subject.notes[0]
    page = evaluation_page([subject], FEW)
    assert any(item.title.startswith("Members of") for item in page.items)
    wide = frame.pivot(index="unit", columns="member", values="p")
    (members,) = [item for item in page.items if item.title.startswith("Members of")]
    found = members.items[-1].rows[0][-1]
    assert found.value == pytest.approx(np.corrcoef(np.log(wide / (1 - wide)), rowvar=False)[0, 1], abs=1e-6)
    assert found.low < found.value < found.high
    with pytest.raises(UserError, match="between 0 and 1"):
        Settings(specificity=1.0)


def test_one_class_alone_is_counted_and_claims_nothing(tmp_path):
    page = evaluation_page([open_subject(saved(tmp_path, binary().assign(y=0.0)))], FEW)
    found = page.data["targets"]["cancer"]["numbers"]["cancer"]
    assert np.isnan(found["AUC"].value)
    write_page(page, tmp_path / "page.html")


def test_a_blends_other_worlds_and_a_trainings_epochs_are_drawn(tmp_path):
    worlds = {"at": [0.1, 0.3], "losses": {"safe": [0.2, 0.4], "risky": [0.3, 0.3], "robust": [0.25, 0.35]}}
    cross = [{"at": 0.2, "from": "safe", "to": "risky"}]
    sweeps = [{"target": HOSTILE, "axis": axis, "cross": cross, **worlds} for axis in ("strength", "prevalence")]
    ends = {"safe": [[0.0, 0.0], [0.02, 0.2]], "risky": [[-0.1, 0.3], [0.0, 0.0]], "robust": [[0.01, 0.1], [0.02, 0.1]]}
    sweeps[1] |= {"above": ends, "intervals": ends, "units": 160, "groups": 80}
    (tmp_path / "sweep.json").write_text(json.dumps(sweeps))
    epochs = pd.DataFrame({"fold": [0, 0, 1, 1], "stage": "head", "epoch": [0, 1, 0, 1], "loss": [0.9, 0.7, 0.8, 0.6]})
    epochs.to_csv(tmp_path / "epochs.csv", index=False)
    trials = [{"job": HOSTILE, "trials": [{"loss": 0.5}, {"loss": 0.6}, {"loss": 0.4}]}]
    subject = replace(open_subject(saved(tmp_path, binary())), folder=tmp_path, header={"tuning": trials})
    found, learnt = sweep_section(subject), learning_section(subject)
    assert len(found.items) == 4
    # A blend made before intervals were kept is still shown.
    assert np.isnan(found.items[1].rows[0][2].low)
    assert "160 units of 80 patients; 3 of 4 differences" in found.items[3].caption
    assert found.items[3].rows[0][-3:-1] == (None, Number(pytest.approx(0.1), -0.1, 0.3, 4, signed=True))
    assert "safe is the best at 0.1, risky from 0.2 on" in found.items[0].caption
    assert [item.name for item in learnt.items] == ["epochs-loss", "tuning"]
    assert "0.6500" in learnt.items[0].caption
    # Epochs are counted, also where there is one alone: no tick stands between two of them.
    epochs.query("epoch == 0").to_csv(tmp_path / "epochs.csv", index=False)
    assert "0.975" not in learning_section(subject).items[0].drawing.svg
    assert "gained 0.1000 nats" in learnt.items[1].caption
    bare = open_subject(saved(tmp_path, binary()))
    assert sweep_section(bare) is learning_section(bare) is None


def test_the_learning_curve_says_whether_more_patients_would_help(tmp_path):
    bare = open_subject(saved(tmp_path, binary()))
    found = learning_section(replace(bare, header={"learning": curve("cancer")}))
    figure, table = found.items
    assert "160 units of 80 patients" in figure.caption
    assert "0.1000" in figure.caption
    assert "more patients would help" in figure.caption
    assert [row[1].value for row in table.rows] == [20, 40, 20, 40]
    # A blend shows those of what it is made of.
    for number in (1, 2):
        (tmp_path / f"run-{number}").mkdir()
        content = {"learning": curve("cancer")} if number == 1 else {}
        (tmp_path / f"run-{number}" / ("run.json", "training.json")[number - 1]).write_text(json.dumps(content))
    (tmp_path / "run-2" / "epochs.csv").write_text("fold,stage,epoch,loss\n0,head,0,.5\n0,head,1,.4\n")
    runs = [{"folder": f"run-{number}"} for number in (1, 2)]
    blend = learning_section(replace(bare, header={"kind": "blend", "runs": runs}, folder=tmp_path))
    assert [type(item).__name__ for item in blend.items] == ["Figure", "Table", "Figure"]
    assert len({item.name for item in blend.items}) == 3


def test_a_table_made_elsewhere_is_judged_by_its_labels(tmp_path):
    frame = binary()
    elsewhere, labels = tmp_path / "model.csv", tmp_path / "labels.csv"
    frame[["unit", "p"]].rename(columns={"p": "cancer"}).to_csv(elsewhere, index=False)
    frame[["unit", "y", "group"]].rename(columns={"y": "cancer"}).to_csv(labels, index=False)
    subject = open_subject(str(elsewhere), None, OutsideConfig(labels))
    block = next(subject.predictions.blocks())
    (question,) = questions(block, subject.classes(block))
    assert (question.positive, len(question), question.groups) == ("cancer", 160, 80)
    assert auc(question.rows.y, question.rows.p, None) == pytest.approx(auc(frame["y"], frame["p"]))
    assert not set(question.unit) & set(frame["unit"])
