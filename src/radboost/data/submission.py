"""Predictions as they leave: a table in the task's submission format, and what a competition would refuse of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.task import Target, Task
from radboost.errors import MismatchError, TableError, UserError, offenders

__all__ = ["check_submission", "decide", "in_order_of", "parse_threshold", "read_submission", "submission"]

TOLERANCE = 1e-6
"""How far sums and constraints may be off: what writing numbers as text loses, and far below what any metric sees."""


def submission(task: Task, units: Sequence[str], p: Mapping[str, npt.NDArray[np.generic]]) -> pd.DataFrame:
    """Lay out predictions: the id column, then one column a binary target or one a class, or all as a long table.

    Parameters
    ----------
    task
        Whose format.
    units
        Readable units, length n.
    p
        By target: probabilities (n, classes), or decisions 0/1 (n,) of a binary target.

    Raises
    ------
    MismatchError
        A target's predictions have another length than `units`.

    >>> from radboost.data.task import Images, Target
    >>> task = Task("toy", "t.csv", ("id",), "id", (Target("cancer", "cancer"),))
    >>> submission(task, ["a"], {"cancer": np.array([[0.75, 0.25]])}).to_dict("records")
    [{'unit': 'a', 'cancer': 0.25}]
    """
    columns: dict[str, object] = {task.submission.id_column: list(units)}
    for target in task.targets:
        values = p[target.name]
        if len(values) != len(units):
            raise MismatchError("predictions and units differ in length", got=f"{len(values)} and {len(units)}")
        shown = values[:, None] if values.ndim == 1 else values[:, list(target.predicted)]
        columns |= dict(zip(_names(task, target), shown.T, strict=True))
    wide = pd.DataFrame(columns)
    return _long(wide, task) if task.submission.value_column else wide


def _names(task: Task, target: Target) -> list[str]:
    """Names of a target's columns: its own, or one a class."""
    if target.binary:
        return [target.name]
    prefix = "" if len(task.targets) == 1 else f"{target.name}_"
    return [prefix + name for name in target.classes]


def _long(wide: pd.DataFrame, task: Task) -> pd.DataFrame:
    """One row a unit and column, the columns of a unit in their order."""
    names = wide.columns[1:]
    ids = np.repeat(wide.iloc[:, 0].to_numpy(str), len(names)).astype(object) + "_" + np.tile(names, len(wide))
    values = wide[names].to_numpy().ravel()
    return pd.DataFrame({task.submission.id_column: ids, task.submission.value_column: values})


def _wide(table: pd.DataFrame, task: Task) -> pd.DataFrame:
    """One row a unit of a submission in either form, indexed by unit; NaN where a unit lacks a row."""
    ids = table[task.submission.id_column]
    if not task.submission.value_column:
        return table.set_index(ids).drop(columns=ids.name)
    names = [name for target in task.targets for name in _names(task, target)]
    name = pd.Series(pd.NA, index=table.index, dtype=object)
    # The longest first: a name may end in another.
    for each in sorted(names, key=len, reverse=True):
        name = name.mask(name.isna() & ids.str.endswith(f"_{each}"), each)
    lost = name.isna()
    if lost.any():
        do = f"An id is a unit, _ and one of {', '.join(names)}"
        raise TableError("ids name no target", where="submission", got=offenders(ids[lost].tolist()), do=do)
    unit = [i[: -len(n) - 1] for i, n in zip(ids, name, strict=True)]
    rows = pd.DataFrame({"unit": unit, "name": name, "value": table[task.submission.value_column]})
    return rows.pivot(index="unit", columns="name", values="value").reindex(columns=names)


def read_submission(path: Path, task: Task) -> pd.DataFrame:
    """Read a submission, or a competition's sample of one: ids as text, every other column as it stands.

    Raises
    ------
    TableError
        The file is no table, or lacks the id column.
    """
    id_column = task.submission.id_column
    try:
        table = pd.read_csv(path, dtype={id_column: str})
    except (OSError, ValueError) as error:
        raise TableError("cannot be read as a submission", where=path, got=str(error).strip()) from error
    if id_column not in table.columns:
        raise TableError(f"lacks the id column {id_column}", where=path, got=offenders(list(table.columns)))
    return table


def in_order_of(found: pd.DataFrame, sample: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Give a submission's rows in the order of a sample's.

    Raises
    ------
    MismatchError
        They are not the same rows.
    """
    id_column = task.submission.id_column
    ids, wanted = found[id_column], sample[id_column]
    _same_rows(ids, wanted)
    order = pd.Series(np.arange(len(ids)), index=ids.to_numpy())
    return found.iloc[order.loc[wanted.to_numpy()].to_numpy()].reset_index(drop=True)


def _same_rows(ids: pd.Series, wanted: pd.Series) -> None:
    for name, values in (("submission", ids), ("sample", wanted)):
        twice = values[values.duplicated()].tolist()
        if twice:
            raise MismatchError("names rows twice", where=name, got=offenders(twice))
    for what, rows in (
        ("lacks rows of the sample", wanted[~wanted.isin(ids)]),
        ("has rows that the sample lacks", ids[~ids.isin(wanted)]),
    ):
        if len(rows):
            raise MismatchError(what, where="submission", got=offenders(rows.tolist()))


def check_submission(found: pd.DataFrame, sample: pd.DataFrame, task: Task) -> None:
    """Refuse what the competition would refuse, or what is no set of probabilities.

    Parameters
    ----------
    found
        The submission, as `read_submission` gives it.
    sample
        The competition's own sample of one, whose columns, rows and order it must have.
    task
        Says which values belong together: those of the classes of a target sum to 1, and its constraints hold.

    Raises
    ------
    MismatchError
        Other columns or rows, or the same in another order.
    TableError
        A value is no probability, the classes of a unit do not sum to 1, or a constraint does not hold.
    """
    if list(found.columns) != list(sample.columns):
        got, do = offenders(list(found.columns)), f"The sample has {', '.join(map(str, sample.columns))}"
        raise MismatchError("has other columns than the sample", where="submission", got=got, do=do)
    ids, wanted = found[task.submission.id_column], sample[task.submission.id_column]
    _same_rows(ids, wanted)
    moved = np.flatnonzero(ids.to_numpy() != wanted.to_numpy())
    if len(moved):
        got = offenders(ids.iloc[moved].tolist())
        raise MismatchError("has its rows in another order than the sample", where="submission", got=got)
    values = found.drop(columns=ids.name).apply(pd.to_numeric, errors="coerce")
    bad = ~((values >= 0) & (values <= 1)).all(axis=1)
    if bad.any():
        raise TableError("values are no probabilities", where="submission", got=offenders(ids[bad].tolist()))
    _check_units(_wide(found.assign(**{name: values[name] for name in values}), task), task)


def _check_units(wide: pd.DataFrame, task: Task) -> None:
    """Refuse units whose values do not go together."""
    for target in task.targets:
        if not target.binary:
            total = wide[_names(task, target)].sum(axis=1)
            off = total[(total - 1).abs() > TOLERANCE]
            if len(off):
                got = offenders([f"{unit}: {value:g}" for unit, value in off.items()])
                raise TableError(f"the classes of {target.name} do not sum to 1", where="submission", got=got)
    for constraint in task.constraints:
        whole, parts = wide[constraint.whole], wide[list(constraint.parts)]
        off = (whole < parts.max(axis=1) - TOLERANCE) | (whole > parts.sum(axis=1) + TOLERANCE)
        if off.any():
            what = f"{constraint.whole} does not lie between the largest of its parts and their sum"
            raise TableError(what, where="submission", got=offenders(wide.index[off].tolist()))


def parse_threshold(text: str) -> float | str | None:
    """Read `--threshold`: None for probabilities, "auto", or a number in [0, 1].

    Raises
    ------
    UserError
        It is none of these.

    >>> parse_threshold("none"), parse_threshold("auto"), parse_threshold("0.3")
    (None, 'auto', 0.3)
    """
    if text in ("none", "auto"):
        return None if text == "none" else text
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise UserError("--threshold cannot be read", got=text, do="Give none, auto, or a number from 0 to 1")
    return value


def decide(p: npt.NDArray[np.float64], threshold: float) -> npt.NDArray[np.int64]:
    """Call a unit positive (1) where the probability of the second class reaches the threshold."""
    return (p[:, 1] >= threshold).astype(np.int64)
