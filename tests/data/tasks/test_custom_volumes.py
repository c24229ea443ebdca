"""Studies of several series from a task file: the lumbar task as TOML is the lumbar task."""

from __future__ import annotations

from dataclasses import replace

import pytest

from radboost.data.tasks import get_task
from radboost.data.tasks.custom import read_task
from radboost.errors import TaskError

TOML = """
name = "rsna-lumbar"
table = "train.csv"
test_table = "test_series_descriptions.csv"
unit = ["study_id", "condition", "level"]
group = "study_id"
metric = "parts_log_loss"

[targets.grade]
classes = ["normal_mild", "moderate", "severe"]
weights = [1.0, 2.0, 4.0]
aliases = { "Normal/Mild" = "normal_mild", "Moderate" = "moderate", "Severe" = "severe" }

[wide]
names = ["condition", "level"]
values = [
    ["left_neural_foraminal_narrowing", "left_subarticular_stenosis", "right_neural_foraminal_narrowing",
     "right_subarticular_stenosis", "spinal_canal_stenosis"],
    ["l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1"],
]
value_column = "grade"

[lookup]
column = "condition"
gives = ["kind", "side", "part"]
rows = [
    ["left_neural_foraminal_narrowing", "t1", "L", "foraminal"],
    ["left_subarticular_stenosis", "axial", "L", "subarticular"],
    ["right_neural_foraminal_narrowing", "t1", "R", "foraminal"],
    ["right_subarticular_stenosis", "axial", "R", "subarticular"],
    ["spinal_canal_stenosis", "t2", "", "spinal"],
]

[volumes]
table = "train_series_descriptions.csv"
test_table = "test_series_descriptions.csv"
study = "study_id"
series = "series_id"
kind = "series_description"
folders = ["train_images/{study_id}/{series_id}", "test_images/{study_id}/{series_id}"]
own = "kind"

[[volumes.kinds]]
slot = "t1"
values = ["Sagittal T1"]
slices = 10
halves = true

[[volumes.kinds]]
slot = "t2"
values = ["Sagittal T2/STIR"]
slices = 10

[[volumes.kinds]]
slot = "axial"
values = ["Axial T2"]
slices = 20
flip = true

[volumes.points]
table = "train_label_coordinates.csv"
series = "series_id"
instance = "instance_number"
x = "x"
y = "y"
finding = "condition"
place = "level"
reference = "spinal_canal_stenosis"

[images]
size = 512

[slots]
side = "side"
pool = ["mean", "max"]

[metadata]
categorical = ["part", "level"]
counts = true
headers = ["slice_thickness", "spacing_rows"]

[parts]
column = "part"
any_part = "spinal"

[submission]
id_column = "row_id"
sample = "sample_submission.csv"
"""


@pytest.fixture
def written(tmp_path):
    def write(text: str):
        path = tmp_path / "spines.toml"
        path.write_text(text)
        return path

    return write


def test_a_file_can_say_all_that_the_built_in_task_says(written):
    # No stage knows the name of a task: what is equal is treated alike.
    assert read_task(written(TOML)) == get_task("rsna-lumbar")
    split = read_task(written(TOML.replace('own = "kind"', 'own = "kind"\nsees = "split"')))
    assert split == replace(get_task("rsna-lumbar"), volumes=replace(get_task("rsna-lumbar").volumes, sees="split"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('own = "kind"', 'own = "kind"\nbudget = 3', "unknown keys"),
        ("flip = true", "turn = true", "unknown keys"),
        ('place = "level"', 'place = "level"\nlocator = 1', "unknown keys"),
        ('study = "study_id"\n', "", "lacks keys"),
        ('values = ["Axial T2"]', 'values = ["Sagittal T1"]', "two kinds share a value"),
        ("[slots]\n", '[slots]\nvalues = ["t1"]\n', "slots"),
        # Columns that are no text would only be missed when the table is read, or never.
        ('kind = "series_description"', "kind = 3", "volumes.kind must be text .got 3"),
        ('place = "level"', "place = []", "volumes.points.place must be text"),
        ('test_table = "test_series_descriptions.csv"\nunit', "test_table = 3\nunit", "test_table must be text"),
        ("flip = true", 'flip = "no"', "flip must be true or false .got no"),
        ('column = "condition"', "column = true", "lookup.column must be text"),
    ],
)
def test_what_is_wrong_is_named(written, old, new, said):
    assert old in TOML
    with pytest.raises(TaskError, match=said):
        read_task(written(TOML.replace(old, new)))
