"""Tables of another shape than one row an image: long ones, and columns that only the images' headers hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from radboost.data.scan import Scan
from radboost.data.table import labels
from radboost.data.task import Task
from radboost.errors import TableError, offenders

__all__ = ["header_columns", "widen"]


def widen(table: pd.DataFrame, task: Task, where: Path, *, labelled: bool) -> tuple[pd.DataFrame, int]:
    """Turn a long table into one row a unit, in the order of the units' first rows.

    Parameters
    ----------
    table
        As `radboost.data.table.read_table` gives it.
    task
        With `Task.long`; for another task the table stays as it is.
    where
        The table, for messages.
    labelled
        Whether labels are to be read; without, the units alone are.

    Returns
    -------
    tuple
        The unit column and, with labels, one column a target, empty where a unit has no row for it; and how many rows
        were dropped because they said again what another one says.

    Raises
    ------
    TableError
        A column is missing, an id names no target, a value is no class, or two rows of one id disagree.
    """
    long = task.long
    if long is None:
        return table, 0
    missing = [c for c in (long.id_column, long.value_column)[: 1 + labelled] if c not in table.columns]
    if missing:
        do = f"The table has {', '.join(map(str, table.columns))}"
        raise TableError(f"lacks columns that task {task.name} needs", where=where, got=offenders(missing), do=do)
    ids, columns = table[long.id_column], [t.column for t in task.targets]
    target = pd.Series(pd.NA, index=table.index, dtype=object)
    # The longest first: a column's name may end in another's.
    for column in sorted(columns, key=len, reverse=True):
        target = target.mask(target.isna() & ids.str.endswith(long.separator + column), column)
    size = target.str.len().fillna(0).astype(int) + len(long.separator)
    unit = pd.Series([i[:-n] for i, n in zip(ids, size, strict=True)], index=table.index, dtype=object)
    bad = target.isna() | (unit == "")
    if bad.any():
        lines = [f"{ids.iloc[n]!r} in line {n + 2}" for n in np.flatnonzero(bad)]
        do = f"An id is a unit, {long.separator} and one of {', '.join(columns)}"
        raise TableError(f"column {long.id_column} names no target", where=where, got=offenders(lines), do=do)
    rows = pd.DataFrame({"unit": unit, "target": target, "value": table[long.value_column] if labelled else ""})
    once = rows.drop_duplicates()
    again = once.duplicated(["unit", "target"], keep=False)
    if again.any():
        names = ids[once.index[again]].unique().tolist()
        what = f"rows of one id disagree about {long.value_column}"
        raise TableError(what, where=where, got=offenders(names), do="Remove the wrong ones")
    units = once["unit"].drop_duplicates()
    wide = pd.DataFrame({long.unit_column: units.to_numpy()})
    if labelled:
        for each in task.targets:
            own = once[once["target"] == each.column]
            # Read here too, where the line of a bad value is known.
            labels(own.rename(columns={"value": each.column})[[each.column]], each, where)
            wide[each.column] = units.map(own.set_index("unit")["value"]).fillna("").to_numpy()
    return wide, len(rows) - len(once)


def header_columns(table: pd.DataFrame, task: Task, paths: pd.Series, found: Scan, where: Path) -> pd.DataFrame:
    """Add the columns that a task takes from the images' headers.

    An image that is in quarantine has no header; its path stands in each of them, so that it is of no known patient and
    shares a group with none: it has no pixels that could leak.

    Raises
    ------
    TableError
        Headers that were read do not say.
    """
    added = {}
    for name in task.from_headers:
        values = []
        for path in paths:
            header = found.headers.get(path)
            unread = path not in found.headers
            values.append(path if unread else "" if header is None else str(getattr(header, name)))
        cells = pd.Series(values, index=table.index, dtype=object)
        empty = np.flatnonzero(cells == "")
        if len(empty):
            do = "Give it as a column of the table, and leave it out of from_headers"
            got = offenders(paths.iloc[empty].tolist())
            raise TableError(f"images have no {name} in their headers", where=where, got=got, do=do)
        added[name] = cells
    return table.assign(**added)
