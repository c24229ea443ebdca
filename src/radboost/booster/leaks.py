"""What makes an out-of-fold score a lie, looked for before anything is fitted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from radboost.booster.design import Design, Store
from radboost.booster.likeness import alike
from radboost.booster.telling import BOUND, absent_columns, telling_columns
from radboost.data.cohort import Cohort
from radboost.data.networks import TRAINED_GROUPS, network_name
from radboost.data.table import read_table
from radboost.errors import FormatError, LeakError, UserError, offenders

__all__ = ["LEAKS", "Leak", "check_leaks"]

TOGETHER = "Index the data with folds that keep them together"
LEAVE_OUT = "Leave them out of the task's metadata and of the header columns"

LEAKS: Mapping[str, tuple[str, str]] = {
    "group": ("a group stands in two folds", TOGETHER),
    "crop": ("a crop is seen by units of two folds", TOGETHER),
    "columns": ("metadata columns are not there where predictions are to be made", LEAVE_OUT),
    "training": (
        "the backbone was trained on patients that are to be predicted",
        "Extract with a backbone that has not seen them",
    ),
    "metadata": (f"a metadata column alone predicts the label better than AUC {BOUND}", LEAVE_OUT),
    "pixels": ("images of two folds are identical", "Give both patients one group, or drop one of the images"),
    "near-duplicates": (
        "images of two folds are nearly identical",
        "Give both patients one group, or drop one of the images",
    ),
}
"""Leaks that are looked for, by the name that allows them: what is wrong, and what helps."""


@dataclass(frozen=True)
class Leak:
    """A leak that was let pass.

    Attributes
    ----------
    name
        One of `LEAKS`.
    count
        Offenders that were found.
    examples
        The first few, hashed names or columns.
    """

    name: str
    count: int
    examples: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give JSON-able content."""
        return {"name": self.name, "count": self.count, "examples": list(self.examples)}

    def __str__(self) -> str:
        got = offenders(self.examples)
        return f"Scores may be too good: {LEAKS[self.name][0]}, and it was let pass ({self.count:,} found: {got})."


def check_leaks(
    cohort: Cohort, design: Design, stores: Sequence[Store] = (), allowed: Collection[str] = ()
) -> list[Leak]:
    """Refuse what would make out-of-fold scores too good.

    Parameters
    ----------
    cohort, design
        The cohort, and its design with all units.
    stores
        What the design was made from.
    allowed
        Names out of `LEAKS` that are let pass.

    Returns
    -------
    list of Leak
        Those that were found and let pass.

    Raises
    ------
    LeakError
        A leak was found; the error gives its name, the first few hashed offenders and their number.
    UserError
        `allowed` holds an unknown name.
    """
    unknown = sorted(set(allowed) - LEAKS.keys())
    if unknown:
        do = f"Known: {', '.join(LEAKS)}"
        raise UserError("no leak has this name", where="--allow-leak", got=offenders(unknown), do=do)
    side = np.char.add(np.char.add(design.split, "/"), design.fold.astype(str))
    crops = _sides_of_crops(cohort, design, side)
    looked: dict[str, Callable[[], list[str]]] = {
        "group": lambda: _in_two(pd.Series(design.group), side),
        "crop": lambda: _in_two(crops["crop_id"], crops["side"].to_numpy()),
        "columns": lambda: _lacking(cohort, design),
        "training": lambda: _trained(design, stores),
        "metadata": lambda: telling_columns(design),
    }
    passed = [leak for name, find in looked.items() if (leak := _judge(name, find(), allowed)) is not None]
    found = _alike(crops, stores)
    return passed + [leak for name, names in found.items() if (leak := _judge(name, names, allowed)) is not None]


def _judge(name: str, names: Sequence[str], allowed: Collection[str]) -> Leak | None:
    if not names:
        return None
    if name in allowed:
        return Leak(name, len(names), tuple(names[:5]))
    what, do = LEAKS[name]
    raise LeakError(
        f"{what} (leak {name!r})", got=offenders(names), do=f"{do}, or let it pass with --allow-leak {name}"
    )


def _sides_of_crops(cohort: Cohort, design: Design, side: np.ndarray) -> pd.DataFrame:
    """Each crop with every side that sees it, once."""
    units = cohort.units
    by_unit = pd.Series(side, index=design.unit).reindex(units["unit_id"])
    seen = cohort.links["unit"].map(dict(zip(units["unit"], by_unit, strict=True)))
    table = pd.DataFrame({"crop_id": cohort.links["crop_id"], "side": seen}).dropna()
    return table.drop_duplicates().sort_values(["crop_id", "side"], ignore_index=True)


def _in_two(names: pd.Series, sides: np.ndarray) -> list[str]:
    counts = pd.Series(sides, index=names.to_numpy()).groupby(level=0).nunique()
    return [str(n) for n in counts.index[counts > 1]]


def _alike(crops: pd.DataFrame, stores: Iterable[Store]) -> dict[str, list[str]]:
    crops = crops.drop_duplicates("crop_id")
    out: dict[str, dict[str, None]] = {"pixels": {}, "near-duplicates": {}}
    for store in stores:
        rows = np.asarray(store.rows_of(crops["crop_id"].tolist()))
        there = crops[rows >= 0]
        names, side = there["crop_id"].tolist(), pd.factorize(there["side"])[0].astype(np.int64)
        # All poolings are of the same images, so one tells.
        for name, pairs in zip(out, alike(store, store.pools[0], rows[rows >= 0], side), strict=True):
            out[name] |= dict.fromkeys(f"{names[a]} and {names[b]}" for a, b in pairs)
    return {name: list(pairs) for name, pairs in out.items()}


def _lacking(cohort: Cohort, design: Design) -> list[str]:
    """Columns that the task's table for new exams does not have, or that its units leave empty."""
    task, names = design.task, absent_columns(design)
    table = cohort.root / task.test_table
    if cohort.shared is None and task.test_table not in ("", task.table) and table.is_file():
        there = set(read_table(table).columns)
        names += [name for name in task.feature_columns if name not in there and name not in names]
    return names


def _trained(design: Design, stores: Iterable[Store]) -> list[str]:
    """Groups that some network was trained on, of those that it is to help judge or that are held out.

    The network of an outer fold helps with that fold alone.
    """
    inside = {network_name(int(fold)): set(design.group[design.fold == fold]) for fold in np.unique(design.fold)}
    outside = inside.pop(network_name(-1), set[str]())
    trained: set[str] = set()
    for store in stores:
        networks = getattr(store, "config", {}).get(TRAINED_GROUPS, {})
        if not isinstance(networks, Mapping):
            do = f"{TRAINED_GROUPS} maps each network to a list of hashed groups"
            raise FormatError("a store does not say who trained its networks", got=store.fingerprint_hash[:8], do=do)
        for name, groups in networks.items():
            judged = outside | inside[name] if name in inside else set(design.group)
            trained |= judged.intersection(map(str, groups))
    return sorted(trained)
