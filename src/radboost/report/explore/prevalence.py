"""Where each finding is frequent: its share by subgroup, with intervals over patients."""

from __future__ import annotations

import math
from collections.abc import Sequence

from radboost.metrics import Bootstrap
from radboost.report.explore.fields import Finding, Look
from radboost.report.explore.figures import forest
from radboost.report.explore.levels import Levels
from radboost.report.explore.shares import Share, shares_of, whole
from radboost.report.page import Figure, Item, Note, Number, Section, Table, isolate

__all__ = ["prevalence_section"]

MOST = 12
"""Classes that are laid out."""
DRAWN = 40
SURE = 1.7
"""Half intervals that a difference must exceed to be told first: many are compared, and of them one in twenty would
otherwise be told by chance."""


def prevalence_section(look: Look, levels: Sequence[Levels], how: Bootstrap) -> tuple[Section | None, list[str]]:
    """Give the share of every finding by every field, and what stands out."""
    if not look.findings:
        return None, []
    parts = [(each.field.name, each.names, each.unit, each.level) for each in levels if len(each.names) > 1]
    # Other columns of the table often come from the finding itself; a model does not see them.
    seen = {each.field.name for each in levels if each.field.source != "table"}
    inner: list[Item] = []
    told: list[str] = []
    for finding in look.findings[:MOST]:
        overall, *rest = shares_of(look, finding, [whole(look), *parts], how)
        inner.append(_of(finding, overall, rest))
        told += _standing_out(finding, overall, [one for one in rest if one.field in seen])
    if len(look.findings) > MOST:
        inner.append(Note(f"The first {MOST} of {len(look.findings)} classes are laid out."))
    lead = (
        "Shares of labelled units. An interval that stays clear of the share of all units says that a model could "
        "learn this field in place of the finding, and that the mix of values decides what prevalence a test set has."
    )
    return Section("Prevalence by subgroup", tuple(inner), lead), told


def _of(finding: Finding, overall: Share, rest: Sequence[Share]) -> Section:
    items: list[Item] = []
    drawn = [one for one in rest if one.units and not math.isnan(one.value)][:DRAWN]
    name = isolate(finding.name)
    if drawn:
        caption = f"Share of units with {name} by subgroup; the dashed line is the share of all, {overall.value:.2%}."
        alt = f"{len(drawn)} shares as dots with 95 % intervals."
        figure = forest([overall, *drawn], overall.value, "share of labelled units, 95 % interval by patient")
        items.append(Figure(f"prevalence of {finding.name}", caption, alt, figure, wide=False))
    rows = [
        (one.field, one.level, one.units, one.patients, one.hits, Number(one.value, one.low, one.high))
        for one in (overall, *rest)
    ]
    notes = (
        "95 % intervals by bootstrap over patients; where no unit or every unit has the finding, exact ones of as many "
        "units as there are patients (Clopper and Pearson). There is none for one patient.",
    )
    columns = ("field", "value", "labelled units", "patients", "with it", "share")
    items.append(Table(f"prevalence-{finding.name}", f"Share of units with {name}.", columns, rows, notes))
    return Section(name, tuple(items))


def _standing_out(finding: Finding, overall: Share, rest: Sequence[Share]) -> list[str]:
    """Say of which fields a level's interval lies clear of the share of all."""
    clear = [
        one
        for one in rest
        if one.patients >= 10
        and not one.low <= overall.value <= one.high
        and abs(one.value - overall.value) > SURE * (one.high - one.low) / 2
    ]
    names = list(dict.fromkeys(one.field for one in clear))
    if not names:
        return []
    most = max(clear, key=lambda one: abs(one.value - overall.value))
    listed = ", ".join(isolate(name) for name in names[:6]) + (" and others" if len(names) > 6 else "")
    return [
        f"How frequent {isolate(finding.name)} is differs by {listed}: it is {most.value:.1%} where "
        f"{isolate(most.field)} is {isolate(most.level)}, and {overall.value:.1%} over all."
    ]
