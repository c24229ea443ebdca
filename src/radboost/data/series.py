"""Slices in their order along the normal, with gaps and duplicates counted (PS3.3 C.7.6.2.1.1).

Image Orientation gives the directions of a row and of a column in the patient, Image Position the centre of the first
pixel. Their cross product is the normal, and a slice lies at the product of position and normal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.cohort import SERIES
from radboost.data.dicom import Header

__all__ = ["SAME_PLACE", "Arranged", "arrange"]

PARALLEL = 1e-3
"""Most that the direction cosines of one series may differ, about a twentieth of a degree."""
SAME_PLACE = 1e-3
"""Millimetres below which two slices lie at one place."""
WIDE = 1.5
"""A gap is wider than this many times the median distance."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Arranged:
    """Series and the places of their slices.

    Attributes
    ----------
    table
        One row a series, columns of `radboost.data.cohort.SERIES`, sorted by UID: `files`; `ordered_by`
        (``position`` or ``instance number``); `first`, `last`, the median `distance` of neighbours, in mm along the
        normal; `gaps` (distances above `WIDE` times the median) and `duplicates` (slices at the place of another, or
        with its SOP Instance UID). NaN, and -1 gaps, where slices are not ordered by position.
    slices
        One row a file with a header, index its path: `series`; `along`, mm along the normal of its series, NaN where
        that is not ordered by position; `own`, mm along its own normal; `rank` within the series from 0; `slices` in
        the series; `before`, `after`, mm to its neighbours. A file without a series stands for itself.
    """

    table: pd.DataFrame
    slices: pd.DataFrame


def arrange(headers: Mapping[str, Header | None]) -> Arranged:
    """Order slices by their position along the normal of their series.

    A series is ordered by position if each of its files is one frame with a position and a proper orientation, and if
    they agree in orientation; else Instance Number counts, as the scanner counted.
    """
    known = {path: header for path, header in headers.items() if header is not None}
    slices = _slices(known)
    by_series = slices.groupby("series", sort=False)
    straight = slices["own"].notna() & (slices["frames"] == 1)
    ordered = straight.groupby(slices["series"], sort=False).transform("all")
    cosines = [f"cosine{k}" for k in range(6)]
    for name in cosines:
        ordered &= by_series[name].transform("max") - by_series[name].transform("min") <= PARALLEL
    # One normal for the whole series: rounding of single slices must not move them against each other.
    normals = _normals(by_series[cosines].transform("mean").to_numpy())
    along = np.einsum("ij,ij->i", normals, slices[["x", "y", "z"]].to_numpy())
    slices["along"] = np.where(ordered, along, np.nan)
    slices["ordered"] = ordered
    slices["order"] = np.where(ordered, along, slices["number"])
    slices = _neighbours(slices)
    kept = ["series", "along", "own", "rank", "slices", "before", "after"]
    return Arranged(_table(slices[slices["uid"] != ""]), slices[kept].loc[list(known)])


def _slices(known: Mapping[str, Header]) -> pd.DataFrame:
    headers = list(known.values())
    position = np.array([h.position or [np.nan] * 3 for h in headers], float).reshape(-1, 3)
    orientation = np.array([h.orientation or [np.nan] * 6 for h in headers], float).reshape(-1, 6)
    own = np.einsum("ij,ij->i", _normals(orientation), position)
    uids = pd.Series([h.series_uid for h in headers], dtype=object)
    return pd.DataFrame(
        {
            "uid": uids.to_numpy(),
            "series": uids.where(uids != "", pd.Series(list(known), dtype=object)).to_numpy(),
            "study": [h.study_uid for h in headers],
            "modality": [h.modality for h in headers],
            "instance": [h.instance_uid for h in headers],
            "number": np.array([h.instance_number or 0 for h in headers], float),
            "frames": np.array([h.frames for h in headers], int),
            "own": own,
            **{name: position[:, k] for k, name in enumerate("xyz")},
            **{f"cosine{k}": orientation[:, k] for k in range(6)},
        },
        index=list(known),
    )


def _normals(cosines: Floats) -> Floats:
    """Unit normals, (n, 3); NaN where the cosines are no two perpendicular directions."""
    normals: Floats = np.cross(cosines[:, :3], cosines[:, 3:])
    length = np.linalg.norm(normals, axis=1)
    rows, columns = (np.linalg.norm(cosines[:, k : k + 3], axis=1) for k in (0, 3))
    proper = (np.abs(rows - 1) < 0.01) & (np.abs(columns - 1) < 0.01) & (np.abs(length - 1) < 0.01)
    return np.where(proper[:, None], normals / np.where(proper, length, 1)[:, None], np.nan)


def _neighbours(slices: pd.DataFrame) -> pd.DataFrame:
    """Sort within series, and tell each slice its rank and the distance to the one before and after it."""
    # Slices at one place keep the scanner's order, and after that the order of their paths.
    keys = (slices.index.to_numpy(str), slices["number"].to_numpy(), slices["order"].to_numpy())
    slices = slices.iloc[np.lexsort((*keys, pd.factorize(slices["series"])[0]))]
    by_series = slices.groupby("series", sort=False)
    before = by_series["along"].diff()
    return slices.assign(
        rank=by_series.cumcount(),
        slices=by_series["order"].transform("size"),
        before=before,
        after=by_series["along"].diff(-1).abs(),
        repeated=(before < SAME_PLACE) | slices.duplicated(["series", "instance"]) & (slices["instance"] != ""),
    )


def _table(slices: pd.DataFrame) -> pd.DataFrame:
    steps = slices["before"].where(slices["before"] >= SAME_PLACE)
    by_series = slices.groupby("series")
    median = steps.groupby(slices["series"]).median()
    wide = steps > WIDE * steps.groupby(slices["series"]).transform("median")
    ordered = by_series["ordered"].first().astype(bool)
    table = pd.DataFrame(
        {
            "study": by_series["study"].first(),
            "modality": by_series["modality"].first(),
            "files": by_series.size(),
            "ordered_by": np.where(ordered, "position", "instance number"),
            "first": by_series["along"].min(),
            "last": by_series["along"].max(),
            "distance": median,
            "gaps": wide.groupby(slices["series"]).sum().where(ordered, -1).astype(int),
            "duplicates": slices["repeated"].groupby(slices["series"]).sum().astype(int),
        }
    )
    return table.rename_axis("series").reset_index()[SERIES]
