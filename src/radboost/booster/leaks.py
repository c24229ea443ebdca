"""What makes an out-of-fold score a lie, looked for before anything is fitted."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from radboost.booster.design import Design
from radboost.data.cohort import Cohort
from radboost.errors import LeakError, UserError, offenders

__all__ = ["LEAKS", "check_leaks"]

LEAKS = {
    "group": "a group stands in two folds",
    "crop": "a crop is seen by units of two folds",
}
"""Leaks that are looked for, by the name that allows them."""


def check_leaks(cohort: Cohort, design: Design, allowed: Collection[str] = ()) -> None:
    """Refuse folds that share a patient or an image.

    Parameters
    ----------
    cohort, design
        The cohort, and its design with all units.
    allowed
        Names out of `LEAKS` that are let pass.

    Raises
    ------
    LeakError
        A leak was found; the error gives its name, the first few hashed offenders and their number.
    UserError
        `allowed` holds an unknown name.
    """
    unknown = sorted(set(allowed) - LEAKS.keys())
    if unknown:
        raise UserError("no leak has this name", where="--allow-leak", got=offenders(unknown), do=f"Known: {_known()}")
    side = np.char.add(np.char.add(design.split, "/"), design.fold.astype(str))
    found = {"group": _in_two(pd.Series(design.group), side), "crop": _shared_crops(cohort, design, side)}
    for name, names in found.items():
        if names and name not in allowed:
            do = f"Index the data with folds that keep them together, or let it pass with --allow-leak {name}"
            raise LeakError(f"{LEAKS[name]} (leak {name!r})", got=offenders(names), do=do)


def _shared_crops(cohort: Cohort, design: Design, side: np.ndarray) -> list[str]:
    units = cohort.units
    by_unit = pd.Series(side, index=design.unit).reindex(units["unit_id"])
    seen = cohort.links["unit"].map(dict(zip(units["unit"], by_unit, strict=True)))
    known = seen.notna().to_numpy()
    return _in_two(cohort.links["crop_id"][known], seen[known].to_numpy())


def _in_two(names: pd.Series, sides: np.ndarray) -> list[str]:
    counts = pd.Series(sides, index=names.to_numpy()).groupby(level=0).nunique()
    return [str(n) for n in counts.index[counts > 1]]


def _known() -> str:
    return ", ".join(LEAKS)
