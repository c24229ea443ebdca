"""Studies of several series to a cohort's parts: list, read, place, cut, link."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from radboost.data.scan import Scan
from radboost.data.slices.coordinates import given_points
from radboost.data.slices.link import Seen, link_units
from radboost.data.slices.stack import read_studies
from radboost.data.task import Task

__all__ = ["see_studies"]


def see_studies(task: Task, units: pd.DataFrame, files: pd.DataFrame, source: tuple[Path, Scan]) -> tuple[Task, Seen]:
    """Cut studies into crops and tell each unit what it sees.

    Parameters
    ----------
    task
        With `Task.volumes`.
    units
        One row a unit: `unit`, and the columns that the task names.
    files
        As `radboost.data.slices.files.series_files` lists them.
    source
        The data folder, and the files' headers.

    Returns
    -------
    tuple
        The task, and crops with links.
    """
    root, found = source
    volumes = task.need_volumes()
    studies = read_studies(files, found.headers)
    known = {} if volumes.points is None else given_points(root, volumes, volumes.points, studies)
    return task, link_units(task, units, studies, known)
