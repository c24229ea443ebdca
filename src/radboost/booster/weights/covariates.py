"""What two cohorts are compared on: columns of metadata and headers, one row a unit, and never an embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.booster.rows import FloatArray, IntArray
from radboost.data.cohort import METADATA, Cohort
from radboost.data.frame_values import PIXELS
from radboost.data.header_features import GEOMETRY, WORDS
from radboost.data.metadata import MISSING, category_text, numbers
from radboost.data.task import OPPOSITE
from radboost.errors import UserError, offenders

__all__ = ["CATEGORY", "Column", "Sample", "choose_columns", "kinds", "unit_table"]

CATEGORY = ":category"
"""Ending in ``--on`` that makes categories of a numeric column's values: ``intercept:category``."""


@dataclass(frozen=True)
class Column:
    """A column that two cohorts are compared on.

    Attributes
    ----------
    name
        As in the task's table or among the header features.
    categorical
        Whether its values are categories.
    header
        Whether it is a header feature.
    """

    name: str
    categorical: bool
    header: bool = False


@dataclass(frozen=True)
class Sample:
    """Units of one cohort as rows. Every aligned field is cut as a whole by `take`.

    Attributes
    ----------
    table
        One row a unit: numbers as float64 (NaN unknown), categories as text (`MISSING` unknown).
    group
        Shape (n,): number of the patient; the same person has the same number in both cohorts.
    weight
        Shape (n,), positive: how many rows each stands for.
    y
        Shape (n,): probability of the finding, which is 0 or 1 where it is a label; NaN where it is not known.
    """

    table: pd.DataFrame
    group: IntArray
    weight: FloatArray
    y: FloatArray

    def __len__(self) -> int:
        return len(self.table)

    def take(self, rows: npt.NDArray[np.bool_]) -> Sample:
        """Cut to the rows of a mask."""
        table = self.table[rows].reset_index(drop=True)
        return replace(self, table=table, group=self.group[rows], weight=self.weight[rows], y=self.y[rows])


def kinds(columns: Sequence[Column]) -> tuple[list[str], list[str]]:
    """Names of the numeric and of the categorical columns."""
    return [c.name for c in columns if not c.categorical], [c.name for c in columns if c.categorical]


def choose_columns(cohort: Cohort, on: Sequence[str]) -> tuple[Column, ...]:
    """Find the columns asked for, or all metadata of the task.

    Parameters
    ----------
    cohort
        The source cohort.
    on
        Names of metadata columns or header features, each with or without the ending `CATEGORY`; none for the task's
        metadata.

    Raises
    ------
    UserError
        There is no such column, it is forbidden by the task, it is named twice, or there is none at all.
    """
    task = cohort.task
    known = {} if task is None else {n: Column(n, n in task.metadata.categorical) for n in task.feature_columns}
    if not on:
        if not known:
            do = "Name header features with --on"
            raise UserError("the task has no metadata to compare cohorts on", where=cohort.folder, do=do)
        return tuple(known.values())
    names = [name.removesuffix(CATEGORY) for name in on]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError("names a column twice", where="--on", got=offenders(twice))
    forbidden = [n for n in names if task is not None and n in task.metadata.forbidden]
    if forbidden:
        do = "They tell the label or are absent at test time"
        raise UserError("the task forbids columns as features", where="--on", got=offenders(forbidden), do=do)
    headers = cohort.header_features()
    found = [] if headers is None else [c for c in headers.columns if c != "crop_id"]
    known = {n: Column(n, n in WORDS, header=True) for n in found} | known
    unknown = [name for name in names if name not in known]
    if unknown:
        do = f"Known: {', '.join(known) or 'none'}"
        if headers is None and {*unknown} & {*GEOMETRY, *WORDS, *PIXELS}:
            do += ". Header features are there after index --headers all"
        raise UserError("there are no such columns", where="--on", got=offenders(unknown), do=do)
    chosen = [known[name] for name in names]
    return tuple(
        replace(c, categorical=c.categorical or text.endswith(CATEGORY)) for c, text in zip(chosen, on, strict=True)
    )


def unit_table(cohort: Cohort, columns: Sequence[Column]) -> pd.DataFrame:
    """One row a unit of `Cohort.units`, from its own crops: mean of a number, first known category.

    Raises
    ------
    UserError
        The cohort lacks a column.
    TableError
        A numeric column holds text.
    """
    headers = cohort.header_features() if any(c.header for c in columns) else None
    lacking = [c.name for c in columns if _cells(cohort, headers, c) is None]
    if lacking:
        do = "Index both cohorts with the same task and --headers, or compare them on other columns with --on"
        raise UserError("lacks columns to compare on", where=cohort.folder, got=offenders(lacking), do=do)
    units = cohort.units["unit"]
    place = pd.Series(np.arange(len(units)), index=units.to_numpy())
    links = cohort.links[~cohort.links["slot"].str.endswith(OPPOSITE)]
    links = links.assign(row=links["unit"].map(place)).sort_values(["row", "slot", "order", "crop_id"])
    crop = pd.Series(np.arange(len(cohort.manifest)), index=cohort.manifest["crop_id"].to_numpy())
    at, row = crop.reindex(links["crop_id"]).to_numpy(), links["row"].to_numpy()
    out: dict[str, Any] = {}
    for column in columns:
        cells = _cells(cohort, headers, column)
        if cells is None:
            continue
        own = cells.iloc[at].rename(column.name)
        if column.categorical:
            text = category_text(own)
            known = text.where(text != MISSING).groupby(row).first()
            out[column.name] = known.reindex(range(len(units))).fillna(MISSING).to_numpy(object)
        else:
            out[column.name] = pd.Series(numbers(own)).groupby(row).mean().reindex(range(len(units))).to_numpy(float)
    return pd.DataFrame(out, index=pd.RangeIndex(len(units)))


def _cells(cohort: Cohort, headers: pd.DataFrame | None, column: Column) -> pd.Series[Any] | None:
    """Cells of a column, one a crop as in the manifest; None where there is no such column."""
    table, name = (headers, column.name) if column.header else (cohort.manifest, METADATA + column.name)
    return None if table is None or name not in table.columns else table[name]
