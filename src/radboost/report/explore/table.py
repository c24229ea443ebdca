"""Columns of a task's table that are no features: density, BI-RADS and the like, to count by."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from radboost.data import table as tables
from radboost.data.cohort import Cohort
from radboost.data.rows import Rows, read_rows
from radboost.errors import RadboostError, UserError, offenders
from radboost.report.naming import refuse_naming

__all__ = ["other_columns"]


def other_columns(cohort: Cohort, asked: Sequence[str], *, needed: bool = True) -> pd.DataFrame | None:
    """Read columns that the task forbids as features, and those asked for, from the table beside the images.

    Parameters
    ----------
    cohort
        Whose table.
    asked
        Names of further columns.
    needed
        Whether all that was asked for must be there; the table of new exams often lacks what comes from the finding.

    Returns
    -------
    DataFrame
        `unit`, and the columns as text, one row a row of the table; None where there are none or the table is not
        here.

    Raises
    ------
    UserError
        A column asked for is not there, or is that of a name or a path.
    """
    task = cohort.task
    if task is None or cohort.shared is not None or not (task.metadata.forbidden or asked):
        if asked and needed:
            raise UserError("has no table to take columns from", where=cohort.folder, got=offenders(list(asked)))
        return None
    labels = {target.column for target in task.targets}
    names = [*dict.fromkeys([*asked, *task.metadata.forbidden])]
    names = [name for name in names if name not in (*task.feature_columns, *labels)]
    refuse_naming(task, asked)
    read = _read(cohort, asked if needed else ()) if names else None
    if read is None:
        return None
    lost = [name for name in asked if name not in read.table.columns and name not in task.feature_columns]
    if lost and needed:
        raise UserError("there are no such columns", where="--by", got=offenders(lost))
    found = [name for name in names if name in read.table.columns]
    return read.table[found].assign(unit=tables.units(read.table, task)) if found else None


def _read(cohort: Cohort, asked: Sequence[str]) -> Rows | None:
    """Read the table as the cohort's was; one that is gone or was changed matters only where it was asked for."""
    task = cohort.need_task()
    if task.patches is not None:
        return None
    try:
        return read_rows(cohort.root, task, new_exams=not cohort.labelled)
    except RadboostError:
        if asked:
            raise
        return None
