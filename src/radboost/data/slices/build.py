"""Studies of several series to a cohort's parts: read, place, cut, link."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from radboost.data.scan import Reading, Scan
from radboost.data.slices.coordinates import given_points
from radboost.data.slices.link import Seen, link_units
from radboost.data.slices.points import Finder
from radboost.data.slices.stack import read_studies
from radboost.data.task import Task
from radboost.errors import UserError

__all__ = ["Source", "choose_series", "see_studies"]


@dataclass(frozen=True)
class Source:
    """Where the files are, and what was read of them.

    Attributes
    ----------
    root
        The data folder.
    files
        As `radboost.data.slices.files.series_files` lists them.
    found
        Their headers.
    reading
        How pixels are read, where places are to be found.
    """

    root: Path
    files: pd.DataFrame
    found: Scan
    reading: Reading


def choose_series(task: Task | None, sees: str | None, source: str | None) -> Task:
    """Give a task with other choices than its own of what units see, and of where points come from; None keeps one.

    Raises
    ------
    UserError
        The task's images are no series, or it has no points.
    TaskError
        A choice is unknown.
    """
    if task is None or task.volumes is None:
        do = "Name a task of studies of several series, such as rsna-lumbar"
        raise UserError("--sees and --points need a task with volumes", got=None if task is None else task.name, do=do)
    volumes = task.volumes if sees is None else replace(task.volumes, sees=sees)
    if source is not None:
        if volumes.points is None:
            raise UserError("--points needs a task with points", got=task.name)
        volumes = replace(volumes, points=replace(volumes.points, source=source))
    return replace(task, volumes=volumes)


def see_studies(task: Task, units: pd.DataFrame, source: Source, *, new_exams: bool) -> tuple[Task, Seen]:
    """Cut studies into crops and tell each unit what it sees.

    Parameters
    ----------
    task
        With `Task.volumes`.
    units
        One row a unit: `unit`, and the columns that the task names.
    source
        The files.
    new_exams
        Given points are not looked at where the task knows how to find them: exams to come have none.

    Returns
    -------
    tuple
        The task, which then holds what was learnt of where points are; and crops with links.

    Raises
    ------
    UserError
        All points are to be located, and too few are given to learn from.
    """
    volumes = task.need_volumes()
    studies = read_studies(source.files, source.found.headers)
    points = volumes.points
    if points is None:
        return task, link_units(task, units, studies, {})
    given = given_points(source.root, volumes, points, studies)
    finder = Finder(task, points, studies, source.root, source.reading)
    locator = points.locator
    if locator is None and given:
        locator = finder.learn(given)
        task = replace(task, volumes=replace(volumes, points=replace(points, locator=locator)))
    if locator is None and points.source == "located":
        do = "Give coordinates of more studies, or index with --points given"
        raise UserError("too few points are given to learn where they lie", where=source.root, do=do)
    found_all = locator is not None and (new_exams or points.source == "located")
    return task, link_units(task, units, studies, finder.complete({} if found_all else given, locator))
