"""Values of a field as few levels to count by: bands of a number, common categories, and the rest as one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from radboost.report.explore.fields import Field, FloatArray, IntArray

__all__ = ["EMPTY", "LEAST", "LONGEST", "Levels", "levels_of", "shown"]

EMPTY = "not known"
MOST = 20
"""Categories a field is counted by; the others are one."""
LONGEST = 40
"""Characters; a longer cell is text that somebody wrote, not a category."""
LEAST = 5
"""Patients who share a value that is named: what fewer have may tell who they are."""
FEW = 6
"""Different values up to which numbers are counted one by one."""
AGES = (40.0, 50.0, 60.0, 70.0, 80.0)

_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])|\d{1,4}[-./]\d{1,2}[-./]\d{1,4}.*")


@dataclass(frozen=True)
class Levels:
    """A field cut into levels. A unit is in each level that it has a cell of.

    Attributes
    ----------
    field
        What was cut.
    names
        Of the levels.
    cells
        How many images or rows of the table are in each, (levels,).
    unit, level
        Distinct pairs, (k,) each.
    """

    field: Field
    names: tuple[str, ...]
    cells: IntArray
    unit: IntArray
    level: IntArray


def levels_of(field: Field, group: IntArray) -> Levels:
    """Cut a field into levels, unknown cells as the last one.

    Parameters
    ----------
    field
        What to cut.
    group
        Shape (units,): patient of each unit.
    """
    code, names = _banded(field, len(group)) if field.numeric else _common(field, group)
    if (code < 0).any():
        code, names = np.where(code < 0, len(names), code), [*names, EMPTY]
    unit = np.arange(len(group)) if field.numeric else field.unit
    width = max(len(names), 1)
    pairs = np.unique(unit * width + code)
    by_cell = code[field.unit[field.once]] if field.numeric else code[field.once]
    cells = np.bincount(by_cell, minlength=len(names)).astype(np.int64)
    return Levels(field, tuple(names), cells, pairs // width, pairs % width)


def _banded(field: Field, units: int) -> tuple[IntArray, list[str]]:
    values = field.by_unit(units)
    known = values[~np.isnan(values)]
    distinct = np.unique(known)
    if len(distinct) <= FEW:
        code = np.searchsorted(distinct, values)
        return np.where(np.isnan(values), -1, code).astype(np.int64), [_number(v) for v in distinct]
    edges = np.array(AGES) if field.is_age else np.unique(np.quantile(known, [0.25, 0.5, 0.75]))
    code = np.searchsorted(edges, values, side="right")
    names = _ages(edges) if field.is_age else _bands(edges)
    used = np.unique(code[~np.isnan(values)])
    place = np.full(len(names), -1)
    place[used] = np.arange(len(used))
    return np.where(np.isnan(values), -1, place[np.minimum(code, len(names) - 1)]), [names[k] for k in used]


def _number(value: float) -> str:
    return f"{value:.6g}"


def _bands(edges: FloatArray) -> list[str]:
    texts = [_number(edge) for edge in edges]
    middle = [f"{low} to under {high}" for low, high in pairwise(texts)]
    return [f"under {texts[0]}", *middle, f"{texts[-1]} and more"]


def _ages(edges: FloatArray) -> list[str]:
    middle = [f"{low:g} to {high - 1:g}" for low, high in pairwise(edges)]
    return [f"under {edges[0]:g}", *middle, f"{edges[-1]:g} and over"]


def _common(field: Field, group: IntArray) -> tuple[IntArray, list[str]]:
    code, names = field.codes
    held = _patients(code, group[field.unit], len(names))
    # What a machine or a format is called names nobody; what stands in a table of patients may.
    kept = shown(names, held, LEAST if field.source in ("metadata", "table") else 1)
    count = np.bincount(code[code >= 0], minlength=len(names))
    ranked = sorted((k for k in range(len(names)) if kept[k]), key=lambda k: (-count[k], names[k]))[:MOST]
    # In the order people write lists: numbers by value, words by letter.
    ranked = sorted(ranked, key=lambda k: _order(names[k]))
    place = np.full(len(names) + 1, len(ranked))
    place[ranked] = np.arange(len(ranked))
    place[-1] = -1
    rest = len(names) - len(ranked)
    out = [names[k] for k in ranked]
    return place[code].astype(np.int64), [*out, f"{rest:,} other values" if rest > 1 else "one other value"][
        : len(out) + (rest > 0)
    ]


def _order(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def _patients(code: IntArray, group: IntArray, levels: int) -> IntArray:
    """How many patients have each value."""
    known = code >= 0
    width = int(group.max(initial=0)) + 1
    pairs = np.unique(code[known] * width + group[known])
    return np.bincount(pairs // width, minlength=levels).astype(np.int64)


def shown(names: Sequence[str], patients: IntArray, least: int = LEAST) -> npt.NDArray[np.bool_]:
    """Tell which values may be named: shared by `least` patients, short, and no date."""
    fit = [len(name) <= LONGEST and "\n" not in name and not _DATE.fullmatch(name) for name in names]
    return np.asarray(np.array(fit, bool) & (patients >= least))
