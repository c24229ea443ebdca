"""Wide tables, one column a unit, and the columns that others decide; and a unit's name taken apart again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from radboost.data.task import Task
from radboost.errors import TableError, offenders

__all__ = ["look_up", "melt", "unit_columns"]


def melt(table: pd.DataFrame, task: Task, where: Path, *, labelled: bool) -> pd.DataFrame:
    """Turn a wide table into one row a unit: the units of a row together, in the order of the headings.

    Parameters
    ----------
    table
        As `radboost.data.table.read_table` gives it.
    task
        With `Task.wide`; for another task the table stays as it is.
    where
        The table, for messages.
    labelled
        Whether labels are to be read. Without, any table that names the groups will do, once or several times each:
        every group has all units.

    Returns
    -------
    DataFrame
        The table's other columns (without labels: those of the unit and group alone), the names that a heading gives
        and, with labels, the value column.

    Raises
    ------
    TableError
        A heading or a column is missing, a group has no name, or stands twice in a labelled table.
    """
    wide = task.wide
    if wide is None:
        return table
    headings = wide.headings
    own = [c for c in dict.fromkeys([*task.unit, task.group]) if c not in {*wide.names, *_given(task)}]
    missing = [c for c in (*own, *(headings if labelled else ())) if c not in table.columns]
    if missing:
        do = f"The table has {', '.join(map(str, table.columns))}"
        raise TableError(f"lacks columns that task {task.name} needs", where=where, got=offenders(missing), do=do)
    empty = [number + 2 for column in own for number in np.flatnonzero(table[column] == "")]
    if empty:
        raise TableError("rows name no group", where=where, got=f"lines {offenders(sorted(set(empty)))}")
    rows = table.drop(columns=list(headings)) if labelled else table[own].drop_duplicates()
    twice = table.loc[rows.index][rows.duplicated(own)] if labelled else rows[:0]
    if len(twice):
        do = "Give each one row"
        raise TableError("rows name a group again", where=where, got=offenders(twice[own[0]].tolist()), do=do)
    out = rows.loc[rows.index.repeat(len(headings))].reset_index(drop=True)
    for place, name in enumerate(wide.names):
        out[name] = np.tile(np.array([values[place] for values in headings.values()], dtype=object), len(rows))
    if labelled:
        out[wide.value_column] = table.loc[rows.index, list(headings)].to_numpy(object).ravel()
    return out


def look_up(table: pd.DataFrame, task: Task, where: Path) -> pd.DataFrame:
    """Add the columns of `Task.lookup`; raises TableError where the deciding column is missing or has another value."""
    lookup = task.lookup
    if lookup is None:
        return table
    if lookup.column not in table.columns:
        raise TableError(f"lacks columns that task {task.name} needs", where=where, got=lookup.column)
    known = [row[0] for row in lookup.rows]
    bad = sorted(set(table[lookup.column]) - set(known))
    if bad:
        what = f"column {lookup.column} holds values that are not known"
        raise TableError(what, where=where, got=offenders(bad), do=f"Known: {', '.join(known)}")
    return table.assign(**{name: table[lookup.column].map(lookup.cells(name)) for name in lookup.gives})


def unit_columns(task: Task, units: Sequence[str], where: Path) -> pd.DataFrame | None:
    """Take units' names apart: the group, the names that a heading gives, and what follows from them.

    Parameters
    ----------
    task
        Whose units; only with `Task.wide`, and units of a group and a heading, can this be done.
    units
        Readable names.
    where
        Where they stand, for messages.

    Returns
    -------
    DataFrame or None
        One row a unit, in their order; None where the task's names cannot be taken apart.

    Raises
    ------
    TableError
        A name ends in no heading, or holds nothing else.
    """
    wide = task.wide
    if wide is None or task.unit != (task.group, *wide.names):
        return None
    rows, bad = [], []
    # The longest first: a heading may end in another one.
    headings = sorted(wide.headings.items(), key=lambda item: -len(item[0]))
    for unit in units:
        found = next((h for h in headings if unit.endswith("_" + h[0]) and len(unit) > len(h[0]) + 1), None)
        if found is None:
            bad.append(unit)
        else:
            rows.append((unit[: -len(found[0]) - 1], *found[1]))
    if bad:
        do = f"A name is {task.group}, _ and one of {offenders(list(wide.headings))}"
        raise TableError(f"names are no units of task {task.name}", where=where, got=offenders(bad), do=do)
    return look_up(pd.DataFrame(rows, columns=[task.group, *wide.names], dtype=object), task, where)


def _given(task: Task) -> tuple[str, ...]:
    return task.lookup.gives if task.lookup else ()
