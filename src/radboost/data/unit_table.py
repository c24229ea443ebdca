"""What is known of units besides pixels: labels, and metadata from the table, crops, headers and the patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.cohort import METADATA, Cohort
from radboost.data.metadata import MISSING, category_text, numbers
from radboost.data.task import OPPOSITE, Task
from radboost.errors import FormatError, UserError, offenders

__all__ = ["CATEGORY", "COUNT", "HEADER", "RELATIVE", "linked_rows", "unit_labels", "unit_metadata"]

FloatArray = npt.NDArray[np.float64]

COUNT, HEADER, RELATIVE, CATEGORY = "count.", "header.", "relative.", "category."
"""How the names of derived columns start."""


def linked_rows(cohort: Cohort) -> pd.DataFrame:
    """Give the links of `Cohort.units`, sorted by unit, slot, order and crop.

    Returns
    -------
    DataFrame
        `Cohort.links` with the unit's row in `Cohort.units` as column `row`. A unit that sees nothing but the other
        side, and has no target, is no unit: its links are left out.
    """
    units = cohort.units["unit"].to_numpy()
    place = pd.Series(np.arange(len(units)), index=units)
    links = cohort.links[cohort.links["unit"].isin(place.index)]
    links = links.assign(row=links["unit"].map(place).to_numpy(dtype=np.int64))
    return links.sort_values(["row", "slot", "order", "crop_id"], ignore_index=True)


def unit_labels(cohort: Cohort, units: pd.Series[str]) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Gather labels and task weights.

    Parameters
    ----------
    cohort
        With a task.
    units
        Names, as `Cohort.units` has them.

    Returns
    -------
    tuple
        Class numbers (units, targets), -1 where unlabelled; task weights (units, targets), 1 where unlabelled.
    """
    place = pd.Series(np.arange(len(units)), index=units.to_numpy())
    names = {t.name: i for i, t in enumerate(cohort.need_task().targets)}
    label = np.full((len(place), len(names)), -1, dtype=np.int64)
    weight = np.ones((len(place), len(names)))
    table = cohort.targets[cohort.targets["target"].isin(list(names))]
    row = table["unit"].map(place).to_numpy(dtype=np.int64)
    column = table["target"].map(names).to_numpy(dtype=np.int64)
    label[row, column] = table["label"].to_numpy(dtype=np.int64)
    weight[row, column] = table["task_weight"].to_numpy(dtype=np.float64)
    return label, weight


def unit_metadata(cohort: Cohort, links: pd.DataFrame) -> pd.DataFrame:
    """Gather what a unit's own crops say besides their pixels; see `radboost.data.features.Metadata`.

    Over the crops of a unit a number is averaged, and the first known category is taken.

    Parameters
    ----------
    cohort
        With a task.
    links
        As `linked_rows` gives them.

    Returns
    -------
    DataFrame
        One row a unit of `cohort.units`.

    Raises
    ------
    UserError
        The cohort lacks header features that the task declares, or one of `relative` or `categories` holds words.
    FormatError
        The manifest, or the table of units' features, lacks a metadata column.
    """
    task = cohort.need_task()
    own = links[~links["slot"].str.endswith(OPPOSITE)]
    own = own[own["crop_id"].isin(cohort.manifest["crop_id"])]
    crop = pd.Index(cohort.manifest["crop_id"]).get_indexer(pd.Index(own["crop_id"]))
    units = _Units(own["row"].to_numpy(np.int64), crop, len(cohort.units))
    out: dict[str, npt.NDArray[Any]] = {}
    if cohort.unit_features is None:
        for name in task.metadata.numeric:
            out[name] = units.mean(numbers(_column(cohort.manifest, name).iloc[crop]))
        for name in task.metadata.categorical:
            out[name] = units.first(category_text(_column(cohort.manifest, name).iloc[crop]))
    else:
        table = cohort.unit_features.set_index("unit").reindex(cohort.units["unit"])
        out |= {name: np.asarray(numbers(_column(table, name)), np.float64) for name in task.metadata.numeric}
        out |= {name: category_text(_column(table, name)).to_numpy(object) for name in task.metadata.categorical}
    if task.metadata.counts:
        for slot in task.slots.values:
            there = (own["slot"] == slot).to_numpy()
            out[COUNT + slot] = np.bincount(units.row[there], minlength=units.n).astype(np.float64)
    out |= dict(_headers(cohort, units))
    group = pd.factorize(cohort.units["group"])[0]
    for name in task.metadata.relative:
        column = _number(task, out, name, "relative")
        out[RELATIVE + column] = _relative(out[column], group)
    for name in task.metadata.categories:
        column = _number(task, out, name, "categories")
        out[CATEGORY + column] = _rounded(out[column])
    return pd.DataFrame(out, index=pd.RangeIndex(units.n))


def _number(task: Task, columns: Mapping[str, npt.NDArray[Any]], name: str, option: str) -> str:
    """Name of the column that holds a number which the task derives another feature from."""
    column = name if name in task.metadata.numeric else HEADER + name
    if columns[column].dtype == object:
        raise UserError("names words where only numbers can stand", where=f"[metadata] {option}", got=name)
    return column


def _rounded(values: FloatArray) -> npt.NDArray[np.object_]:
    """Three significant digits as text: a table position of 4.99998 and one of 5 are the same setting."""
    return np.array([MISSING if np.isnan(v) else f"{v:.3g}" for v in values.tolist()], dtype=object)


class _Units:
    """Values of crops, brought together by unit."""

    def __init__(self, row: npt.NDArray[np.int64], crop: npt.NDArray[np.intp], n: int) -> None:
        self.row, self.crop, self.n = row, crop, n

    def mean(self, values: FloatArray) -> FloatArray:
        """Mean of the known numbers; NaN for none."""
        found = pd.Series(values).groupby(self.row).mean().reindex(range(self.n))
        return np.asarray(found, dtype=np.float64)

    def first(self, text: pd.Series[str]) -> npt.NDArray[np.object_]:
        """First known category."""
        known = text.where(text != MISSING).reset_index(drop=True)
        found = known.groupby(self.row).first().reindex(range(self.n)).fillna(MISSING)
        return np.asarray(found, dtype=object)


def _headers(cohort: Cohort, units: _Units) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    names = cohort.need_task().metadata.headers
    if not names:
        return
    table = cohort.header_features()
    if table is None:
        do = "Index the data anew with this task; a shared cohort has none"
        raise UserError("the cohort holds no header features", where=cohort.folder, got=offenders(names), do=do)
    known = [column for column in table.columns if column != "crop_id"]
    unknown = [name for name in names if name not in known]
    if unknown:
        do = f"Known: {', '.join(known)}"
        raise UserError("there are no such header features", where=cohort.folder, got=offenders(unknown), do=do)
    place = pd.Index(table["crop_id"]).get_indexer(pd.Index(cohort.manifest["crop_id"]))[units.crop]
    if (place < 0).any():
        do = "Index the data anew"
        raise FormatError("the header features lack crops of the manifest", where=cohort.folder, do=do)
    for name in names:
        cells = table[name].iloc[place]
        if pd.api.types.is_numeric_dtype(cells):
            yield HEADER + name, units.mean(numbers(cells))
        else:
            yield HEADER + name, units.first(category_text(cells))


def _relative(values: FloatArray, group: npt.NDArray[np.intp]) -> FloatArray:
    """Value minus the mean over the others of the group that have one."""
    known = ~np.isnan(values)
    # Sums of what lies around 0 lose fewer digits.
    centred = values - (values[known].mean() if known.any() else 0.0)
    sums = np.bincount(group[known], centred[known], int(group.max(initial=-1)) + 1)
    counts = np.bincount(group[known], minlength=len(sums))
    others = (counts[group] - known).astype(np.float64)
    out = np.full(len(values), np.nan)
    there = known & (others > 0)
    out[there] = centred[there] - (sums[group[there]] - centred[there]) / others[there]
    return out


def _column(table: pd.DataFrame, name: str) -> pd.Series[Any]:
    if METADATA + name not in table.columns:
        raise FormatError("the cohort lacks a metadata column", got=name, do="Index the data anew")
    return table[METADATA + name].rename(name)
