"""Can two cohorts be told apart? A classifier two-sample test (Lopez-Paz and Oquab 2017), cross-fitted by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm
import numpy as np
import pandas as pd

from radboost.booster.rows import FloatArray, IntArray
from radboost.booster.weights.odds import deal_groups
from radboost.metrics import Bootstrap, Estimate, Scored, auc, clustered_estimates

__all__ = ["LEAST_GROUPS", "Apart", "tell_apart"]

FOLDS = 5
LEAST_GROUPS = 10
MOST_ROWS = 20_000
"""Of each cohort; whole patients are drawn."""
MOST_CATEGORIES = 100
ROUNDS = 80
SETTINGS = {
    "objective": "binary",
    "num_leaves": 8,
    "learning_rate": 0.1,
    "min_data_in_leaf": 10,
    "lambda_l2": 1.0,
    "max_bin": 63,
    "deterministic": True,
    "force_row_wise": True,
    # One thread, so that a loaded machine does not wait for its own threads, and results do not depend on it.
    "num_threads": 1,
    "verbose": -1,
}


@dataclass(frozen=True)
class Apart:
    """How well rows of two cohorts are told apart.

    Attributes
    ----------
    area
        Area under the ROC curve of predictions by models that saw none of the row's group; .5 means not at all.
    p, of
        Shape (n,): these predictions, and the cohort of each row (0 or 1).
    lost
        By column, how much of the area is lost when its values are shuffled among the rows that are predicted.
    """

    area: Estimate
    p: FloatArray
    of: FloatArray
    lost: dict[str, float]


def tell_apart(
    table: pd.DataFrame, of: FloatArray, group: IntArray, categorical: Sequence[str], seed: int = 0
) -> Apart:
    """Learn to tell two cohorts apart, and judge it on patients that were not learnt from.

    Parameters
    ----------
    table
        One row a unit: numbers (NaN unknown), and codes of categories (negative unknown).
    of
        Shape (n,): cohort of each row, 0 or 1.
    group
        Shape (n,): patient; the same person has the same number in both cohorts, and stands in one fold with all rows.
    categorical
        Columns that hold codes.
    seed
        Of the folds, of the draw of patients, and of the shuffling.

    Returns
    -------
    Apart
        The area is ``nan`` where a cohort has fewer than `LEAST_GROUPS` patients.
    """
    rows = np.concatenate([_drawn(np.flatnonzero(of == kind), group, seed) for kind in (0, 1)])
    table, of, group = table.iloc[rows].reset_index(drop=True), of[rows], group[rows]
    if min(len(np.unique(group[of == kind])) for kind in (0, 1)) < LEAST_GROUPS or not len(table.columns):
        return Apart(Estimate(rows=len(of), groups=len(np.unique(group))), np.full(len(of), np.nan), of, {})
    x = np.stack([_codes(table[c]) if c in categorical else table[c].to_numpy(float) for c in table.columns], axis=1)
    columns = [k for k, c in enumerate(table.columns) if c in categorical]
    fold = deal_groups(group, of, FOLDS, seed)
    random = np.random.default_rng(seed)
    p = np.zeros(len(of))
    shuffled = np.zeros((x.shape[1], len(of)))
    # Equal weight of both cohorts, so that small ones are not drowned.
    weight = np.where(of == 1, len(of) / of.sum(), len(of) / (1 - of).sum()) / 2
    for number in range(FOLDS):
        held = fold == number
        data = lightgbm.Dataset(x[~held], of[~held], weight=weight[~held], categorical_feature=columns, params=SETTINGS)
        model = lightgbm.train({**SETTINGS, "seed": seed}, data, num_boost_round=ROUNDS)
        own = x[held]
        p[held] = model.predict(own)
        for column in range(x.shape[1]):
            changed = own.copy()
            changed[:, column] = random.permutation(own[:, column])
            shuffled[column, held] = model.predict(changed)
    area = clustered_estimates({"auc": auc}, Scored(of, p, np.ones(len(of)), group), Bootstrap(seed=seed))["auc"]
    lost = {str(name): area.value - auc(of, shuffled[k], np.ones(len(of))) for k, name in enumerate(table.columns)}
    return Apart(area, p, of, lost)


def _drawn(rows: IntArray, group: IntArray, seed: int) -> IntArray:
    """Rows of whole patients, not many more than `MOST_ROWS`."""
    if len(rows) <= MOST_ROWS:
        return rows
    names, code, count = np.unique(group[rows], return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    kept = np.zeros(len(names), bool)
    kept[order[: int(np.searchsorted(np.cumsum(count[order]), MOST_ROWS)) + 1]] = True
    return rows[kept[code]]


def _codes(column: pd.Series) -> FloatArray:
    """Codes of the most frequent categories, one more for the others, NaN where unknown."""
    code = column.to_numpy(float)
    known = code >= 0
    names, place, count = np.unique(code[known], return_inverse=True, return_counts=True)
    rank = np.empty(len(names))
    rank[np.argsort(-count, kind="stable")] = np.arange(len(names))
    out = np.full(len(code), np.nan)
    out[known] = np.minimum(rank[place], MOST_CATEGORIES)
    return out
