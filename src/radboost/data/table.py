"""The user's table of labels: read as text, checked whole, and turned into units, slots and labels."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from radboost.data.cohort import BOX
from radboost.data.task import Target, Task
from radboost.errors import TableError, offenders

__all__ = [
    "ABSENT",
    "boxes",
    "check_columns",
    "labels",
    "metadata",
    "read_table",
    "sides",
    "slots",
    "unit_targets",
    "units",
]

ABSENT = frozenset({"", "na", "nan", "none", "null", "n/a"})
"""Cells that mean "not known", whatever their case."""

_SIDES = {"l": "L", "left": "L", "r": "R", "right": "R"}


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV, TSV or parquet table; every cell is text, an unknown one is the empty text.

    Reading as text keeps ids as they are written (leading zeros, long numbers).

    Raises
    ------
    TableError
        The file cannot be read as a table, or holds no rows.
    """
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path).astype("string").fillna("").astype(object)
        else:
            separator = "\t" if path.suffix == ".tsv" else ","
            with warnings.catch_warnings():
                # Rows with a cell too many: a warning to pandas, but to us a table whose columns cannot be trusted.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                table = pd.read_csv(
                    path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False
                )
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        raise TableError("cannot be read as a table", where=path, got=str(error).strip()) from error
    if table.empty:
        raise TableError("holds no rows", where=path)
    table.columns = table.columns.astype(str).str.strip()
    twice = table.columns[table.columns.duplicated()].tolist()
    if twice:
        raise TableError("has columns of the same name", where=path, got=offenders(twice))
    stripped = {name: table[name].astype(str).str.strip() for name in table.columns}
    return pd.DataFrame(stripped, dtype=object)


def check_columns(table: pd.DataFrame, task: Task, where: Path, *, labelled: bool) -> None:
    """Raise TableError unless the table has every column that the task names, each id filled in."""
    needed = {*task.structure_columns, *task.feature_columns} - set(task.from_headers)
    if labelled:
        needed |= {t.column for t in task.targets}
    missing = sorted(needed - set(table.columns))
    if missing:
        do = f"The table has {', '.join(map(str, table.columns))}"
        raise TableError(f"lacks columns that task {task.name} needs", where=where, got=offenders(missing), do=do)
    for column in dict.fromkeys(c for c in (*task.unit, task.group) if c not in task.from_headers):
        empty = np.flatnonzero(table[column] == "")
        if len(empty):
            # Line numbers as an editor shows them: the header is line 1.
            raise TableError(f"column {column} is empty", where=where, got=f"lines {offenders((empty + 2).tolist())}")


def units(table: pd.DataFrame, task: Task) -> pd.Series:
    """Name the unit of each row: the task's unit columns joined by ``_``."""
    name = table[task.unit[0]]
    for column in task.unit[1:]:
        name = name + "_" + table[column]
    return name.rename("unit")


def labels(table: pd.DataFrame, target: Target, where: Path) -> np.ndarray:
    """Class number of each row, -1 where the cell is unknown.

    Raises
    ------
    TableError
        A cell is none of the target's classes.
    """
    cells = table[target.column]
    numbers = {name: number for number, name in enumerate(target.classes)}
    numbers |= {value: numbers[name] for value, name in target.aliases}
    codes = cells.map(numbers)
    # "1.0" is what a spreadsheet makes of 1 as soon as the column has an empty cell.
    whole = cells.where(~cells.str.fullmatch(r"-?\d+\.0+"), cells.str.replace(r"\.0+$", "", regex=True))
    codes = codes.fillna(whole.map(numbers)).fillna(cells.str.lower().isin(ABSENT).map({True: -1}))
    bad = codes.isna()
    if bad.any():
        lines = [f"{c!r} in line {i + 2}" for i, c in zip(cells.index[bad], cells[bad], strict=True)]
        do = f"Allowed: {', '.join(numbers)}, or empty for unlabelled"
        raise TableError(
            f"column {target.column} holds values that are no class", where=where, got=offenders(lines), do=do
        )
    return codes.to_numpy(np.int64)


def unit_targets(table: pd.DataFrame, task: Task, where: Path, *, labelled: bool) -> pd.DataFrame:
    """One row a unit and target: `unit`, `group`, `target`, `label`, `task_weight`.

    Raises
    ------
    TableError
        Rows of one unit disagree about a label or about the group.
    """
    rows = pd.DataFrame({"unit": units(table, task), "group": table[task.group]})
    _agree(rows, "group", where)
    parts = []
    for target in task.targets:
        part = rows.assign(target=target.name, label=labels(table, target, where) if labelled else -1)
        known = part[part["label"] >= 0]
        _agree(known.assign(label=[target.classes[k] for k in known["label"]]), "label", where, of=target.column)
        # Known rows first, so that an empty cell beside a filled one of the same unit does not hide the label.
        part = part.sort_values("label", ascending=False, kind="stable").drop_duplicates("unit")
        weights = np.array([*(target.weights or [1.0] * len(target.classes)), 1.0])
        parts.append(part.assign(task_weight=weights[part["label"]]).sort_values("unit"))
    columns = ["unit", "group", "target", "label", "task_weight"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _agree(rows: pd.DataFrame, column: str, where: Path, of: str | None = None) -> None:
    differs = rows.groupby("unit")[column].nunique()
    names = differs.index[differs > 1].tolist()
    if names:
        shown = [f"{u}: {' and '.join(sorted(rows.loc[rows['unit'] == u, column].unique()))}" for u in names[:5]]
        what = f"rows of one unit disagree about {of or 'its ' + column}"
        raise TableError(what, where=where, got=offenders([*shown, *names[5:]]))


def slots(table: pd.DataFrame, task: Task, where: Path) -> pd.Series:
    """Slot of each row; raises TableError for a value that the task knows neither as slot nor as alias."""
    if task.slots.column is None:
        return pd.Series(task.slots.values[0], index=table.index)
    known = {**{v: v for v in task.slots.values}, **dict(task.slots.aliases)}
    slot = table[task.slots.column].map(known)
    bad = table[task.slots.column][slot.isna()].unique().tolist()
    if bad:
        what = f"column {task.slots.column} holds values that are no slot"
        raise TableError(what, where=where, got=offenders(bad), do=f"Known: {', '.join(known)}")
    return slot


def sides(table: pd.DataFrame, task: Task, where: Path) -> pd.Series:
    """Laterality of each row as L or R; empty where the task has none. Raises TableError for anything else."""
    if task.slots.side is None:
        return pd.Series("", index=table.index)
    side = table[task.slots.side].str.lower().map(_SIDES)
    bad = table[task.slots.side][side.isna()].unique().tolist()
    if bad:
        what = f"column {task.slots.side} holds values that are no side"
        raise TableError(what, where=where, got=offenders(bad), do="Allowed: L, R, left, right")
    return side


def boxes(table: pd.DataFrame, task: Task, where: Path) -> pd.DataFrame:
    """Box of each row as the columns `BOX`, NaN and no unit where the cells are empty; no columns for a task without.

    Raises
    ------
    TableError
        An edge is no number, one is missing beside others, or the box has no area.
    """
    if not task.images.box:
        return pd.DataFrame(index=table.index)
    edges = pd.DataFrame(
        {name: _numeric(table[column], column, where) for name, column in zip(BOX[:4], task.images.box, strict=True)}
    )
    left, top, right, bottom = (edges[name] for name in BOX[:4])
    none = edges.isna().all(axis=1)
    bad = ~none & ~((left < right) & (top < bottom))
    if bad.any():
        lines = [f"line {i + 2}: {edges.iloc[i].tolist()}" for i in np.flatnonzero(bad)]
        do = "A box is left, top, right, bottom with left < right and top < bottom, or four empty cells"
        raise TableError("rows hold no box", where=where, got=offenders(lines), do=do)
    return edges.assign(box_unit=np.where(none, "", task.images.box_unit))


def metadata(table: pd.DataFrame, task: Task, where: Path) -> pd.DataFrame:
    """Feature columns: numeric ones as float64 (NaN unknown), categorical ones as text (empty unknown).

    Raises
    ------
    TableError
        A numeric column holds text.
    """
    columns: dict[str, pd.Series] = {}
    for name in task.metadata.numeric:
        columns[name] = _numeric(table[name], name, where)
    for name in task.metadata.categorical:
        columns[name] = table[name].mask(table[name].str.lower().isin(ABSENT), "").astype(str)
    return pd.DataFrame(columns, index=table.index)


def _numeric(cells: pd.Series, name: str, where: Path) -> pd.Series:
    known = cells.mask(cells.str.lower().isin(ABSENT))
    values = pd.to_numeric(known, errors="coerce")
    bad = known.notna() & ~np.isfinite(values)
    if bad.any():
        raise TableError(f"numeric column {name} holds text", where=where, got=offenders(cells[bad].tolist()))
    return values.astype(float)
