"""Long tables and columns from headers: one row a unit comes out, or one clear error that names the rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radboost.data.header_features import WORDS
from radboost.data.index import IndexConfig, index
from radboost.data.long import widen
from radboost.data.phantom.ct import HeadPhantom, write_rsna_ich
from radboost.data.splits import FoldSpec
from radboost.data.submission import submission
from radboost.data.task import Images, LongTable, Submission, Target, Task
from radboost.data.tasks import get_task
from radboost.errors import TableError, TaskError

PAGES = Path(__file__).resolve().parents[2] / "docs" / "tasks"
ICH = get_task("rsna-ich")
TASK = Task(
    "toy",
    "t.csv",
    ("image",),
    "patient_id",
    # One column's name ends in the other's.
    (Target("any", "any"), Target("not_any", "not_any")),
    images=Images(("{image}.dcm",)),
    long=LongTable("ID", "Label", "image"),
    from_headers=("patient_id",),
    submission=Submission("ID", "Label"),
)


def table(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["ID", "Label"], dtype=object)


def test_rows_become_units_in_their_order_and_equal_ones_are_counted(tmp_path):
    rows = [("b_1_any", "1"), ("a_any", "0"), ("b_1_not_any", "0"), ("b_1_any", "1"), ("c_not_any", "1")]
    wide, again = widen(table(*rows), TASK, tmp_path, labelled=True)
    assert wide.to_dict("list") == {"image": ["b_1", "a", "c"], "any": ["1", "0", ""], "not_any": ["0", "", "1"]}
    assert again == 1
    wide, _ = widen(table(*rows), TASK, tmp_path, labelled=False)
    assert wide.to_dict("list") == {"image": ["b_1", "a", "c"]}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("a_any", "0"), ("a_any", "1")], "disagree about Label.*a_any"),
        ([("a_any", "0"), ("a_many", "1")], "names no target.*'a_many' in line 3"),
        ([("_any", "0")], "names no target.*line 2"),
        ([("a_any", "0"), ("b_any", "0.5")], "no class.*'0.5' in line 3"),
    ],
)
def test_a_bad_row_is_named(rows, says, tmp_path):
    with pytest.raises(TableError, match=says):
        widen(table(*rows), TASK, tmp_path, labelled=True)


def test_a_long_table_lacks_what_neither_it_nor_a_header_holds():
    with pytest.raises(TaskError, match="a long table has no such columns.*patient_id"):
        replace(TASK, from_headers=())
    with pytest.raises(TaskError, match="names what no header holds.*age"):
        replace(TASK, from_headers=("patient_id", "age"))
    with pytest.raises(TaskError, match="cannot come from headers.*view"):
        replace(TASK, images=Images(("{view}.dcm",)), from_headers=("patient_id", "view"))
    with pytest.raises(TaskError, match="needs an id, a value and a unit column"):
        LongTable("ID", "ID", "image")


def test_toml_declares_both(tmp_path):
    path = tmp_path / "bleeds.toml"
    path.write_text(
        'table = "t.csv"\nunit = "image"\ngroup = "patient_id"\nfrom_headers = ["patient_id"]\n'
        '[long]\nid_column = "ID"\nvalue_column = "Label"\nunit_column = "image"\n'
        '[targets.any]\n[targets.not_any]\n[images]\npaths = "{image}.dcm"\n'
        '[submission]\nid_column = "ID"\nvalue_column = "Label"\n'
    )
    assert replace(get_task(str(path)), name="toy") == TASK
    path.write_text(path.read_text().replace('["patient_id"]', '"patient_id"'))
    with pytest.raises(TaskError, match="from_headers must be a list"):
        get_task(str(path))


def test_a_long_submission_has_one_row_a_unit_and_target():
    p = {name: np.array([[1 - v, v] for v in values]) for name, values in (("any", (0.5, 0.25)), ("not_any", (0.1, 1)))}
    found = submission(TASK, ["b", "a"], p)
    assert found.to_dict("list") == {
        "ID": ["b_any", "b_not_any", "a_any", "a_not_any"],
        "Label": [0.5, 0.1, 0.25, 1.0],
    }


PHANTOM = HeadPhantom(patients=16, seed=1, pixels=32, prevalence=1, slices=(20, 22))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("ich") / "data"
    write_rsna_ich(out, PHANTOM)
    return out


@pytest.fixture(scope="module")
def indexed(data):
    return index(data, ICH, IndexConfig(folds=FoldSpec(2), workers=1))


def test_the_haemorrhage_cohort_is_what_the_phantom_drew(data, indexed):
    cohort, truth = indexed.cohort, pd.read_csv(data / "truth" / "slices.csv").set_index("image")
    assert indexed.skipped["rows said twice"] == 6 * PHANTOM.repeated
    wide = cohort.targets.pivot(index="unit", columns="target", values="label")
    names = [t.name for t in ICH.targets]
    pd.testing.assert_frame_equal(wide[names], truth.loc[wide.index, names], check_names=False, check_dtype=False)
    weight = cohort.targets.groupby("target")["task_weight"].unique()
    assert all(weight[name].tolist() == [2.0 if name == "any" else 1.0] for name in names)
    # Nothing but the position orders the slices, and nothing but the header tells the patient.
    units = cohort.links.merge(cohort.manifest[["crop_id", "series", "group", "path"]], on="crop_id")
    told = truth.loc[units["unit"]].reset_index()
    assert units["series"].tolist() == told["series"].tolist()
    bad = set(cohort.quarantine["path"])
    assert len(bad) == PHANTOM.bad
    known = ~units["path"].isin(bad)
    assert units["group"][known].tolist() == told["patient"][known.to_numpy()].tolist()
    for _, rows in units.assign(rank=told["rank"]).groupby("series"):
        assert rows.sort_values("order")["rank"].is_monotonic_increasing


def test_header_features_of_the_recipe_are_there(indexed):
    headers = indexed.cohort.header_features()
    assert set(ICH.metadata.headers) <= set(headers.columns)
    filled = headers[list(ICH.metadata.headers)].replace("", np.nan).notna().mean()
    # First and last slices have one neighbour, the bad image no pixels, and some scanners no second window.
    filled = filled.drop(["second_window_centre", "second_window_width"])
    assert (filled > 0.9).all(), filled[filled <= 0.9]
    assert set(headers["intercept"]) == {0.0, -1024.0}


def test_patients_that_headers_do_not_name_are_an_error(data, tmp_path):
    import pydicom

    write_rsna_ich(tmp_path / "data", replace(PHANTOM, patients=1, bad=0))
    path = min((tmp_path / "data" / "stage_2_train_images").iterdir())
    pixels = path.read_bytes()
    dataset = pydicom.dcmread(path)
    name = str(dataset.PatientID).encode()
    assert pixels.count(name) == 1
    path.write_bytes(pixels.replace(name, b" " * len(name)))
    with pytest.raises(TableError, match=f"no patient_id in their headers.*{path.name}"):
        index(tmp_path / "data", ICH, IndexConfig(folds=FoldSpec(2), workers=1))


def test_the_documented_counts_of_header_features_are_the_tasks():
    words = set(ICH.metadata.headers) & set(WORDS)
    counts = len(ICH.metadata.headers) - len(words), len(words), len(ICH.metadata.categories)
    text = (PAGES / "rsna-ich.md").read_text("utf-8")
    assert "{} numbers, {} words, {} numbers as categories".format(*counts) in text
    assert "{} numbers and {} words of the header".format(*counts) in text
