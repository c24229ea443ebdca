"""What a competition would refuse of a submission is refused here first: rows, order, ranges, sums, constraints."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from radboost.data.submission import check_submission, in_order_of, read_submission, submission
from radboost.data.task import AnyOf, Submission, Target, Task
from radboost.errors import MismatchError, RadboostError, TableError

GRADES = Task(
    "grades",
    "t.csv",
    ("id",),
    "id",
    (Target("grade", "grade", ("low", "mid", "high")),),
    submission=Submission("row_id", sample="sample.csv"),
)
BLEEDS = Task(
    "bleeds",
    "t.csv",
    ("id",),
    "id",
    (Target("left", "left"), Target("far_left", "far_left"), Target("any", "any")),
    constraints=(AnyOf("any", ("left", "far_left")),),
    submission=Submission("ID", "Label"),
)
P = {
    "grades": {"grade": np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])},
    "bleeds": {
        "left": np.array([[0.8, 0.2], [0.5, 0.5]]),
        "far_left": np.array([[0.7, 0.3], [0.9, 0.1]]),
        "any": np.array([[0.6, 0.4], [0.45, 0.55]]),
    },
}


def made(task: Task) -> pd.DataFrame:
    return submission(task, ["b", "a"], P[task.name])


@pytest.mark.parametrize("task", [GRADES, BLEEDS], ids=lambda task: task.name)
def test_what_is_written_is_accepted_in_the_samples_order(task, tmp_path):
    sample = made(task).sample(frac=1, random_state=1, ignore_index=True)
    found = in_order_of(made(task), sample, task)
    for name, table in (("found", found), ("sample", sample)):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    read = [read_submission(tmp_path / f"{name}.csv", task) for name in ("found", "sample")]
    check_submission(*read, task)
    # Only the order changed: each row keeps its own values.
    id_column = task.submission.id_column
    pd.testing.assert_frame_equal(
        *(table.set_index(id_column).sort_index() for table in (found, made(task))), check_exact=True
    )


def test_ids_stay_text(tmp_path):
    (tmp_path / "s.csv").write_text("row_id,low,mid,high\n007,0.2,0.3,0.5\n")
    assert read_submission(tmp_path / "s.csv", GRADES)["row_id"].tolist() == ["007"]
    (tmp_path / "t.csv").write_text("id,low\n1,0.2\n")
    with pytest.raises(TableError, match="lacks the id column row_id"):
        read_submission(tmp_path / "t.csv", GRADES)


def set_value(value: object):
    def change(table: pd.DataFrame) -> pd.DataFrame:
        return table.astype({table.columns[1]: object}).assign(**{table.columns[1]: [value, *table.iloc[1:, 1]]})

    return change


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        (lambda t: t.iloc[::-1], MismatchError, "another order"),
        (lambda t: t.iloc[:-1], MismatchError, "lacks rows of the sample"),
        (lambda t: pd.concat([t, t.iloc[:1]]), MismatchError, "twice"),
        (lambda t: t.assign(**{t.columns[0]: ["c", *t.iloc[1:, 0]]}), MismatchError, "lacks rows"),
        (lambda t: t.rename(columns={t.columns[1]: "other"}), MismatchError, "other columns"),
        (lambda t: t.assign(more=1), MismatchError, "other columns"),
        (set_value(float("nan")), TableError, "no probabilities"),
        (set_value(float("inf")), TableError, "no probabilities"),
        (set_value(-1e-9), TableError, "no probabilities"),
        (set_value("high"), TableError, "no probabilities"),
    ],
)
@pytest.mark.parametrize("task", [GRADES, BLEEDS], ids=lambda task: task.name)
def test_what_a_competition_would_refuse(task, change, kind, says):
    check_submission(made(task), made(task), task)
    with pytest.raises(kind, match=says):
        check_submission(change(made(task)).reset_index(drop=True), made(task), task)


def test_a_row_too_many_is_told_from_one_too_few():
    more = submission(GRADES, ["b", "a", "c"], {"grade": P["grades"]["grade"][[0, 1, 1]]})
    with pytest.raises(MismatchError, match=r"rows that the sample lacks \(got c\)"):
        check_submission(more, made(GRADES), GRADES)


def test_classes_sum_to_one():
    with pytest.raises(TableError, match=r"classes of grade do not sum to 1 \(got b: 0.9\)"):
        check_submission(set_value(0.6)(made(GRADES)), made(GRADES), GRADES)


@pytest.mark.parametrize(("value", "good"), [(0.2, False), (0.3, True), (0.5, True), (0.51, False)])
def test_any_lies_between_its_largest_part_and_their_sum(value, good):
    # Parts of unit b are .2 and .3.
    table = made(BLEEDS)
    table.loc[table["ID"] == "b_any", "Label"] = value
    if good:
        check_submission(table, made(BLEEDS), BLEEDS)
    else:
        with pytest.raises(TableError, match=r"any does not lie between .* \(got b\)"):
            check_submission(table, made(BLEEDS), BLEEDS)


def test_a_name_that_ends_in_another_is_told_apart():
    table = made(BLEEDS)
    assert table["ID"].tolist()[:3] == ["b_left", "b_far_left", "b_any"]
    table["ID"] = table["ID"].str.replace("b_far_left", "b_far")
    with pytest.raises(RadboostError, match="name no target"):
        check_submission(table, table, BLEEDS)
