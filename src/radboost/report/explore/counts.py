"""Who and what is there: sizes, labels, counts by every field, and how numbers are spread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from radboost.data.task import OPPOSITE
from radboost.metrics import Bootstrap
from radboost.report.explore.faults import files_aside
from radboost.report.explore.fields import Finding, Look
from radboost.report.explore.figures import histograms, shorten
from radboost.report.explore.levels import EMPTY, LEAST, Levels
from radboost.report.explore.shares import counted, shares_of, whole
from radboost.report.page import Cell, Facts, Figure, Item, Note, Number, Section, Table, isolate

__all__ = ["counts_section", "sizes"]

FIGURES = 6


def sizes(look: Look) -> dict[str, int]:
    """Count what there is, by name, in the order of reading."""
    cohort = look.cohort
    own = cohort.links[~cohort.links["slot"].str.endswith(OPPOSITE)]
    linked = own["unit"].nunique()
    labelled = np.any([one.known for one in look.findings], axis=0).sum() if look.findings else 0
    found = {"patients": look.groups, "units": look.units, "labelled units": int(labelled)}
    found["crops"] = len(cohort.manifest)
    if cohort.shared is None:
        found["files"] = int(cohort.manifest["path"].nunique())
    if len(cohort.series):
        found["series"] = len(cohort.series)
    if look.units > linked:
        found["units without an image"] = look.units - linked
    aside = files_aside(cohort)
    if aside:
        found["files in quarantine"] = aside
    return found


def counts_section(look: Look, levels: Sequence[Levels], how: Bootstrap) -> Section:
    """Say how much of everything there is."""
    items: list[Item] = [Facts(tuple(sizes(look).items()))]
    if look.findings:
        items.append(_labels(look, how))
    else:
        items.append(Note("There are no labels: nothing on this page depends on one."))
    rows = [one for each in levels for one in counted(look, each)]
    if rows:
        body = [
            (
                one.field,
                one.level,
                one.source,
                one.cells,
                one.units,
                Number(one.units / look.units, digits=3),
                one.patients,
            )
            for one in rows
        ]
        notes = (
            "A unit that has images of several values counts under each of them. Values of the "
            f"table that fewer than {LEAST} patients have, long texts and dates are not named but counted together.",
        )
        columns = ("field", "value", "from", "images or rows", "units", "share of units", "patients")
        items.append(Table("counts", "How many images, units and patients each value has.", columns, body, notes))
    items += _spread(look)
    return Section("What is there", tuple(items))


def _labels(look: Look, how: Bootstrap) -> Table:
    """Every class of every target, the first ones too, with its share."""
    rows: list[tuple[Cell, ...]] = []
    cohort = look.cohort
    for target in cohort.task.targets if cohort.task else ():
        own = cohort.targets[cohort.targets["target"] == target.name]
        place = pd.Series(np.arange(look.units), index=cohort.units["unit"].to_numpy()).reindex(own["unit"])
        known = place.notna().to_numpy() & (own["label"] >= 0).to_numpy()
        unit, label = place[known].to_numpy(np.int64), own["label"].to_numpy(np.int64)[known]
        for k, name in enumerate(target.classes):
            has = np.full(look.units, np.nan)
            has[unit] = label == k
            share = shares_of(look, Finding(name, has), [whole(look)], how)[0]
            patients = len(np.unique(look.group[unit[label == k]]))
            rows.append((target.name, name, share.hits, Number(share.value, share.low, share.high), patients))
        empty = look.units - int(known.sum())
        if empty:
            rows.append((target.name, EMPTY, empty, None, len(np.unique(np.delete(look.group, unit)))))
    caption = "Labels by class: shares of the labelled units, with 95 % intervals drawn by patient."
    return Table("labels", caption, ("target", "class", "units", "share", "patients"), rows)


def _spread(look: Look) -> Iterator[Item]:
    """Draw each numeric field of the table, by the first target's label where there is one."""
    for one in [field for field in look.of("metadata", "table") if field.numeric][:FIGURES]:
        values = one.by_unit(look.units)
        if len(np.unique(values[~np.isnan(values)])) <= 2:
            continue
        parts = [("all units", np.ones(look.units, bool))]
        told = ""
        if look.findings:
            finding = look.findings[0]
            named = shorten(finding.name, 20)
            parts = [(f"{named}: yes", finding.has == 1), (f"{named}: no", finding.has == 0)]
            told = f", by {isolate(finding.name)}"
            medians = [np.nanmedian(values[rows]) if (~np.isnan(values[rows])).any() else np.nan for _, rows in parts]
            told += f": medians {medians[0]:.4g} with it and {medians[1]:.4g} without"
        caption = f"How {isolate(one.name)} is spread{told}."
        alt = f"Histogram of {isolate(one.name)} in {len(parts)} parts of the units, each adding up to one."
        yield Figure(f"spread of {one.name}", caption, alt, histograms(one.name, values, parts))
