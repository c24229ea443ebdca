"""A task is valid once built, and survives the trip through JSON and TOML."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from radboost.data.task import AnyOf, Metadata, Target, Task
from radboost.data.tasks import TASKS, get_task
from radboost.errors import TaskError

DOCS = Path(__file__).resolve().parents[2] / "docs" / "tasks"

TOML = """
table = "labels.csv"
unit = "image_id"
group = "patient_id"
metric = "auc"
[targets.malignant]
[targets.density]
column = "tissue"
classes = ["F", "G", "D"]
[images]
paths = "{path}"
crop = "breast"
[slots]
column = "view"
values = ["MLO"]
aliases = { ML = "MLO" }
[metadata]
categorical = ["laterality"]
"""

FEATURES = """
[slots]
pool = ["mean", "max", "std", "best-3"]
[metadata]
numeric = ["age"]
counts = true
headers = ["slice_thickness", "manufacturer"]
relative = ["age", "slice_thickness"]
"""


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda t: t.name)
def test_round_trip_through_json(task):
    assert Task.from_dict(json.loads(json.dumps(task.as_dict()))) == task


def test_toml_becomes_a_task(tmp_path):
    path = tmp_path / "films.toml"
    path.write_text(TOML)
    task = get_task(str(path))
    assert (task.name, task.unit, task.images.paths) == ("films", ("image_id",), ("{path}",))
    assert task.target("malignant") == Target("malignant", "malignant")
    assert task.target("density").predicted == (0, 1, 2)
    assert task.slots.aliases == (("ML", "MLO"),)
    assert Task.from_dict(json.loads(json.dumps(task.as_dict()))) == task


def test_features_are_declared(tmp_path):
    path = tmp_path / "films.toml"
    path.write_text(TOML.partition("[slots]")[0] + FEATURES)
    task = get_task(str(path))
    assert task.slots.pool == ("mean", "max", "std", "best-3")
    assert task.metadata == Metadata(
        numeric=("age",),
        counts=True,
        headers=("slice_thickness", "manufacturer"),
        relative=("age", "slice_thickness"),
    )
    assert task.feature_columns == ("age",), "the table needs no column for what is derived"
    assert Task.from_dict(json.loads(json.dumps(task.as_dict()))) == task


def test_a_file_written_before_pools_and_neighbours_reads_as_it_did(tmp_path):
    path = tmp_path / "films.toml"
    path.write_text(TOML)
    task = get_task(str(path))
    old = task.as_dict()
    for part, names in (("slots", ("pool", "neighbours")), ("metadata", ("counts", "headers", "relative"))):
        for name in names:
            del old[part][name]
    assert Task.from_dict(old) == task
    assert (task.slots.pool, task.slots.neighbours) == (("mean",), 0)


WHOLE, *PARTS = re.findall(r"```toml\n(.*?)```", (DOCS / "custom.md").read_text("utf-8"), re.DOTALL)
OPTIONS = re.findall(r"^# \w+ = .*$", WHOLE.partition("# [constraints]")[0], re.MULTILINE)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_of_the_documented_file_is_read(tmp_path, option):
    path = tmp_path / "films.toml"
    path.write_text(WHOLE)
    plain = get_task(str(path))
    assert plain.slots.side == "side"
    path.write_text(WHOLE.replace(option, option.removeprefix("# ")))
    # These two lines show the defaults.
    assert (get_task(str(path)) == plain) == option.startswith(("# classes", "# box_unit"))


@pytest.mark.parametrize("part", PARTS)
def test_every_documented_part_is_read(tmp_path, part):
    path = tmp_path / "films.toml"
    path.write_text(WHOLE.partition("[slots]")[0] + part)
    get_task(str(path))


def test_constraints_are_declared(tmp_path):
    path = tmp_path / "films.toml"
    path.write_text(TOML.replace("[images]", "[targets.benign]\n[constraints]\nmalignant = ['benign']\n[images]"))
    assert get_task(str(path)).constraints == (AnyOf("malignant", ("benign",)),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ('metric = "auc"', 'metric = "rmse"'),
            "unknown metric.*Known: log_loss, joint_log_loss, parts_log_loss, auc, pf1",
        ),
        (('metric = "auc"', 'metrics = "auc"'), "unknown keys.*metrics"),
        (('group = "patient_id"\n', ""), "lacks required keys.*group"),
        (('categorical = ["laterality"]', 'categorical = ["malignant"]'), "target's column is also metadata"),
        (('categorical = ["laterality"]', "categorical = [1]"), "metadata.categorical must be a list of text"),
        (('classes = ["F", "G", "D"]', 'classes = ["F"]'), "two or more distinct classes"),
        (('paths = "{path}"', "paths = []"), r"\[images\] needs paths"),
        (("[targets.malignant]", "[targets.malignant"), "not valid TOML"),
        (('unit = "image_id"', "unit = []"), "at least one target and one unit"),
        (('values = ["MLO"]', "values = []"), "at least one"),
        (('paths = "{path}"', 'paths = "{path"'), "paths cannot be read"),
        (('aliases = { ML = "MLO" }', "aliases = 3"), "aliases must be a table"),
        (('aliases = { ML = "MLO" }', 'aliases = { ML = "XX" }'), "aliases name slots"),
        (('crop = "breast"', 'crop = "chest"'), "crop is unknown"),
        (('crop = "breast"', 'size = "512"'), "size must be a whole number"),
        (('crop = "breast"', "windows = [[1, 0]]"), "windows must be pairs"),
        (('classes = ["F", "G", "D"]', 'classes = "FGD"'), "classes must be a list"),
        (('classes = ["F", "G", "D"]', 'classes = ["F", "G"]\nweights = [nan, 1]'), "one weight of at least 0"),
        (('values = ["MLO"]', 'pool = ["median"]\nvalues = ["MLO"]'), r"\(got median\). Known: mean, max, std, best-K"),
        (('values = ["MLO"]', 'pool = ["best-0"]\nvalues = ["MLO"]'), "pool is unknown"),
        (('values = ["MLO"]', 'pool = []\nvalues = ["MLO"]'), "at least one"),
        (('values = ["MLO"]', 'pool = ["max", "max"]\nvalues = ["MLO"]'), "pool must hold distinct"),
        (('values = ["MLO"]', 'pool = "max"\nvalues = ["MLO"]'), "slots.pool must be a list of text"),
        (('values = ["MLO"]', "neighbours = -1\nvalues = ['MLO']"), "neighbours must be a whole number"),
        (('values = ["MLO"]', "neighbours = true\nvalues = ['MLO']"), "neighbours must be a whole number"),
        (('values = ["MLO"]', "neighbours = 1\npool = ['max']\nvalues = ['MLO']"), "exclude each other"),
        (("[metadata]", '[metadata]\ncounts = "yes"'), "counts must be true or false"),
        (("[metadata]", '[metadata]\nheaders = "rows"'), "metadata.headers must be a list of text"),
        (("[metadata]", '[metadata]\nheaders = ["rows", "rows"]'), "names a column twice"),
        (("[metadata]", '[metadata]\nheaders = ["rows"]\nforbidden = ["rows"]'), "forbidden as features"),
        (("[metadata]", '[metadata]\nheaders = ["rows"]\nrelative = ["age"]'), r"no number \(got age\). Known: rows"),
        (("[metadata]", '[metadata]\nheaders = ["rows"]\ncategories = ["age"]'), r"categories names no number"),
        (("[images]", '[constraints]\nmalignant = "benign"\n[images]'), "must be a list of targets"),
        (("[images]", "[constraints]\nmalignant = ['density']\n[images]"), "no binary target"),
        (("[slots]", '[submission]\nid_column = "malignant"\n[slots]'), "name of the id column"),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path, change, message):
    path = tmp_path / "films.toml"
    path.write_text(TOML.replace(*change))
    with pytest.raises(TaskError, match=message):
        get_task(str(path))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(TaskError, match="rsna-breast"):
        get_task("rsna-brest")


def test_leak_columns_are_refused_as_features():
    with pytest.raises(TaskError, match="forbidden as features.*BIRADS"):
        Metadata(categorical=("BIRADS",), forbidden=("BIRADS",))


def test_constraints_between_labels_are_checked_and_survive_the_trip():
    targets = (Target("any", "any"), Target("epidural", "epidural"), Target("grade", "grade", ("a", "b", "c")))
    task = Task("ct", "t.csv", ("id",), "p", targets, constraints=(AnyOf("any", ("epidural",)),))
    assert Task.from_dict(json.loads(json.dumps(task.as_dict()))) == task
    for whole, parts in (("any", ("grade",)), ("all", ("epidural",)), ("any", ()), ("any", ("any", "epidural"))):
        with pytest.raises(TaskError, match="constraint"):
            Task("ct", "t.csv", ("id",), "p", targets, constraints=(AnyOf(whole, parts),))
