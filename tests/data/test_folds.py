"""Folds deal out whole groups, alike in every label, and depend on nothing but groups, labels and seed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radboost.data.folds import assign_folds, balance_table, holdout
from radboost.errors import UserError


def cohort(groups: int, labels: int, seed: int) -> tuple[list[str], np.ndarray]:
    random = np.random.default_rng(seed)
    names, rows = [], []
    for g in range(groups):
        sick = random.random(labels) < 0.35
        for _ in range(int(random.integers(1, 5))):
            names.append(f"p{g}")
            rows.append(sick * (random.random(labels) < 0.8))
    return names, np.array(rows, dtype=float)


@settings(max_examples=40, deadline=None)
@given(st.integers(30, 70), st.integers(1, 4), st.integers(2, 4), st.integers(0, 99))
def test_folds_do_not_depend_on_the_order_of_rows(groups: int, labels: int, k: int, seed: int) -> None:
    names, y = cohort(groups, labels, seed)
    age = np.random.default_rng(seed).normal(60, 10, (len(names), 1))
    folds = assign_folds(names, y, k, seed, age)
    order = np.random.default_rng(seed + 1).permutation(len(names))
    again = assign_folds([names[i] for i in order], y[order], k, seed, age[order])
    assert folds == again
    assert set(folds) == set(names)
    assert set(folds.values()) == set(range(k)), "no fold stays empty"


def test_every_label_is_balanced_better_than_by_chance() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat([f"p{i}" for i in range(1000)], 2)
    y = np.hstack([random.random((2000, 1)) < rate for rate in (0.02, 0.1, 0.3)]).astype(float)
    age = random.normal(60, 12, (2000, 1))

    def worst(folds: dict[str, int]) -> np.ndarray:
        counts = np.zeros((5, 5))
        np.add.at(counts, [folds[g] for g in groups], np.hstack([np.ones((2000, 1)), y, age]))
        return np.abs(counts / counts.mean(axis=0) - 1).max(axis=0)

    ours = worst(assign_folds(groups, y, 5, 0, age))
    chance = [worst({g: int(random.integers(5)) for g in sorted(set(groups))}) for _ in range(20)]
    assert (ours <= np.min(chance, axis=0)).all()
    # 40 positives in 5 folds: 8 each, one more or less is the finest step there is.
    assert ours[1] <= 1 / 8 + 1e-9
    assert ours[[0, 2, 3, 4]].max() < 0.02


def test_another_seed_gives_another_assignment() -> None:
    names, y = cohort(60, 1, 3)
    assert assign_folds(names, y, 3, 0) != assign_folds(names, y, 3, 1)


def test_too_few_groups_are_named() -> None:
    with pytest.raises(UserError, match=r"fewer groups than the 5 folds.*got 2"):
        assign_folds(["a", "b", "b"], [[1], [0], [1]], 5)
    table = pd.DataFrame({"mass": [1, 1, 1, 1], "epidural": [0, 0, 1, 1]})
    with pytest.raises(UserError, match="epidural: 2 groups"):
        assign_folds(["a", "b", "c", "d"], table, 3)
    with pytest.raises(UserError, match="two folds or more"):
        assign_folds(["a", "b"], [[1], [1]], 1)


def test_unlabelled_rows_count_for_size_alone() -> None:
    folds = assign_folds(list("abcdefgh"), [[1], [1], [np.nan], [np.nan], [np.nan], [np.nan], [1], [0]], 2)
    assert sorted(folds.values()).count(0) == 4


def test_holdout_takes_its_share_of_rows_and_labels() -> None:
    names, y = cohort(400, 2, 5)
    held = holdout(names, y, 0.15, 1)
    rows = np.array([n in held for n in names])
    assert abs(rows.mean() - 0.15) < 0.01
    assert np.abs(y[rows].sum(axis=0) / y.sum(axis=0) - 0.15).max() < 0.02
    assert held == holdout(names[::-1], y[::-1], 0.15, 1)


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_holdout_is_never_nothing_nor_everything(share: float) -> None:
    held = holdout(["a", "b", "c"], [[0], [1], [0]], share)
    assert 0 < len(held) < 3


def test_balance_table_counts_rows_and_labels() -> None:
    table = balance_table([0, 0, 1], pd.DataFrame({"mass": [1, np.nan, 1]}))
    assert table.to_dict("list") == {"rows": [2, 1], "mass": [1.0, 1.0]}
