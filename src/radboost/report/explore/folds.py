"""How alike the folds and held-out splits are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from radboost.data.cohort import TRAIN
from radboost.data.task import OPPOSITE
from radboost.metrics import Bootstrap
from radboost.report.explore.fields import IntArray, Look
from radboost.report.explore.figures import forest
from radboost.report.explore.levels import Levels
from radboost.report.explore.shares import Share, shares_of, whole
from radboost.report.page import Cell, Figure, Item, Note, Number, Section, Table, isolate

__all__ = ["folds_section"]

MOST = 8


def folds_section(look: Look, levels: Sequence[Levels], how: Bootstrap) -> tuple[Section, list[str]]:
    """Count patients, units and findings by fold and split, and find the largest difference."""
    names, part = _parts(look)
    if len(names) < 2:
        return Section("Folds", (Note("The units are not split: all of them stand in one part."),)), []
    rows: list[tuple[Cell, ...]] = []
    findings = look.findings[:MOST]
    every = np.arange(look.units)
    shares = [shares_of(look, one, [whole(look), ("", names, every, part)], how) for one in findings]
    crops = _crops(look)
    for k, name in enumerate(names):
        mine = part == k
        row: list[Cell] = [name, len(np.unique(look.group[mine])), int(mine.sum()), int(crops[mine].sum())]
        row += [Number(one[1 + k].value, one[1 + k].low, one[1 + k].high) for one in shares]
        rows.append(tuple(row))
    items: list[Item] = []
    columns = ("part", "patients", "units", "crops", *(one.name for one in findings))
    caption = "Patients, units, crops and the share of each finding by part. No patient stands in two parts."
    items.append(Table("folds", caption, columns, rows))
    if shares and not math.isnan(shares[0][0].value):
        items.append(_figure(findings[0].name, shares[0]))
    worst = _worst(look, levels, part, names)
    told: list[str] = []
    if worst:
        items.append(_differences(worst))
        field, level, name, own, rest, patients = worst[0]
        if abs(own - rest) > max(0.05, 3 * math.sqrt(rest * (1 - rest) / max(patients, 1))) and patients >= 10:
            told.append(
                f"Parts differ most in {isolate(field)} being {isolate(level)}: {own:.1%} in {isolate(name)}, "
                f"{rest:.1%} in the others."
            )
    return Section("Folds", tuple(items)), told


def _parts(look: Look) -> tuple[tuple[str, ...], IntArray]:
    units = look.cohort.units
    fold, split = units["fold"].to_numpy(int), units["split"].astype(str).to_numpy(object)
    named = [
        f"fold {k}" if k >= 0 else (str(s) if s != TRAIN else "not dealt") for k, s in zip(fold, split, strict=True)
    ]
    order = sorted(set(named), key=lambda name: (not name.startswith("fold "), len(name), name))
    place = {name: k for k, name in enumerate(order)}
    return tuple(order), np.array([place[name] for name in named], np.int64)


def _crops(look: Look) -> IntArray:
    links = look.cohort.links
    own = links["unit"][~links["slot"].str.endswith(OPPOSITE)].value_counts()
    return np.asarray(own.reindex(look.cohort.units["unit"]).fillna(0), np.int64)


def _figure(name: str, shares: Sequence[Share]) -> Figure:
    overall, *rest = shares
    drawing = forest(rest, overall.value, "share of labelled units, 95 % interval by patient")
    clear = [one for one in rest if not math.isnan(one.low) and not one.low <= overall.value <= one.high]
    told = {0: "no part lies", 1: "one part lies"}.get(len(clear), f"{len(clear)} of {len(rest)} parts lie")
    caption = f"Share of {isolate(name)} by part: {told} clear of the share of all, {overall.value:.2%}."
    return Figure("folds", caption, f"{len(rest)} shares as dots with 95 % intervals.", drawing)


def _worst(
    look: Look, levels: Sequence[Levels], part: IntArray, names: Sequence[str]
) -> list[tuple[str, str, str, float, float, int]]:
    """Levels whose share in one part differs most from their share in the others, largest difference first."""
    size = np.bincount(part, minlength=len(names))
    found = []
    for each in levels:
        width = len(names)
        table = np.bincount(each.level * width + part[each.unit], minlength=len(each.names) * width)
        table = table.reshape(-1, width)
        for level, row in zip(each.names, table, strict=True):
            own, rest = row / size, (row.sum() - row) / np.maximum(size.sum() - size, 1)
            k = int(np.abs(own - rest).argmax())
            patients = len(np.unique(look.group[part == k]))
            found.append((each.field.name, level, names[k], float(own[k]), float(rest[k]), patients))
    return sorted(found, key=lambda one: -abs(one[3] - one[4]))


def _differences(worst: Sequence[tuple[str, str, str, float, float, int]]) -> Table:
    rows = [
        (field, level, name, Number(own), Number(rest), Number(own - rest, signed=True))
        for field, level, name, own, rest, _ in worst[:15]
    ]
    columns = ("field", "value", "part", "share of its units", "share of the others", "difference")
    caption = "The values whose share differs most between one part and the rest."
    notes = ("Small parts differ by chance: with n patients a share is uncertain by about one over the root of n.",)
    return Table("fold-differences", caption, columns, rows, notes)
