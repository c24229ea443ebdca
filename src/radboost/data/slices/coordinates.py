"""Points that a table gives by slice and pixel, as points of the patient."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from radboost.data.slices.stack import Floats, Study
from radboost.data.table import read_table
from radboost.data.volumes import Points, Volumes
from radboost.errors import TableError, offenders

__all__ = ["PointMap", "given_points", "plain"]

PointMap: TypeAlias = dict[tuple[str, str, str], Floats]
"""Points (3,) in mm by study, finding and place."""


def plain(cell: str) -> str:
    """Bring a name to the form that headings have.

    >>> plain("Spinal Canal Stenosis"), plain("L1/L2")
    ('spinal_canal_stenosis', 'l1_l2')
    """
    return re.sub(r"[^a-z0-9]+", "_", cell.lower()).strip("_")


def given_points(root: Path, volumes: Volumes, points: Points, studies: Mapping[str, Study]) -> PointMap:
    """Read the table of points.

    Rows of other studies are passed over, and so are those whose series or slice is not there (its file may be in
    quarantine, or its header may not place it): the locator stands in for them.

    Parameters
    ----------
    root
        The data folder; without the table in it there are no points.
    volumes, points
        What the table is like.
    studies
        Where slices lie.

    Raises
    ------
    TableError
        A column is missing, or a cell is no number.
    """
    where = root / points.table
    if not where.is_file():
        return {}
    table = read_table(where)
    columns = (volumes.study, points.series, points.instance, points.x, points.y, points.finding, points.place)
    missing = [c for c in columns if c not in table.columns]
    if missing:
        do = f"The table has {', '.join(map(str, table.columns))}"
        raise TableError("lacks columns that points need", where=where, got=offenders(missing), do=do)
    table = table[table[volumes.study].isin(set(studies))]
    cells = {name: pd.to_numeric(table[name], errors="coerce") for name in (points.instance, points.x, points.y)}
    for name, values in cells.items():
        bad = table[name][~np.isfinite(values)]
        if len(bad):
            lines = [f"{cell!r} in line {row + 2}" for row, cell in bad.items()]
            raise TableError(f"column {name} holds what is no number", where=where, got=offenders(lines))
    found: PointMap = {}
    names = (table[volumes.study], table[points.series], table[points.finding], table[points.place])
    for study, series, finding, place, number, x, y in zip(*names, *cells.values(), strict=True):
        stack = studies[study].series(series)
        rows = np.flatnonzero(stack.number == int(number)) if stack is not None else np.empty(0, np.int64)
        if stack is None or not len(rows):
            continue
        point = stack.place(rows[:1], np.array([[x, y]], np.float64))[0]
        if np.isfinite(point).all():
            # Of several rows about one point the first counts.
            found.setdefault((study, plain(finding), plain(place)), point)
    return found
