"""How far the cohort that is to be predicted lies from the one that is learnt from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from radboost.booster.apart import Apart, tell_apart
from radboost.metrics import Bootstrap
from radboost.report.explore.distance import Distance, common_fields, distances
from radboost.report.explore.fields import Field, FloatArray, Look
from radboost.report.explore.figures import dots, histograms
from radboost.report.explore.levels import LONGEST
from radboost.report.explore.shares import shares_of, whole
from radboost.report.page import Cell, Facts, Figure, Item, Note, Number, Section, Table, isolate

__all__ = ["drift_section"]

DRAWN = 30
MOST = 12
WORTH = 0.001
"""Loss of AUC below which a field is not named."""
LARGE = 0.1
"""Standardised difference from which covariates are called imbalanced (Austin 2009)."""
STABLE, SHIFTED = 0.1, 0.25
"""Population stability index: below the first stable, above the second shifted, by the usual rule of thumb."""


def drift_section(
    mine: Look, theirs: Look, sources: Sequence[str], how: Bootstrap
) -> tuple[Section, list[str], dict[str, object]]:
    """Compare two cohorts.

    Parameters
    ----------
    mine, theirs
        The cohort, and the target.
    sources
        Kinds of fields that both know for all their units.
    how
        Of intervals and of the classifier's seed.
    """
    pairs = common_fields(mine, theirs, sources)
    found = distances(mine, theirs, pairs, how) if pairs else []
    group, other, both = _people(mine, theirs)
    items: list[Item] = []
    told: list[str] = []
    apart = _apart(mine, theirs, pairs, np.concatenate([group, other]), how)
    area = apart.area
    items.append(
        Facts(
            (
                ("patients, cohort", mine.groups),
                ("patients, target", theirs.groups),
                ("patients in both", both),
                ("units, target", theirs.units),
                ("fields compared", len(found)),
                ("AUC of telling them apart", Number(area.value, area.low, area.high)),
            )
        )
    )
    if both:
        told.append(f"{both:,} patients stand in both cohorts: what is learnt from the one must not be judged on them.")
    told += _verdict(found, area.low)
    items += _classified(apart)
    items += _fields(found)
    items += _labels(mine, theirs, how)
    data = {"auc": Number(area.value, area.low, area.high), "rows": area.rows, "patients": area.groups, "both": both}
    lead = (
        "The cohort against the target that is to be predicted, field by field and by a classifier that is judged on "
        "patients it did not learn from. An AUC of .5 says that the fields do not tell the cohorts apart."
    )
    return Section("Drift to the target", tuple(items), lead), told, data


def _people(mine: Look, theirs: Look) -> tuple[np.ndarray, np.ndarray, int]:
    """Number patients so that one person has one number in both, and count those who are in both."""
    readable = mine.cohort.shared is None and theirs.cohort.shared is None
    name = "group" if readable and mine.cohort.key_id != theirs.cohort.key_id else "group_id"
    both = pd.concat([mine.cohort.units[name], theirs.cohort.units[name]], ignore_index=True)
    code = pd.factorize(both)[0].astype(np.int64)
    first, second = code[: mine.units], code[mine.units :]
    return first, second, len(np.intersect1d(first, second))


def _verdict(found: Sequence[Distance], low: float) -> list[str]:
    # Of a category the value that differs most is judged, so its interval alone would be too ready to exclude 0.
    far = [one for one in found if abs(one.smd) >= LARGE and not one.low <= 0 <= one.high and one.psi > 2 * one.chance]
    out = []
    if far:
        listed = ", ".join(isolate(one.field) for one in far[:6]) + (" and others" if len(far) > 6 else "")
        out.append(f"The target differs from the cohort in {listed}: radboost weights can simulate its mix.")
    if low > 0.5:
        out.append("A classifier tells the target from the cohort by fields alone, on patients it has not seen.")
    return out


def _apart(mine: Look, theirs: Look, pairs: Sequence[tuple[Field, Field]], group: np.ndarray, how: Bootstrap) -> Apart:
    columns: dict[str, FloatArray] = {}
    categorical = []
    for one, two in pairs:
        if one.source == "table":
            # Such columns often come from the finding, and new exams lack them.
            continue
        if one.numeric:
            columns[one.name] = np.concatenate([one.by_unit(mine.units), two.by_unit(theirs.units)])
            continue
        names = {name: k for k, name in enumerate(dict.fromkeys([*one.codes[1], *two.codes[1]]))}
        codes = [_first(field, look.units, names) for field, look in ((one, mine), (two, theirs))]
        columns[one.name] = np.concatenate(codes)
        categorical.append(one.name)
    of = np.concatenate([np.zeros(mine.units), np.ones(theirs.units)])
    return tell_apart(pd.DataFrame(columns, index=range(len(of))), of, group, categorical, how.seed)


def _first(field: Field, units: int, names: dict[str, int]) -> FloatArray:
    """Code of each unit's first known cell, -1 where it has none."""
    code, own = field.codes
    known = code >= 0
    unit, at = np.unique(field.unit[known], return_index=True)
    out = np.full(units, -1.0)
    out[unit] = np.array([names[name] for name in own], float)[code[known][at]] if len(own) else -1
    return out


def _classified(apart: Apart) -> list[Item]:
    area = apart.area
    if math.isnan(area.value):
        return [Note("No classifier was tried: it wants ten patients in each cohort, and a field that both have.")]
    parts = [("cohort", apart.of == 0), ("target", apart.of == 1)]
    caption = (
        f"Predictions of the classifier, cross-fitted: AUC {area.value:.3f} [{area.low:.3f}, {area.high:.3f}] on "
        f"{area.rows:,} units of {area.groups:,} patients. Where the curves do not overlap, no weights can make the "
        "cohort look like the target."
    )
    if area.high < 0.5:
        caption += " Below .5: what tells the few patients apart that were learnt from does not carry over to others."
    drawing = histograms("predicted probability: target", apart.p, parts)
    ranked = sorted(apart.lost.items(), key=lambda pair: -abs(pair[1]))
    rows = [(name, Number(lost, signed=True)) for name, lost in ranked if abs(lost) >= WORTH]
    table = Table(
        "drift-importance",
        "What the classifier goes by: how much of the AUC is lost when a field's values are shuffled among the units "
        "that are predicted.",
        ("field", "AUC lost"),
        rows[:MOST],
        (f"Fields that cost less than {WORTH} are left out. Of fields that say the same, none may be missed alone.",),
    )
    figure = Figure("drift-classifier", caption, "Two histograms of predictions, one a cohort.", drawing)
    return [figure, table] if rows else [figure]


def _fields(found: Sequence[Distance]) -> list[Item]:
    if not found:
        return [Note("The cohorts have no field in common.")]
    drawn = [one for one in found if math.isfinite(one.smd) and one.low < one.high][:DRAWN]
    items: list[Item] = []
    if drawn:
        names = [f"{one.field}: {_level(one)}" if one.level else one.field for one in drawn]
        values = [(one.smd, one.low, one.high) for one in drawn]
        large = sum(abs(one.smd) >= LARGE for one in found)
        caption = (
            f"{large} of {len(found)} fields differ by {LARGE} pooled standard deviations or more (dotted lines), the "
            "customary limit of balance."
        )
        drawing = dots(names, values, "standardised difference, target minus cohort", (-LARGE, 0, LARGE))
        items.append(Figure("drift", caption, f"{len(drawn)} differences as dots with 95 % intervals.", drawing))
    rows: list[tuple[Cell, ...]] = [
        (
            one.field,
            _level(one) if one.level else "mean",
            _shown(one.values[0], one.numeric),
            _shown(one.values[1], one.numeric),
            Number(one.smd, one.low, one.high, signed=True),
            Number(one.psi),
            Number(one.chance),
            Number(one.missing[0]),
            Number(one.missing[1]),
        )
        for one in found
    ]
    notes = (
        "Of categories the value whose share differs most is told. Intervals by bootstrap over patients of both.",
        f"PSI: population stability index over deciles of the cohort; below {STABLE} is called stable, above "
        f"{SHIFTED} shifted, but small samples of one population reach the value under PSI by chance on average.",
    )
    named = ("field", "of", "cohort", "target", "standardised difference", "PSI", "PSI by chance")
    columns = (*named, "empty, cohort", "empty, target")
    items.append(Table("drift", "Distance between the cohorts, field by field.", columns, rows, notes))
    return items


def _level(one: Distance) -> str:
    return one.level if len(one.level) <= LONGEST else "a long text"


def _shown(value: float, numeric: bool) -> Number:
    return Number(value, digits=3 if not numeric or abs(value) < 10 else 1)


def _labels(mine: Look, theirs: Look, how: Bootstrap) -> list[Item]:
    other = {one.name: one for one in theirs.findings}
    rows: list[tuple[Cell, ...]] = []
    for one in mine.findings:
        if one.name not in other:
            continue
        a, b = (
            shares_of(look, finding, [whole(look)], how)[0]
            for look, finding in ((mine, one), (theirs, other[one.name]))
        )
        rows.append((one.name, a.units, Number(a.value, a.low, a.high), b.units, Number(b.value, b.low, b.high)))
    if not rows:
        return [Note("The target has no labels, so prevalence is not compared.")]
    columns = ("finding", "units, cohort", "share, cohort", "units, target", "share, target")
    return [Table("drift-labels", "Prevalence in both cohorts, which only labels of the target tell.", columns, rows)]
