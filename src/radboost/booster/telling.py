"""Metadata that tells the label: a column that alone, out of fold, predicts better than any honest one would."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.booster.design import Design
from radboost.booster.rows import FloatArray, IntArray
from radboost.data.cohort import TRAIN
from radboost.data.metadata import MISSING
from radboost.metrics import auc

__all__ = ["BOUND", "absent_columns", "telling_columns"]

BOUND = 0.95
"""Area under the ROC curve above which one column alone is taken to tell the label."""

LEAST_GROUPS = 5
"""Fewer patients with a class, or without it, and a perfect column may be luck."""

BINS = 16
SMOOTHING = 2.0
"""Rows of the base rate that are added to each bin or category."""

LEAST_ABSENT = 5
"""Fewer units to predict, and a column may be empty in all of them by chance."""


def telling_columns(design: Design, bound: float = BOUND) -> list[str]:
    """Name metadata columns that alone predict a class of a target better than `bound`.

    Each unit is predicted by the mean label of its category, or of its sixteenth of the numbers, among the other folds;
    an empty cell is a category. No column can look good by having seen the unit it predicts.

    Parameters
    ----------
    design
        Labelled units of the training split are used.
    bound
        Weighted area under the ROC curve.

    Returns
    -------
    list
        ``column (AUC .987 for target)``, columns in the design's order.
    """
    design = design.take((design.split == TRAIN) & (design.fold >= 0))
    out = []
    for name in design.metadata.columns:
        cells = design.metadata[name]
        for number, target in enumerate(design.task.targets):
            known = (design.label[:, number] >= 0) & (design.task_weight[:, number] > 0)
            area = max(
                (_area(design.take(known), cells[known], number, label) for label in target.predicted), default=0.0
            )
            if area > bound:
                out.append(f"{name} (AUC {area:.3f} for {target.name})")
    return out


def absent_columns(design: Design) -> list[str]:
    """Name metadata columns that labelled units have and that no unit left to predict has.

    Units left to predict are the unlabelled ones and those of held-out splits; of fewer than `LEAST_ABSENT` nothing is
    said.
    """
    learnt = (design.split == TRAIN) & (design.label >= 0).any(axis=1)
    if int((~learnt).sum()) < LEAST_ABSENT:
        return []
    filled = {name: ~_empty(design.metadata[name]) for name in design.metadata.columns}
    return [name for name, there in filled.items() if there[learnt].any() and not there[~learnt].any()]


def _area(design: Design, cells: pd.Series[Any], target: int, label: int) -> float:
    y = (design.label[:, target] == label).astype(np.int64)
    if any(len(np.unique(design.group[y == value])) < LEAST_GROUPS for value in (0, 1)):
        return 0.0
    weight, p = design.task_weight[:, target], np.empty(len(y))
    for fold in np.unique(design.fold):
        held = design.fold == fold
        code = _codes(cells, ~held)
        totals = np.bincount(code[~held], weight[~held], code.max() + 1)
        sums = np.bincount(code[~held], weight[~held] * y[~held], code.max() + 1)
        base = float(np.average(y[~held], weights=weight[~held])) if totals.sum() > 0 else 0.5
        p[held] = ((sums + SMOOTHING * base) / (totals + SMOOTHING))[code[held]]
    return auc(y, p, weight)


def _codes(cells: pd.Series[Any], seen: npt.NDArray[np.bool_]) -> IntArray:
    """Number of each row's category, or of its bin by quantiles of the rows that were seen; 0 for an empty cell."""
    empty = _empty(cells)
    if pd.api.types.is_numeric_dtype(cells):
        values: FloatArray = cells.to_numpy(dtype=np.float64)
        known = values[seen & ~empty]
        edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS)) if len(known) else np.empty(0)
        return np.where(empty, 0, 1 + np.searchsorted(edges, values, side="right"))
    return np.where(empty, 0, 1 + pd.factorize(cells)[0])


def _empty(cells: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    return (cells.isna() | (cells == MISSING)).to_numpy(dtype=bool)
