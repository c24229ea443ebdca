"""The order of units in their series: slices of a scan, one crop each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.booster.rows import IntArray
from radboost.data.cohort import Cohort
from radboost.data.task import OPPOSITE

__all__ = ["unit_order"]


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
