"""Several tables read as one: what each may lack, what is refused, and what must hold over all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radboost.data.layout import Part, Stacked
from radboost.data.locate import image_paths, matching
from radboost.data.rows import read_rows
from radboost.data.task import Images, Metadata, Target, Task
from radboost.data.tasks import get_task
from radboost.errors import TableError, TaskError, UserError

PARTS = (
    Part("a.csv", constants=(("set", "A"), ("side", "left")), renames=(("grade of it", "grade"),)),
    Part("b.csv", constants=(("set", "B"), ("side", "right"))),
)
TASK = Task(
    "toy",
    "a.csv",
    unit=("set", "id"),
    group="who",
    targets=(Target("bad", "grade", ("low", "high"), aliases=(("lowest", "low"),)),),
    images=Images(("{set}/{id}.png",)),
    metadata=Metadata(categorical=("shape",)),
    stacked=Stacked(PARTS, prevails=(("side", "right"),)),
)
A = "id,who,grade of it,shape\n1,x,low,round\n2,y,lowest,\n"
B = 'id,who,grade\n1,x,"high\n"\n2,z,low\n'


def put(root: Path, a: str = A, b: str = B) -> Path:
    for name, text in (("a.csv", a), ("b.csv", b)):
        if text:
            (root / name).write_text(text)
    return root


def test_tables_are_read_below_each_other_under_one_set_of_names(tmp_path):
    rows = read_rows(put(tmp_path), TASK, new_exams=False)
    assert rows.table["set"].tolist() == ["A", "A", "B", "B"]
    # A newline within a cell belongs to the file, not to the value.
    assert rows.table["grade"].tolist() == ["low", "lowest", "high", "low"]
    assert rows.table["shape"].tolist() == ["round", "", "", ""]
    assert rows.files == ("a.csv", "b.csv")
    assert rows.labelled


def test_the_side_that_prevails_takes_the_whole_patient(tmp_path):
    # x stands in both tables; were her rows on two sides, the held-out one would have been learnt from.
    rows = read_rows(put(tmp_path), TASK, new_exams=False).table
    assert dict(zip(rows["who"], rows["side"], strict=True)) == {"x": "right", "y": "left", "z": "right"}
    assert rows.groupby("who")["side"].nunique().max() == 1


def test_one_of_the_tables_alone_will_do_and_new_exams_need_no_labels(tmp_path):
    rows = read_rows(put(tmp_path, a=""), TASK, new_exams=False)
    assert (rows.files, len(rows.table)) == (("b.csv",), 2)
    (tmp_path / "b.csv").write_text("id,who\n1,x\n")
    assert not read_rows(tmp_path, TASK, new_exams=True).labelled
    with pytest.raises(TableError, match="grade"):
        read_rows(tmp_path, TASK, new_exams=False)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (A, B.replace("low", "middling"), r"b\.csv.*no class.*middling"),
        (A.replace("who", "patient"), B, r"a\.csv.*lacks columns.*who"),
        (A.replace("1,x", ",x"), B, r"a\.csv.*id is empty"),
        (A.replace("shape", "grade"), B, r"a\.csv.*two names"),
        (A, B.replace("who", "set"), r"b\.csv.*two names"),
        (A.replace("shape", "form"), B, "lacks columns.*shape"),
    ],
)
def test_a_fault_names_its_table(tmp_path, a, b, message):
    with pytest.raises(TableError, match=message):
        read_rows(put(tmp_path, a, b), TASK, new_exams=False)


def test_a_folder_without_any_of_them_is_told_their_names(tmp_path):
    with pytest.raises(UserError, match=r"a\.csv, b\.csv"):
        read_rows(tmp_path, TASK, new_exams=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": "b.csv"}, "first of the stacked"),
        ({"test_table": "new.csv"}, "test_table"),
        ({"stacked": Stacked((PARTS[0],), ()), "long": None, "table": ""}, "first"),
    ],
)
def test_a_task_of_several_tables_names_the_first_and_no_other(change, message):
    with pytest.raises(TaskError, match=message):
        replace(TASK, **change)


def test_parts_are_checked():
    for parts in ((), (PARTS[0], PARTS[0])):
        with pytest.raises(TaskError):
            Stacked(parts)
    with pytest.raises(TaskError, match="twice"):
        Part("a.csv", constants=(("x", "1"),), renames=(("y", "x"),))
    with pytest.raises(TaskError, match="no use"):
        Target("t", "t", aliases=(("2", "3"),))


def test_stars_in_paths_stand_for_what_only_the_download_knows(tmp_path):
    table = pd.DataFrame({"id": ["1", "[2]", "3"], "who": ["x"] * 3})
    task = replace(TASK, stacked=None, unit=("id",), images=Images(("{id}.png", "im_{id}/*/*.png")))
    for name in ("im_1/07-20-2016/1-1.png", "im_[2]/07-21-2016/1-1.png", "3.png", "im_10/d/1-1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = image_paths(table, task, tmp_path / "a.csv", tmp_path)
    assert found.tolist() == ["im_1/07-20-2016/1-1.png", "im_[2]/07-21-2016/1-1.png", "3.png"]
    # Which of two is the image cannot be told: better an error than a guess.
    (tmp_path / "im_1/07-20-2016/1-2.png").touch()
    with pytest.raises(TableError, match="several files.*2 files"):
        image_paths(table, task, tmp_path / "a.csv", tmp_path)
    both = matching(("im_{id}/*/*.png", "{id}.png"), table, tmp_path / "a.csv", tmp_path)
    assert [len(files) for files in both] == [2, 1, 1]


def test_a_task_file_may_stack_tables(tmp_path):
    (tmp_path / "toy.toml").write_text("""
table = "a.csv"
unit = ["set", "id"]
group = "who"
[targets.bad]
column = "grade"
classes = ["low", "high"]
aliases = { lowest = "low" }
[images]
paths = "{set}/{id}.png"
[metadata]
categorical = ["shape"]
[stacked]
prevails = { side = "right" }
[[stacked.parts]]
file = "a.csv"
constants = { set = "A", side = "left" }
renames = { "grade of it" = "grade" }
[[stacked.parts]]
file = "b.csv"
constants = { set = "B", side = "right" }
""")
    task = get_task(str(tmp_path / "toy.toml"))
    assert task == TASK
    assert Task.from_dict(task.as_dict()) == task


REGIONS = """
table = "a.csv"
unit = "id"
group = "who"
[targets.grade]
classes = ["low", "high"]
[images]
paths = "{film}.dcm"
crop = "box"
box = ["left", "top", "right", "bottom"]
[regions]
paths = ["masks/{id}.png"]
picture = ["film"]
columns = ["kind", "grade"]
classes = { cyst_low = "cyst", mass_low = "low mass", mass_high = "high mass" }
"""


def test_a_task_file_may_declare_regions(tmp_path):
    path = tmp_path / "films.toml"
    path.write_text(REGIONS)
    task = get_task(str(path))
    assert task.regions is not None
    assert task.regions.names == ("background", "cyst", "low mass", "high mass")
    # Boxes come from the masks, and what the masks' paths name from the table.
    assert task.structure_columns == {"id", "who", "film", "kind", "grade"}
    assert Task.from_dict(task.as_dict()) == task


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('picture = ["film"]', ""), "needs picture"),
        (('box = ["left", "top", "right", "bottom"]', ""), "box"),
        (('"cyst"', '"background"'), "background"),
        (('"masks/{id}.png"', '"masks/{id.png"'), "cannot be read"),
        (('columns = ["kind", "grade"]', 'colums = ["kind"]'), "unknown keys"),
    ],
)
def test_a_wrong_region_is_told(tmp_path, change, message):
    path = tmp_path / "films.toml"
    path.write_text(REGIONS.replace(*change))
    with pytest.raises(TaskError, match=message):
        get_task(str(path))


def test_the_four_tables_of_cbis_ddsm(shared_data):
    task = get_task("cbis-ddsm")
    rows = read_rows(shared_data / "cbis-ddsm", task, new_exams=False).table
    counts = rows.groupby("set")["patient_id"].agg(["size", "nunique"])
    assert counts["size"].to_dict() == {
        "Mass-Training": 1318,
        "Mass-Test": 378,
        "Calc-Training": 1546,
        "Calc-Test": 326,
    }
    assert counts["nunique"].to_dict() == {
        "Mass-Training": 691,
        "Mass-Test": 201,
        "Calc-Training": 602,
        "Calc-Test": 151,
    }
    assert rows["patient_id"].nunique() == 1566
    names = rows["set"] + "_" + rows["patient_id"] + "_" + rows["side"] + "_" + rows["view"]
    units = names + "_" + rows["abnormality"]
    assert units.is_unique
    # The names that we build are those of the collection's folders, with no newline left in a path.
    assert (rows["image_path"].str.split("/").str[0] == names).all()
    assert (rows["mask_path"].str.split("/").str[0] == units).all()
    assert not rows[["image_path", "crop_path", "mask_path"]].apply(lambda c: c.str.contains(r"\s")).any(axis=None)
    assert set(rows["density"]) == set("01234")
    known = rows.loc[rows["type"] == "mass", "mass shape"] != ""
    assert known.any()
    assert (rows.loc[rows["type"] == "mass", "calc type"] == "").all()
    sides = rows.groupby("patient_id")["official"].agg(set)
    assert set(map(len, sides)) == {1}
    assert np.isin(rows.loc[rows["set"].str.endswith("Test"), "official"], "test").all()
    assert rows["pathology"].value_counts().to_dict() == {
        "MALIGNANT": 1457,
        "BENIGN": 1429,
        "BENIGN_WITHOUT_CALLBACK": 682,
    }
