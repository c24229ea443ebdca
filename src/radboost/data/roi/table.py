"""From a table whose findings are outlined to the rows that become crops."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from radboost.data.locate import matching
from radboost.data.regions import Regions
from radboost.data.roi.find import Eyes, find_regions, grounds
from radboost.data.roi.mask import BREAST, MASK
from radboost.data.roi.rows import boxed, classes, draw
from radboost.data.splits import Balance
from radboost.data.table import labels
from radboost.data.task import Task

__all__ = ["Outlined", "finding_balance", "outlined"]


@dataclass(frozen=True)
class Outlined:
    """Rows with boxes.

    Attributes
    ----------
    rows, paths
        One row a finding or a patch, and the image of each.
    files
        Files among which the masks are, relative to the data folder; they are never images.
    short
        Patches of background that were asked for and did not fit.
    """

    rows: pd.DataFrame
    paths: pd.Series
    files: frozenset[str]
    short: int = 0


def outlined(rows: pd.DataFrame, paths: pd.Series, task: Task, eyes: Eyes, source: tuple[Path, int]) -> Outlined:
    """Give each row of a table its box, or turn the table into one of patches.

    Parameters
    ----------
    rows, paths
        One row a finding, and the image of each.
    task
        With regions; or one of patches.
    eyes
        How files are looked at.
    source
        The table, and the seed of patches.
    """
    where, seed = source
    base = task.origin or task
    regions = _regions(base)
    files = matching(regions.paths, rows, where, eyes.root)
    images = set(paths)
    files = files.map(lambda row: [file for file in row if file not in images])
    grid = task.patches is not None and task.patches.place == "grid"
    if task.patches is not None:
        # Both at once: each round of workers has to be started.
        readable = [path for path in dict.fromkeys(paths) if path in eyes.found.headers]
        masks = [] if grid else [file for row in files for file in row]
        eyes.look([*((MASK, file) for file in masks), *((BREAST, path) for path in readable)])
    # A grid asks for no region, and spares itself the masks.
    located = find_regions(paths, files.map(lambda _: []) if grid else files, eyes)
    named = frozenset(file for row in files for file in row)
    if not grid:
        units = rows[list(base.unit)].agg("_".join, axis=1)
        for unit, fault, path in zip(units, located.faults, paths, strict=True):
            if fault and path in located.shapes:
                eyes.found.set_aside(unit, "no region", fault)
    if task.patches is None:
        return Outlined(boxed(rows, base, paths, located), paths, named)
    drawn = draw(rows, paths, task, (located, grounds(located.shapes, eyes)), seed)
    return Outlined(drawn.rows, drawn.paths, named, drawn.short)


def finding_balance(rows: pd.DataFrame, task: Task, where: Path) -> Balance:
    """What folds shall share: the task's own classes, which each fold must have, and findings of each kind.

    By findings whatever becomes of them, so that the cohorts of findings, patches and pictures of one data folder
    have the same folds.

    Raises
    ------
    TableError
        A label is no class.
    """
    own = {t.name: labels(rows, t, where) for t in task.targets if t.column in rows.columns}
    ones = {
        f"{target.name}={target.classes[k]}": (own[target.name] == k).astype(float)
        for target in task.targets
        for k in range(1, len(target.classes))
        if target.name in own
    }
    found, regions = classes(rows, _regions(task)), _regions(task)
    kinds = {name: (found == name).astype(float) for name in regions.names[1:]} | {"findings": 1.0}
    group = rows[task.group]
    return Balance(group, pd.DataFrame(ones, index=rows.index), pd.DataFrame(kinds, index=rows.index))


def _regions(task: Task) -> Regions:
    if task.regions is None:
        msg = "the task has no regions"
        raise ValueError(msg)
    return task.regions
