"""The rows that a task reads from its table, or from several: whole, checked, one row an image or finding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from radboost.data import table as tables
from radboost.data.layout import Part
from radboost.data.locate import find_table
from radboost.data.long import widen
from radboost.data.task import Task
from radboost.data.wide import look_up, melt
from radboost.errors import TableError, UserError, offenders

__all__ = ["Rows", "read_rows"]


@dataclass(frozen=True)
class Rows:
    """What a task's tables hold.

    Attributes
    ----------
    table
        Every cell as text.
    where
        The table, or the folder of several, for messages.
    labelled
        Whether there are labels.
    files
        The tables that were read, relative to the data folder.
    again
        Rows that said again what another one says, and were dropped.
    """

    table: pd.DataFrame
    where: Path
    labelled: bool
    files: tuple[str, ...]
    again: int = 0


def read_rows(root: Path, task: Task, *, new_exams: bool) -> Rows:
    """Read a task's table, or its stacked ones, from a data folder.

    Parameters
    ----------
    root
        The folder.
    task
        Says which tables, and what must stand in them.
    new_exams
        The rows are to be predicted: the table for new exams comes first, and labels may be missing.

    Raises
    ------
    UserError
        The folder is missing, or holds none of the tables.
    TableError
        A table cannot be read, lacks a column, or holds a label that is no class.
    """
    if task.stacked is not None:
        return _stacked(root, task, new_exams=new_exams)
    where = find_table(root, task, prefer_test=new_exams)
    # A table for new exams has no label columns, or holds no labels there; the labelled one must have them all.
    own = where.name != task.test_table or task.table == task.test_table
    table, again = widen(tables.read_table(where), task, where, labelled=own)
    table = look_up(melt(table, task, where, labelled=own), task, where)
    some = any(t.column in table.columns for t in task.targets) or where.name == task.table != task.test_table
    tables.check_columns(table, task, where, labelled=some and not new_exams)
    labelled = some and all(t.column in table.columns for t in task.targets)
    return Rows(table, where, labelled, (where.relative_to(root).as_posix(),), again)


def _stacked(root: Path, task: Task, *, new_exams: bool) -> Rows:
    if not root.is_dir():
        raise UserError("is no folder", where=root, do="Give the folder that holds the data set")
    parts = task.stacked.parts if task.stacked else ()
    read = {part.file: _part(root / part.file, part) for part in parts if (root / part.file).is_file()}
    if not read:
        do = f"Expected one or more of {', '.join(part.file for part in parts)} in it"
        raise UserError(f"holds no table of task {task.name}", where=root, do=do)
    anywhere = {column for table in read.values() for column in table.columns}
    # A feature that no table has is a fault, unless it may be in one that is not here.
    features = [column for column in task.feature_columns if column in anywhere or len(read) < len(parts)]
    labelled = all(t.column in table.columns for t in task.targets for table in read.values())
    for name, table in read.items():
        # Each by itself, where a message can name the file and the line.
        known = table.reindex(columns=[*table.columns, *(c for c in features if c not in table.columns)], fill_value="")
        tables.check_columns(known, task, root / name, labelled=not new_exams)
        for target in task.targets if labelled else ():
            tables.labels(table, target, root / name)
    whole = pd.concat(read.values(), ignore_index=True).fillna("").astype(object)
    for column, value in task.stacked.prevails if task.stacked else ():
        if column not in whole.columns:
            raise TableError("has no column that could prevail", where=root, got=column)
        groups = whole[task.group][whole[column] == value]
        whole.loc[whole[task.group].isin(groups), column] = value
    where = root / next(iter(read)) if len(read) == 1 else root
    return Rows(whole, where, labelled, tuple(read))


def _part(path: Path, part: Part) -> pd.DataFrame:
    table = tables.read_table(path).rename(columns=dict(part.renames))
    both = [*table.columns[table.columns.duplicated()], *(c for c, _ in part.constants if c in table.columns)]
    if both:
        raise TableError("columns stand under two names, or in the file and the task", where=path, got=offenders(both))
    return table.assign(**dict(part.constants))
