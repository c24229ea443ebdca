"""The user's table: read as text, and refused as a whole with the first few offenders named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from radboost.data import table as tables
from radboost.data.task import Images, Metadata, Slots, Target, Task
from radboost.errors import TableError

TASK = Task(
    name="toy",
    table="t.csv",
    unit=("patient", "side"),
    group="patient",
    targets=(Target("cancer", "cancer"), Target("grade", "grade", ("low", "mid", "high"), (1.0, 2.0, 4.0))),
    images=Images(paths=("{image}.png",)),
    slots=Slots(column="view", values=("CC", "MLO"), aliases=(("ML", "MLO"),), side="side"),
    metadata=Metadata(numeric=("age",), categorical=("site",)),
)
GOOD = """patient,side,view,image,cancer,grade,age,site
007,L,CC,a,0,low,50,x
007,L,ML,b,0,low,,x
007,R,CC,c,1.0,high,50,
"""


def read(tmp_path: Path, text: str):
    path = tmp_path / "t.csv"
    path.write_text(text)
    return tables.read_table(path), path


def test_ids_stay_as_written(tmp_path):
    rows, _ = read(tmp_path, GOOD)
    assert tables.units(rows, TASK).tolist() == ["007_L", "007_L", "007_R"]


def test_one_row_a_unit_and_target_with_task_weights(tmp_path):
    rows, path = read(tmp_path, GOOD)
    targets = tables.unit_targets(rows, TASK, path, labelled=True).set_index(["unit", "target"])
    assert len(targets) == 4
    assert targets.loc[("007_R", "cancer"), "label"] == 1
    assert targets.loc[("007_R", "grade"), "label"] == 2
    assert targets.loc[("007_R", "grade"), "task_weight"] == 4.0
    assert targets.loc[("007_L", "cancer"), "task_weight"] == 1.0


def test_an_empty_cell_beside_a_filled_one_does_not_hide_the_label(tmp_path):
    rows, path = read(tmp_path, GOOD.replace("007,L,CC,a,0,low", "007,L,CC,a,,low"))
    targets = tables.unit_targets(rows, TASK, path, labelled=True).set_index(["unit", "target"])
    assert targets.loc[("007_L", "cancer"), "label"] == 0


def test_a_unit_without_any_label_is_unlabelled_not_negative(tmp_path):
    rows, path = read(tmp_path, GOOD.replace(",1.0,high", ",NA,high"))
    targets = tables.unit_targets(rows, TASK, path, labelled=True).set_index(["unit", "target"])
    assert targets.loc[("007_R", "cancer"), "label"] == -1


@pytest.mark.parametrize("value", ["2", "yes", "0.5", "-1"])
def test_a_label_that_is_no_class_is_named_with_its_line(tmp_path, value):
    rows, path = read(tmp_path, GOOD.replace("c,1.0", f"c,{value}"))
    with pytest.raises(TableError, match=f"cancer.*'{value}' in line 4.*Allowed: 0, 1"):
        tables.unit_targets(rows, TASK, path, labelled=True)


def test_rows_of_one_unit_that_disagree_are_refused(tmp_path):
    rows, path = read(tmp_path, GOOD.replace("b,0", "b,1"))
    with pytest.raises(TableError, match="disagree about cancer.*007_L: 0 and 1"):
        tables.unit_targets(rows, TASK, path, labelled=True)


def test_an_unknown_column_lists_what_there_is(tmp_path):
    rows, path = read(tmp_path, GOOD.replace("view", "projection"))
    with pytest.raises(TableError, match=r"lacks columns.*view.*The table has .*projection"):
        tables.check_columns(rows, TASK, path, labelled=True)


def test_an_empty_id_is_named_by_line(tmp_path):
    rows, path = read(tmp_path, GOOD.replace("007,R", ",R"))
    with pytest.raises(TableError, match="patient is empty.*lines 4"):
        tables.check_columns(rows, TASK, path, labelled=True)


def test_views_map_to_slots_and_an_unknown_one_is_refused(tmp_path):
    rows, path = read(tmp_path, GOOD)
    assert tables.slots(rows, TASK, path).tolist() == ["CC", "MLO", "CC"]
    rows, path = read(tmp_path, GOOD.replace("ML,b", "XX,b"))
    with pytest.raises(TableError, match="XX.*Known: CC, MLO, ML"):
        tables.slots(rows, TASK, path)


def test_metadata_types_and_unknown_values(tmp_path):
    rows, path = read(tmp_path, GOOD)
    found = tables.metadata(rows, TASK, path)
    assert np.isnan(found["age"][1])
    assert found["site"].tolist() == ["x", "x", ""]
    rows, path = read(tmp_path, GOOD.replace("50,x", "fifty,x"))
    with pytest.raises(TableError, match="age holds text.*fifty"):
        tables.metadata(rows, TASK, path)


def test_rows_with_a_cell_too_many_and_repeated_columns_are_refused(tmp_path):
    with pytest.raises(TableError):
        read(tmp_path, "a,b\n1,2,3\n4,5,6\n")
    with pytest.raises(TableError, match="columns of the same name"):
        read(tmp_path, "a, a\n1,2\n")


@pytest.mark.parametrize("text", ["", "a,b\n"])
def test_an_empty_table_is_refused(tmp_path, text):
    with pytest.raises(TableError):
        read(tmp_path, text)
