"""How many units of each level have a finding, with intervals over patients."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from radboost.metrics import Bootstrap, clopper_pearson, clustered_sums, divided
from radboost.report.explore.fields import Finding, IntArray, Look
from radboost.report.explore.levels import Levels

__all__ = ["Counted", "Share", "counted", "shares_of", "whole"]


@dataclass(frozen=True)
class Counted:
    """A level of a field and how much of the cohort it holds."""

    field: str
    source: str
    level: str
    cells: int
    units: int
    patients: int


@dataclass(frozen=True)
class Share:
    """A share of units with its 95 % interval drawn by patient.

    Attributes
    ----------
    field, level
        Which units.
    units, patients
        Labelled ones.
    hits
        Units that have the finding.
    value, low, high
        ``nan`` where it is not defined; an interval needs two patients.
    """

    field: str
    level: str
    units: int
    patients: int
    hits: int
    value: float
    low: float = math.nan
    high: float = math.nan


def counted(look: Look, levels: Levels) -> list[Counted]:
    """Count cells, units and patients of each level."""
    units = np.bincount(levels.level, minlength=len(levels.names))
    patients = _distinct(levels.level, look.group[levels.unit], len(levels.names))
    return [
        Counted(levels.field.name, levels.field.source, name, int(cells), int(n), int(held))
        for name, cells, n, held in zip(levels.names, levels.cells, units, patients, strict=True)
    ]


def _distinct(level: IntArray, group: IntArray, levels: int) -> IntArray:
    width = int(group.max(initial=0)) + 1
    return np.bincount(np.unique(level * width + group) // width, minlength=levels).astype(np.int64)


def whole(look: Look) -> tuple[str, tuple[str, ...], IntArray, IntArray]:
    """Give all units as one level, in the form that `shares_of` takes."""
    everyone = np.arange(look.units, dtype=np.int64)
    return "all", ("all units",), everyone, np.zeros(look.units, np.int64)


def shares_of(
    look: Look,
    finding: Finding,
    parts: Iterable[tuple[str, Sequence[str], IntArray, IntArray]],
    how: Bootstrap | None = None,
) -> list[Share]:
    """Give the share of units that have a finding in each level of several partitions.

    A share of none or all has no bootstrap interval; it takes the exact one of as many independent units as there are
    patients.

    Parameters
    ----------
    look
        The cohort.
    finding
        What is counted, among labelled units.
    parts
        Name of the partition, names of its levels, and its pairs of unit and level, (k,) each.
    how
        Of the bootstrap over patients.
    """
    named: list[tuple[str, str]] = []
    unit, level = [], []
    for name, levels, one, at in parts:
        keep = finding.known[one]
        unit.append(one[keep])
        level.append(at[keep] + len(named))
        named += [(name, text) for text in levels]
    if not named:
        return []
    rows, at = np.concatenate(unit), np.concatenate(level)
    groups, code = np.unique(look.group[rows], return_inverse=True)
    if not len(groups):
        return [Share(*pair, 0, 0, 0, math.nan) for pair in named]
    # Sums of a patient are all that a bootstrap over patients needs.
    shape = (len(groups), len(named))
    cell = code * len(named) + at
    bottom = np.asarray(np.bincount(cell, np.ones(len(cell)), shape[0] * shape[1]), np.float64).reshape(shape)
    top = np.asarray(np.bincount(cell, finding.has[rows], shape[0] * shape[1]), np.float64).reshape(shape)
    k = len(named)
    both = np.hstack([top, bottom])
    band = clustered_sums(both, np.arange(len(groups)), lambda sums: divided(sums[:k], sums[k:]), how)
    out = []
    for k, (name, text) in enumerate(named):
        n, hits, held = int(bottom[:, k].sum()), round(top[:, k].sum()), int((bottom[:, k] > 0).sum())
        low, high = float(band.low[k]), float(band.high[k])
        if held < 2:
            low = high = math.nan
        elif hits in (0, n):
            low, high = clopper_pearson(held if hits else 0, held)
        out.append(Share(name, text, n, held, hits, float(band.value[k]), low, high))
    return out
