"""`index --folds`: cross-validation folds, folds or splits from a column, or a hold-out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from radboost.data.cohort import METADATA, TRAIN
from radboost.data.folds import assign_folds, holdout
from radboost.data.task import Task
from radboost.errors import TableError, UserError, offenders

__all__ = ["Balance", "FoldSpec", "by_group", "make_folds", "one_split", "unit_balance"]

DEFAULT_FOLDS = 5


@dataclass(frozen=True)
class FoldSpec:
    """How groups are split.

    Attributes
    ----------
    folds
        Number of cross-validation folds.
    column
        Table column with fold numbers, or with names of splits of which ``train`` is cross-validated.
    holdout
        Share of groups held out as split ``holdout``, 0 for none.
    """

    folds: int = DEFAULT_FOLDS
    column: str = ""
    holdout: float = 0.0

    @classmethod
    def parse(cls, text: str) -> FoldSpec:
        """Read ``K``, ``column:NAME`` or ``holdout:F`` (the rest in 5 folds; ``holdout:F:K`` in K).

        Raises
        ------
        UserError
            The text is none of these.

        >>> FoldSpec.parse("holdout:0.2")
        FoldSpec(folds=5, column='', holdout=0.2)
        """
        kind, _, value = text.partition(":")
        try:
            if kind == "column" and value:
                return cls(column=value)
            if kind == "holdout":
                share, _, folds = value.partition(":")
                spec = cls(folds=int(folds or DEFAULT_FOLDS), holdout=float(share))
            else:
                spec = cls(folds=int(text))
            if spec.folds >= 2 and 0 <= spec.holdout < 1 and (kind != "holdout" or spec.holdout > 0):
                return spec
        except ValueError:
            pass
        do = "Give a number of folds (2 or more), column:NAME, or holdout:F with F between 0 and 1"
        raise UserError("--folds cannot be read", got=text, do=do)


@dataclass(frozen=True)
class Balance:
    """What folds shall share evenly, one row a unit.

    Attributes
    ----------
    group
        Group of each unit.
    labels
        One count column a class that must be learnt.
    covariates
        Further columns; NaN where unknown.
    """

    group: pd.Series
    labels: pd.DataFrame
    covariates: pd.DataFrame

    def take(self, rows: np.ndarray) -> Balance:
        """Cut every field to the units of a mask."""
        return Balance(self.group[rows], self.labels[rows], self.covariates[rows])


def make_folds(units: Balance, spec: FoldSpec, seed: int, column: pd.Series | None = None) -> pd.DataFrame:
    """Assign each group to a fold or to a held-out split.

    Parameters
    ----------
    units
        What to balance.
    spec, seed
        How, and the seed of ties.
    column
        Value of the fold column by group, where `spec.column` is given.

    Returns
    -------
    pandas.DataFrame
        `group`, `fold`, `split`, one row a group, sorted by group.

    Raises
    ------
    UserError
        There are fewer groups, or fewer groups with some class, than folds.
    """
    groups = np.sort(units.group.unique().astype(str))
    split = pd.Series(TRAIN, index=groups)
    fold = pd.Series(-1, index=groups)
    if column is not None:
        fold, split = _predefined(column.reindex(groups))
    if spec.holdout:
        split[list(holdout(units.group.tolist(), units.labels, spec.holdout, seed))] = "holdout"
    open_groups = split.index[(split == TRAIN) & (fold < 0)]
    if len(open_groups):
        rest = units.take(units.group.isin(open_groups).to_numpy())
        fold.update(pd.Series(assign_folds(rest.group.tolist(), rest.labels, spec.folds, seed, rest.covariates)))
    return pd.DataFrame({"group": groups, "fold": fold.to_numpy(int), "split": split.to_numpy(str)})


def _predefined(values: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Fold numbers make folds; words make splits, with ``train`` left to be cross-validated."""
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().all():
        if (numbers < 0).any() or (numbers % 1 != 0).any():
            raise TableError("the fold column must hold whole numbers from 0", got=offenders(values.unique().tolist()))
        return numbers.astype(int), pd.Series(TRAIN, index=values.index)
    if not (values == TRAIN).any():
        do = f"Call the rows to learn from {TRAIN!r}, or number the folds from 0"
        raise TableError("the fold column names no training rows", got=offenders(values.unique().tolist()), do=do)
    return pd.Series(-1, index=values.index), values.astype(str)


def by_group(groups: pd.Series, values: pd.Series, name: str) -> pd.Series:
    """Reduce a row column to one value a group; raises TableError where a group's rows differ."""
    counts = values.groupby(groups).nunique()
    straddling = counts.index[counts > 1].tolist()
    if straddling:
        what = f"fold column {name} puts a group on two sides"
        raise TableError(what, got=offenders(straddling), do="All rows of one group belong to one fold")
    return values.groupby(groups).first()


def one_split(groups: np.ndarray) -> pd.DataFrame:
    """Leave groups undealt: all in the split `TRAIN`, in no fold."""
    return pd.DataFrame({"group": np.sort(groups.astype(str)), "fold": -1, "split": TRAIN})


def unit_balance(targets: pd.DataFrame, crops: pd.DataFrame, task: Task) -> Balance:
    """Tell what folds shall share: classes of each target, crops, and quartiles of numeric metadata.

    Parameters
    ----------
    targets
        Columns of `radboost.data.cohort.TARGETS`.
    crops
        `unit` and numeric metadata; one row a crop, or a unit where units share them.
    task
        Whose targets and metadata.
    """
    wide = targets.pivot(index="unit", columns="target", values="label")
    labels = {
        f"{t.name}={t.classes[k]}": (wide[t.name] == k).astype(float)
        for t in task.targets
        for k in range(1, len(t.classes))
    }
    covariates = {"crops": crops["unit"].value_counts().reindex(wide.index).fillna(0).astype(float)}
    for name in task.metadata.numeric:
        values = crops.groupby("unit")[METADATA + name].mean().reindex(wide.index)
        for number, edge in enumerate(np.unique(values.quantile([0.25, 0.5, 0.75]).dropna())):
            covariates[f"{name} above {number}"] = (values > edge).astype(float)
    group = targets.drop_duplicates("unit").set_index("unit")["group"].reindex(wide.index)
    return Balance(group, pd.DataFrame(labels), pd.DataFrame(covariates))
