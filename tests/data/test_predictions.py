"""The long table turns into aligned blocks, and runs that do not belong together are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from radboost.data.predictions import COLUMNS, PART, Predictions, class_rows
from radboost.data.task import Target
from radboost.errors import FormatError, MismatchError


def rows(member: str, p: list[float], classes: list[int] | None = None, fold_hash: str = "f") -> pd.DataFrame:
    n = len(p)
    classes = classes or [1] * n
    units = [f"u{i}" for i in range(n)] if set(classes) == {1} else [f"u{i // len(set(classes))}" for i in range(n)]
    return pd.DataFrame(
        {"unit": units, "target": "t", "class": classes, "y": 0.0, "p": p, "member": member, "kind": "regular"}
        | {"task_weight": 1.0, "target_weight": 1.0, "group": units, "fold": 0, "fold_hash": fold_hash}
    )


def test_binary_block_aligns_members_by_unit():
    a, b = rows("a", [0.1, 0.2, 0.3]), rows("b", [0.4, 0.5, 0.6])
    b = b.sample(frac=1, random_state=0)
    (block,) = Predictions.join([Predictions(a), Predictions(b)]).blocks()
    np.testing.assert_allclose(block.p[:, :, 1], [[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]])
    np.testing.assert_allclose(block.p.sum(axis=2), 1)


def test_a_missing_member_is_nan_not_zero():
    (block,) = Predictions.join([Predictions(rows("a", [0.1, 0.2])), Predictions(rows("b", [0.4]))]).blocks()
    assert np.isnan(block.p[1, 1]).all()


def test_multi_class_labels():
    table = rows("a", [0.2, 0.3, 0.5, 1.0, 0.0, 0.0], [0, 1, 2, 0, 1, 2])
    table["y"] = [0, 0, 1, np.nan, np.nan, np.nan]
    (block,) = Predictions(table).blocks()
    assert block.label.tolist() == [2, -1]
    assert block.p.shape == (2, 1, 3)


def test_cutting_a_block_cuts_every_field():
    (block,) = Predictions(rows("a", [0.1, 0.2, 0.3])).blocks()
    cut = block.take(np.array([2, 0]))
    assert cut.unit.tolist() == ["u2", "u0"]
    assert len(cut) == len(cut.label) == len(cut.p) == len(cut.task_weight) == len(cut.group) == 2


def test_other_folds_are_refused():
    with pytest.raises(MismatchError, match="different folds"):
        Predictions.join([Predictions(rows("a", [0.1])), Predictions(rows("b", [0.1], fold_hash="g"))])


def test_other_labels_are_refused():
    other = rows("b", [0.1]).assign(y=1.0)
    with pytest.raises(MismatchError, match="disagree.*y"):
        Predictions.join([Predictions(rows("a", [0.1])), Predictions(other)])


@pytest.mark.parametrize("p", [-0.1, 1.1, np.nan])
def test_what_is_no_probability_is_refused(p):
    with pytest.raises(FormatError, match=r"\[0, 1\]"):
        Predictions(rows("a", [p]))


def test_a_repeated_row_is_refused():
    with pytest.raises(FormatError, match="twice"):
        Predictions(pd.concat([rows("a", [0.1]), rows("a", [0.2])]))


def test_round_trip(tmp_path):
    predictions = Predictions(rows("a", [0.1, 0.2]))
    predictions.write(tmp_path / "p.parquet")
    again = Predictions.read(tmp_path / "p.parquet")
    (a,), (b,) = predictions.blocks(), again.blocks()
    np.testing.assert_array_equal(a.p, b.p)


def test_rows_of_classes_come_back_as_the_block_they_were_made_of():
    label, units = np.array([2, -1, 0]), np.array(["a", "b", "c"])
    p = np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4], [1.0 + 1e-9, 0.0, -1e-9]])
    others = {"unit": units, "group": units, "member": "m", "kind": "regular", "fold": 0, "fold_hash": "f"}
    others |= {"task_weight": 1.0, "target_weight": 1.0, PART: None}
    table = class_rows(Target("t", "t", ("x", "y", "z")), label, p, others)
    assert list(table.columns) == list(COLUMNS)
    (block,) = Predictions(table).blocks()
    np.testing.assert_allclose(block.p[:, 0], p, atol=1e-8)
    assert block.label.tolist() == label.tolist()
    binary = class_rows(Target("t", "t"), np.array([1, -1, 0]), p, {**others, PART: units})
    assert binary["class"].unique().tolist() == [1]
    assert binary[PART].tolist() == units.tolist()
