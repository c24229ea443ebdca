"""Columns of a task's table that no page shows, whoever asks for them."""

from __future__ import annotations

from collections.abc import Iterable

from radboost.data.task import Task
from radboost.errors import UserError, offenders

__all__ = ["refuse_naming"]


def refuse_naming(task: Task, columns: Iterable[str]) -> None:
    """Refuse columns that name patients, units or files; side and view may be part of such a name.

    Raises
    ------
    UserError
        One is among them.
    """
    naming = {*task.unit, task.group, *task.images.columns()} - {task.slots.side, task.slots.column}
    found = sorted(naming & set(columns))
    if found:
        do = "Such a column names patients, units or files"
        raise UserError("is not shown on a page", where="--by", got=offenders(found), do=do)
