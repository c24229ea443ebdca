"""A column that tells the label is named; a good predictor, an identifier and luck are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from radboost.booster.design import Design, build_design
from radboost.booster.telling import BOUND, absent_columns, telling_columns


@pytest.fixture(scope="module")
def design(make) -> Design:
    cohort, store = make(patients=120, signal=1.0, age=1.5)
    return build_design(cohort, [store])


def with_column(design: Design, cells: object) -> Design:
    return replace(design, metadata=pd.DataFrame({"column": cells}))


def test_an_honest_column_is_not_named(design: Design) -> None:
    assert telling_columns(design) == []


@pytest.mark.parametrize("kind", ["number", "two-sided", "category", "missing"])
def test_a_telling_column_is_named_with_its_score(design: Design, kind: str) -> None:
    sick, random = design.label[:, 0] > 0, np.random.default_rng(0)
    number = random.normal(size=len(sick))
    cells = {
        "number": np.where(sick, 4.0, 0.0) + number,
        # High or low, but not between: no rank tells, yet any tree would.
        "two-sided": np.where(sick, np.sign(number) * 6.0, 0.0) + number,
        "category": np.where(sick, "path lab", "screening"),
        "missing": np.where(sick, number, np.nan),
    }[kind]
    (found,) = telling_columns(with_column(design, cells))
    assert found.startswith("column (AUC ")
    assert float(found.split()[2]) > BOUND


def test_a_name_of_its_own_for_everybody_tells_nothing(design: Design) -> None:
    """In sample an identifier is perfect; out of fold it is not."""
    assert telling_columns(with_column(design, design.unit)) == []


def test_a_perfect_column_over_few_patients_may_be_luck(design: Design) -> None:
    label = np.zeros_like(design.label)
    label[[0, 1, 2]] = 1
    few = replace(design, label=label)
    assert telling_columns(with_column(few, np.where(label[:, 0] > 0, "a", "b"))) == []


def test_columns_that_nobody_to_predict_has_are_named(design: Design) -> None:
    label = design.label.copy()
    label[:10] = -1
    cells = np.arange(len(label), dtype=float)
    cells[:10] = np.nan
    assert absent_columns(with_column(replace(design, label=label), cells)) == ["column"]
    cells[4] = 1.0
    assert absent_columns(with_column(replace(design, label=label), cells)) == []
    assert absent_columns(with_column(design, cells)) == [], "all are labelled: nobody is left to predict"
