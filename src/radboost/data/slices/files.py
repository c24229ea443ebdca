"""Which series a study has, of which kind, and their files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from radboost.data.locate import fill
from radboost.data.table import read_table
from radboost.data.task import Task
from radboost.data.volumes import Volumes
from radboost.errors import TableError, UserError, offenders

__all__ = ["FILES", "series_files"]

FILES = ["study", "series", "slot", "path"]


def series_files(root: Path, task: Task, main: Path, units: pd.DataFrame) -> pd.DataFrame:
    """List the files of every series of the studies that units belong to.

    Parameters
    ----------
    root
        The data folder.
    task
        With `Task.volumes`.
    main
        The table of units: beside that of new exams stands the series' table of new exams.
    units
        One row a unit. Other studies' series are passed over, and a study may have no series.

    Returns
    -------
    DataFrame
        One row a file: `study`, `series`, `slot` of its kind, `path` relative to `root`. Sorted by series and path.

    Raises
    ------
    UserError
        The table of series is not there.
    TableError
        It lacks a column, names a kind that is not known, tells two kinds of one series, or a series has no folder.
    """
    volumes = task.need_volumes()
    name = volumes.table if main.name == task.table or not volumes.test_table else volumes.test_table
    where = root / name
    if not where.is_file():
        raise UserError(f"holds no table of the series of task {task.name}", where=root, do=f"Expected {name} in it")
    table = read_table(where)
    columns = (volumes.study, volumes.series, volumes.kind)
    missing = [c for c in columns if c not in table.columns]
    if missing:
        do = f"The table has {', '.join(map(str, table.columns))}"
        raise TableError(f"lacks columns that task {task.name} needs", where=where, got=offenders(missing), do=do)
    table = table[table[volumes.study].isin(set(units[volumes.study]))].drop_duplicates(list(columns))
    known = {value: kind.slot for kind in volumes.kinds for value in kind.values}
    slot = table[volumes.kind].map(known)
    bad = table[volumes.kind][slot.isna()].unique().tolist()
    if bad:
        what = f"column {volumes.kind} holds values that are no kind of series"
        raise TableError(what, where=where, got=offenders(bad), do=f"Known: {', '.join(known)}")
    twice = table[volumes.series][table[[volumes.study, volumes.series]].duplicated()].tolist()
    if twice:
        raise TableError("tells two kinds of one series", where=where, got=offenders(twice))
    rows: list[tuple[str, str, str, str]] = []
    folders = _folders(root, table, volumes, where)
    for study, series, kind, folder in zip(table[volumes.study], table[volumes.series], slot, folders, strict=True):
        names = sorted(name for name in os.listdir(root / folder) if not name.startswith("."))  # noqa: PTH208 - 3x faster over 6k series
        rows += [(study, series, kind, f"{folder}/{name}") for name in names]
    return pd.DataFrame(rows, columns=FILES, dtype=object).sort_values(["study", "series", "path"], ignore_index=True)


def _folders(root: Path, table: pd.DataFrame, volumes: Volumes, where: Path) -> pd.Series:
    found = pd.Series(pd.NA, index=table.index, dtype=object)
    for template in volumes.folders:
        paths = fill(template, table[found.isna()], where)
        there = np.array([(root / path).is_dir() for path in paths], dtype=bool)
        found.loc[paths.index[there]] = paths[there]
    lost = found.isna()
    if lost.any():
        do = f"Looked in {root} for {', '.join(volumes.folders)}"
        names = table.loc[lost, volumes.series].tolist()
        raise TableError("series have no folder", where=where, got=offenders(names), do=do)
    return found
