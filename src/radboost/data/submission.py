"""Predictions as they leave: a table in the task's submission format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.task import Task
from radboost.errors import MismatchError, UserError

__all__ = ["decide", "parse_threshold", "submission"]


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
        if target.binary:
            columns[target.name] = values if values.ndim == 1 else values[:, 1]
            continue
        prefix = "" if len(task.targets) == 1 else f"{target.name}_"
        columns |= {prefix + name: values[:, number] for number, name in enumerate(target.classes)}
    wide = pd.DataFrame(columns)
    return _long(wide, task) if task.submission.value_column else wide


def _long(wide: pd.DataFrame, task: Task) -> pd.DataFrame:
    """One row a unit and column, the columns of a unit in their order."""
    names = wide.columns[1:]
    ids = np.repeat(wide.iloc[:, 0].to_numpy(str), len(names)).astype(object) + "_" + np.tile(names, len(wide))
    values = wide[names].to_numpy().ravel()
    return pd.DataFrame({task.submission.id_column: ids, task.submission.value_column: values})


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
