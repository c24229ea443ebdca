"""The one table each command ends with, as plain cells; the console decides how they look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from radboost.data.cohort import Cohort

__all__ = ["Table", "cohort_table", "interval", "number"]


@dataclass(frozen=True)
class Table:
    """Cells as text, ready to be printed.

    Attributes
    ----------
    title
        What the table says.
    columns
        Headings.
    rows
        Cells, as many a row as there are columns.
    notes
        Lines below.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def number(value: float | None, digits: int = 4) -> str:
    """Write a number, or a dash where it is not defined.

    >>> number(0.51239), number(float("nan"))
    ('0.5124', '-')
    """
    return "-" if value is None or value != value else f"{value:.{digits}f}"


def interval(low: float, high: float, digits: int = 3) -> str:
    """Write a 95 % interval.

    >>> interval(0.5, 0.61)
    '[0.500, 0.610]'
    """
    return "-" if low != low or high != high else f"[{low:.{digits}f}, {high:.{digits}f}]"


def cohort_table(cohort: Cohort, skipped: Mapping[str, int]) -> Table:
    """What `index` found: sizes, labels by fold, and what was set aside."""
    units = cohort.units
    rows: list[tuple[str, ...]] = [
        ("groups (patients)", str(units["group"].nunique())),
        ("units", str(len(units))),
        ("crops", str(len(cohort.manifest))),
    ]
    rows += [(f"  slot {slot}", str(n)) for slot, n in sorted(Counter(_own_slots(cohort)).items())]
    if cohort.task is not None:
        for target in cohort.task.targets:
            labels = cohort.targets.loc[cohort.targets["target"] == target.name, "label"]
            counts = ", ".join(f"{name}: {int((labels == k).sum())}" for k, name in enumerate(target.classes))
            unlabelled = int((labels < 0).sum())
            rows.append((f"target {target.name}", counts + (f", unlabelled: {unlabelled}" if unlabelled else "")))
    folds = units["fold"][units["fold"] >= 0].value_counts().sort_index()
    if len(folds):
        rows.append(("units a fold", ", ".join(str(n) for n in folds)))
    held = units["split"][units["fold"] < 0].value_counts()
    rows += [(f"split {name}", str(n)) for name, n in held.items() if len(folds)]
    rows += [(f"skipped: {kind}", str(n)) for kind, n in sorted(skipped.items())]
    rows.append(("in quarantine", str(len(cohort.quarantine))))
    reasons = Counter(f"{k}: {r}" for k, r in zip(cohort.quarantine["kind"], cohort.quarantine["reason"], strict=True))
    notes = tuple(f"quarantine, {n} x {reason}" for reason, n in reasons.most_common(5))
    return Table(f"cohort {cohort.folder}", ("", ""), tuple(rows), notes)


def _own_slots(cohort: Cohort) -> list[str]:
    return [slot for slot in cohort.links["slot"] if "/" not in slot]
