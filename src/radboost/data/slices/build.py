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

__all__ = ["Source", "see_studies"]


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
    found_all = locator is not None and (new_exams or points.source == "located")
    return task, link_units(task, units, studies, finder.complete({} if found_all else given, locator))
