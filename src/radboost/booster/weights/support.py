"""Common support: what one cohort has and the other never shows cannot be weighed, only left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.booster.weights.covariates import Column
from radboost.data.metadata import MISSING
from radboost.errors import UserError

__all__ = ["Support", "common_support"]


@dataclass(frozen=True)
class Support:
    """Rows that have a counterpart in the other cohort.

    Attributes
    ----------
    source, target
        Masks of the rows kept.
    removed
        Source rows left out, by the column that was found first.
    """

    source: npt.NDArray[np.bool_]
    target: npt.NDArray[np.bool_]
    removed: dict[str, int]


def common_support(source: pd.DataFrame, target: pd.DataFrame, columns: Sequence[Column]) -> Support:
    """Leave out rows whose category the other cohort lacks, until every category is in both.

    Of a numeric column, being empty and being known are its two categories.

    Raises
    ------
    UserError
        Nothing is left.
    """
    cells = [(c.name, _categories(source, c), _categories(target, c)) for c in columns]
    kept, met = np.ones(len(source), bool), np.ones(len(target), bool)
    removed: dict[str, int] = {}
    while True:
        before = (int(kept.sum()), int(met.sum()))
        for name, mine, theirs in cells:
            shown = theirs[met].unique()
            lost = kept & ~mine.isin(shown).to_numpy()
            met &= theirs.isin(mine[kept].unique()).to_numpy()
            kept &= ~lost
            if lost.any():
                removed[name] = removed.get(name, 0) + int(lost.sum())
        if not kept.any() or not met.any():
            do = f"Compare on other columns with --on; looked at {', '.join(name for name, _, _ in cells)}"
            raise UserError("the cohorts have no common categories, so no weights can be made", where="--target", do=do)
        if before == (int(kept.sum()), int(met.sum())):
            return Support(kept, met, removed)


def _categories(table: pd.DataFrame, column: Column) -> pd.Series[str]:
    cells = table[column.name]
    return cells if column.categorical else cells.isna().map({True: MISSING, False: "known"})
