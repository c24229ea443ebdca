"""Weights are checked whole, and every complaint lists who it is about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radboost.booster.weights import read_weights, resolve_weights
from radboost.errors import TableError, UserError

UNITS = pd.DataFrame({"unit": ["1_L", "1_R", "2_L"], "unit_id": ["aa", "bb", "cc"]})
ALL = np.ones(3, bool)


def test_readable_and_hashed_names_mean_the_same() -> None:
    assert resolve_weights(UNITS, {"1_L": 2, "bb": 0, "2_L": 1}, ALL).tolist() == [2, 0, 1]


def test_units_that_are_not_learnt_from_need_no_weight() -> None:
    assert resolve_weights(UNITS, {"1_L": 2}, np.array([True, False, False])).tolist() == [1, 0.5, 0.5]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"1_L": 1, "1_R": 1, "2_L": 1, "9_L": 1}, r"unknown units.*9_L"),
        ({"1_L": 1, "1_R": 1}, r"no weight.*2_L"),
        ({"1_L": 1, "1_R": -1, "2_L": 1}, r"not negative.*1_R: -1"),
        ({"1_L": 1, "1_R": float("nan"), "2_L": 1}, r"finite.*1_R"),
        ({"1_L": 0, "1_R": 0, "2_L": 0}, r"all weights are 0"),
    ],
)
def test_offenders_are_listed(weights: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        resolve_weights(UNITS, weights, ALL)


def test_tables_are_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "weights.csv"
    path.write_text("unit,weight,why\n1_L,2,x\n007,0.5,y\n")
    assert read_weights(path) == {"1_L": 2.0, "007": 0.5}
    for text, message in (
        ("unit,w\n1,2\n", "lacks columns weight"),
        ("unit,weight\n1,2\n1,3\n", "twice.*got 1"),
        ("unit,weight\n1,many\n", "no numbers"),
    ):
        path.write_text(text)
        with pytest.raises(TableError, match=message):
            read_weights(path)
    with pytest.raises(TableError, match="cannot be read"):
        read_weights(tmp_path / "absent.csv")


def test_only_the_ratios_of_weights_matter() -> None:
    # Learners count weight as rows: weights that sum to 1 would otherwise look like a single row.
    plain = resolve_weights(UNITS, {"1_L": 2, "bb": 0, "2_L": 1}, ALL)
    tiny = resolve_weights(UNITS, {"1_L": 2e-6, "bb": 0, "2_L": 1e-6}, ALL)
    np.testing.assert_allclose(tiny, plain)
    assert plain.mean() == 1
