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
from radboost.data.unit_table import COUNT, linked_rows
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
    slot
        Slot whose crops it counts; empty where it counts none.
    """

    name: str
    categorical: bool
    header: bool = False
    slot: str = ""


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
        Names of metadata columns, header features or numbers of crops (``count.<slot>``), each with or without the
        ending `CATEGORY`; none for the task's metadata.

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
    counted = () if task is None else task.slots.values
    known = {COUNT + slot: Column(COUNT + slot, categorical=False, slot=slot) for slot in counted} | known
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
    """One row a unit of `Cohort.units`: what is told of it, or its own crops' mean number or first known category.

    Raises
    ------
    UserError
        The cohort lacks a column.
    TableError
        A numeric column holds text.
    """
    headers = cohort.header_features() if any(c.header for c in columns) else None
    links = linked_rows(cohort)
    links = links[~links["slot"].str.endswith(OPPOSITE) & links["crop_id"].isin(cohort.manifest["crop_id"])]
    units = cohort.units["unit"]
    found: dict[str, tuple[pd.Series[Any], npt.NDArray[np.int64]]] = {}
    for column in columns:
        told = _told(cohort, headers, column, links)
        if told is not None:
            found[column.name] = told
    lacking = [c.name for c in columns if c.name not in found]
    if lacking:
        do = "Index both cohorts with the same task and --headers, or compare them on other columns with --on"
        raise UserError("lacks columns to compare on", where=cohort.folder, got=offenders(lacking), do=do)
    out = {c.name: _gathered(*found[c.name], len(units), categorical=c.categorical) for c in columns}
    return pd.DataFrame(out, index=pd.RangeIndex(len(units)))


def _told(
    cohort: Cohort, headers: pd.DataFrame | None, column: Column, links: pd.DataFrame
) -> tuple[pd.Series[Any], npt.NDArray[np.int64]] | None:
    """Cells of a column and the units' rows that they belong to; None where the cohort has no such column."""
    units = cohort.units["unit"]
    if column.slot:
        if cohort.task is None or column.slot not in cohort.task.slots.values:
            return None
        # A unit that sees none there has 0 of them.
        seen = links.loc[links["slot"] == column.slot, "row"].to_numpy()
        count = np.bincount(seen, minlength=len(units)).astype(np.float64)
        return pd.Series(count, name=column.name), np.arange(len(units))
    if cohort.unit_features is not None and not column.header:
        table, name = cohort.unit_features.set_index("unit").reindex(units), METADATA + column.name
        return (table[name].rename(column.name), np.arange(len(units))) if name in table.columns else None
    own, name = (headers, column.name) if column.header else (cohort.manifest, METADATA + column.name)
    if own is None or name not in own.columns:
        return None
    crop = pd.Index(cohort.manifest["crop_id"]).get_indexer(pd.Index(links["crop_id"]))
    return own[name].iloc[crop].rename(column.name), links["row"].to_numpy()


def _gathered(cells: pd.Series[Any], row: npt.NDArray[np.int64], count: int, *, categorical: bool) -> npt.NDArray[Any]:
    """First known category, or mean of the known numbers, of each unit."""
    if not categorical:
        return pd.Series(numbers(cells)).groupby(row).mean().reindex(range(count)).to_numpy(np.float64)
    text = category_text(cells)
    return text.where(text != MISSING).groupby(row).first().reindex(range(count)).fillna(MISSING).to_numpy(object)
