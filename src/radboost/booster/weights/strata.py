"""Weights by strata: in each cell of the crossed categories, the target's share over the source's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from radboost.booster.rows import FloatArray, IntArray
from radboost.booster.weights.covariates import Column, Sample
from radboost.errors import UserError, offenders

__all__ = ["cells", "strata"]


def cells(source: Sample, target: Sample, columns: Sequence[Column]) -> tuple[IntArray, IntArray]:
    """Number the cells of the crossed columns, alike in both samples.

    Raises
    ------
    UserError
        A column is numeric.
    """
    numeric = [c.name for c in columns if not c.categorical]
    if numeric:
        do = "Name categorical columns with --on, or make categories of a column's values: --on NAME:category"
        raise UserError("strata need categories", where="--on", got=offenders(numeric), do=do)
    both = pd.concat([source.table, target.table], ignore_index=True)[[c.name for c in columns]]
    code = both.groupby(list(both.columns), sort=True).ngroup().to_numpy().astype(np.int64)
    return code[: len(source)], code[len(source) :]


def strata(source: Sample, target: Sample, mine: IntArray, theirs: IntArray) -> FloatArray:
    """Give each source row its cell's share of the target over the cell's share of the source.

    For one binary column this is, up to a factor, the odds ratio on one of its two strata and 1 on the other. A cell
    that the target lacks has weight 0.

    Returns
    -------
    ndarray
        Shape (source rows,).
    """
    count = int(max(mine.max(), theirs.max())) + 1
    have, want = (np.bincount(code, sample.weight, count) for code, sample in ((mine, source), (theirs, target)))
    ratio = np.divide(want / want.sum(), have / have.sum(), out=np.zeros(count), where=have > 0)
    return np.asarray(ratio[mine], dtype=np.float64)
