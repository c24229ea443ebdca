"""The order of units in their series: slices of a scan, one crop each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.booster.rows import IntArray
from radboost.data.cohort import Cohort
from radboost.data.task import OPPOSITE

__all__ = ["neighbours", "unit_order"]


def unit_order(cohort: Cohort, links: pd.DataFrame) -> tuple[IntArray, IntArray]:
    """Tell each unit the number of its series and its rank there.

    Only units of one crop each have an order: where any unit sees several crops of its own, none has. A series never
    reaches over two groups. Crops at one place of a series keep the order of their units, whose readable names decide;
    nothing depends on the cohort's key.

    Parameters
    ----------
    cohort
        For the series of each crop and its order in it.
    links
        `Cohort.links` with the unit's position among all units as column `row`.

    Returns
    -------
    sequence, position
        Shape (units,): series numbered as the units name them, and rank from 0; both -1 for a unit without a crop, or
        whose file names no series.
    """
    sequence, position = (np.full(len(cohort.units), -1, dtype=np.int64) for _ in range(2))
    own = links.loc[~links["slot"].str.endswith(OPPOSITE), ["row", "crop_id"]].drop_duplicates()
    if own["row"].duplicated().any():
        return sequence, position
    placed = own.merge(cohort.manifest[["crop_id", "group", "series", "order"]], on="crop_id")
    placed = placed[placed["series"] != ""].sort_values("row", kind="stable")
    row, number = placed["row"].to_numpy(np.int64), placed.groupby(["group", "series"], sort=False).ngroup()
    sequence[row] = number
    rank: npt.NDArray[np.int64] = np.lexsort((row, placed["order"].to_numpy(float), number))
    position[row[rank]] = placed.iloc[rank].groupby(number.to_numpy()[rank]).cumcount()
    return sequence, position


def neighbours(sequence: IntArray, position: IntArray, reach: int) -> IntArray:
    """Give the units of the same series at rank distance 1 to `reach`, before and after.

    Returns
    -------
    ndarray
        Shape (units, 2 x reach): their numbers, -1 beyond an end of the series and for units without an order. The
        distance is counted in slices, whatever the gaps in millimetres.
    """
    out = np.full((len(sequence), 2 * reach), -1, dtype=np.int64)
    order = np.lexsort((position, sequence))
    order = order[sequence[order] >= 0]
    for step in range(1, min(reach, len(order) - 1) + 1):
        early, late = order[:-step], order[step:]
        same = sequence[early] == sequence[late]
        out[late[same], 2 * step - 2] = early[same]
        out[early[same], 2 * step - 1] = late[same]
    return out
