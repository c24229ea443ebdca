"""Wide tables and columns that follow from others: one row a unit comes out, or one clear error."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from radboost.data.layout import Lookup, WideTable
from radboost.data.table import unit_targets
from radboost.data.task import Images, Target, Task
from radboost.data.tasks import get_task
from radboost.data.wide import look_up, melt, unit_columns
from radboost.errors import TableError, TaskError

LUMBAR = get_task("rsna-lumbar")
TASK = Task(
    "toy",
    "t.csv",
    ("study", "what", "level"),
    "study",
    (Target("grade", "grade", classes=("mild", "bad"), weights=(1.0, 4.0)),),
    images=Images(("{study}.dcm",)),
    # One heading ends in another one.
    wide=WideTable(("what", "level"), (("left_canal", "canal"), ("l1", "l2")), "grade"),
    lookup=Lookup("what", ("side",), (("left_canal", "L"), ("canal", ""))),
)
WHERE = Path("t.csv")


def table() -> pd.DataFrame:
    cells = {"study": ["7", "2"], "left_canal_l1": ["mild", ""], "left_canal_l2": ["bad", "mild"]}
    return pd.DataFrame(
        cells | {"canal_l1": ["mild", "bad"], "canal_l2": ["", ""], "hospital": ["a", "b"]}, dtype=object
    )


def test_each_cell_becomes_a_row_that_knows_its_heading():
    rows = look_up(melt(table(), TASK, WHERE, labelled=True), TASK, WHERE)
    assert rows.to_dict("list") == {
        "study": ["7"] * 4 + ["2"] * 4,
        "hospital": ["a"] * 4 + ["b"] * 4,
        "what": ["left_canal", "left_canal", "canal", "canal"] * 2,
        "level": ["l1", "l2"] * 4,
        "grade": ["mild", "bad", "mild", "", "", "mild", "bad", ""],
        "side": ["L", "L", "", ""] * 2,
    }
    found = unit_targets(rows, TASK, WHERE, labelled=True).set_index("unit")
    assert found.loc["7_left_canal_l2", ["group", "label", "task_weight"]].tolist() == ["7", 1, 4.0]
    assert found.loc["2_left_canal_l1", "label"] == -1


def test_new_exams_have_every_unit_whatever_table_names_them():
    series = pd.DataFrame({"study": ["9", "9", "8"], "series": ["1", "2", "3"]}, dtype=object)
    rows = melt(series, TASK, WHERE, labelled=False)
    assert rows["study"].tolist() == ["9"] * 4 + ["8"] * 4
    assert set(rows.columns) == {"study", "what", "level"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.drop(columns="canal_l2"), "lacks columns.*canal_l2"),
        (lambda t: t.assign(study=["7", "7"]), "name a group again.*7"),
        (lambda t: t.assign(study=["7", ""]), "name no group.*lines 3"),
    ],
)
def test_a_bad_table_is_told(change, says):
    with pytest.raises(TableError, match=says):
        melt(change(table()), TASK, WHERE, labelled=True)


def test_a_value_that_decides_nothing_is_named():
    with pytest.raises(TableError, match="not known.*foramen"):
        look_up(pd.DataFrame({"what": ["canal", "foramen"]}), TASK, WHERE)


def test_names_come_apart_at_the_longest_heading():
    # A study's name may hold anything, even what starts another heading.
    found = unit_columns(TASK, ["7_left_canal_l1", "a_b_canal_l2"], WHERE)
    assert found.to_dict("records") == [
        {"study": "7", "what": "left_canal", "level": "l1", "side": "L"},
        {"study": "a_b", "what": "canal", "level": "l2", "side": ""},
    ]
    with pytest.raises(TableError, match=r"no units.*7_canal_l3, _canal_l1"):
        unit_columns(TASK, ["7_canal_l3", "_canal_l1"], WHERE)
    assert unit_columns(get_task("rsna-breast"), ["7_L"], WHERE) is None


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: WideTable(("a", "b"), (("x",),), "y"), "do not fit together"),
        (lambda: WideTable(("a",), (("x", "x"),), "y"), "distinct headings"),
        (lambda: Lookup("a", ("b",), (("x", "1"), ("x", "2"))), "no value stands twice"),
        (lambda: Lookup("a", ("b",), (("x",),)), "do not fit its columns"),
        (lambda: replace(LUMBAR, slots=replace(LUMBAR.slots, values=("t1",), blocks=())), "slots are not those"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, says):
    with pytest.raises(TaskError, match=says):
        make()


def test_toml_declares_both(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(
        'table = "t.csv"\nunit = ["study", "what", "level"]\ngroup = "study"\n'
        '[wide]\nnames = ["what", "level"]\nvalues = [["left_canal", "canal"], ["l1", "l2"]]\nvalue_column = "grade"\n'
        '[lookup]\ncolumn = "what"\ngives = ["side"]\nrows = [["left_canal", "L"], ["canal", ""]]\n'
        '[targets.grade]\nclasses = ["mild", "bad"]\nweights = [1.0, 4.0]\n[images]\npaths = "{study}.dcm"\n'
    )
    assert get_task(str(path)) == TASK


def test_the_lumbar_task_asks_for_25_rows_a_study_and_survives_json():
    assert len(LUMBAR.wide.headings) == 25
    assert LUMBAR.targets[0].weights == (1.0, 2.0, 4.0)
    assert Task.from_dict(json.loads(json.dumps(LUMBAR.as_dict()))) == LUMBAR
