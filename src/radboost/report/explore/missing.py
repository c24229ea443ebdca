"""What is not known, and whether not being known goes with a finding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from radboost.metrics import Bootstrap
from radboost.report.explore.fields import Field, Look
from radboost.report.explore.shares import Share, shares_of
from radboost.report.page import Cell, Note, Number, Section, Table, isolate

__all__ = ["missing_section"]


def missing_section(look: Look, how: Bootstrap) -> tuple[Section, list[str]]:
    """Count empty cells of every field, and compare prevalence where a cell is empty and where it is known."""
    finding = look.findings[0] if look.findings else None
    rows: list[tuple[Cell, ...]] = []
    told: list[str] = []
    partly = [one for one in look.fields if one.missing.any() and not one.missing.all()]
    hollow = [(one, _units(one, look.units)) for one in partly]
    compared: dict[str, list[Share]] = {}
    if finding is not None and hollow:
        everyone = np.arange(look.units)
        parts = [(one.name, ("empty", "known"), everyone, (~empty).astype(np.int64)) for one, empty in hollow]
        for share in shares_of(look, finding, parts, how):
            compared.setdefault(share.field, []).append(share)
    for one, empty in sorted(hollow, key=lambda pair: -pair[0].missing[pair[0].once].mean()):
        cells = one.missing[one.once]
        row: list[Cell] = [
            one.name,
            one.source,
            int(cells.sum()),
            Number(float(cells.mean())),
            int(empty.sum()),
        ]
        row.append(len(np.unique(look.group[empty])))
        if finding is not None:
            pair = compared[one.name]
            row += [Number(share.value, share.low, share.high) for share in pair]
            told += _telling(one, pair, finding.name)
        rows.append(tuple(row))
    notes = _sorted_out(look)
    if not rows:
        return Section(
            "Missing values", (Note("No field is known for some images and empty for others."), *notes)
        ), told
    columns: tuple[str, ...] = (
        "field",
        "from",
        "empty cells",
        "share of cells",
        "units without any",
        "patients of these",
    )
    if finding is not None:
        columns += (f"{finding.name}, empty", f"{finding.name}, known")
    caption = "Fields that are known for some images and empty for others"
    if finding is not None:
        caption += f", and how frequent {isolate(finding.name)} is among units that lack the field and among the others"
    return Section("Missing values", (Table("missing", f"{caption}.", columns, rows), *notes)), told


def _units(one: Field, units: int) -> np.ndarray:
    """Which units have no known cell."""
    known = np.zeros(units, bool)
    known[one.unit[~one.missing]] = True
    return ~known


def _sorted_out(look: Look) -> list[Note]:
    """Name the fields that are never empty, and those that always are."""
    never = [one.name for one in look.fields if not one.missing.any()]
    always = [one.name for one in look.fields if one.missing.all()]
    return [
        Note(f"{what}: {', '.join(isolate(name) for name in names[:60])}.")
        for what, names in (("Never empty", never), ("Always empty", always))
        if names
    ]


def _telling(one: Field, pair: Sequence[Share], finding: str) -> list[str]:
    empty, known = pair
    if empty.patients < 10 or known.patients < 10 or not (empty.low > known.high or empty.high < known.low):
        return []
    return [
        f"That {isolate(one.name)} is empty goes with {isolate(finding)}: {empty.value:.1%} of such units have it, and "
        f"{known.value:.1%} of the others. A feature that says so may be a leak."
    ]
