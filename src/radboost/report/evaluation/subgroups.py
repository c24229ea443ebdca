"""How the score differs between sites, machines, ages and whatever else is known of units."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from radboost.data.cohort import Cohort
from radboost.data.table import read_table
from radboost.data.task import OPPOSITE
from radboost.data.unit_table import linked_rows, unit_metadata
from radboost.errors import TableError, offenders
from radboost.metrics import Estimate, auc, clustered_estimates, clustered_sums, divided, exact_where_flat, log_loss
from radboost.report.evaluation.numbers import number
from radboost.report.evaluation.operating import Operated
from radboost.report.evaluation.subject import Question, Settings
from radboost.report.naming import refuse_naming
from radboost.report.page import Cell, Figure, Item, Number, Table, colour, draw, isolate, plain

__all__ = ["known_columns", "subgroup_items", "table_columns"]

FEWEST = 5
"""Groups that a level needs to be shown: fewer could tell who they are, and say nothing."""
LEVELS = 12
"""Most levels a column; the others are put together."""
REST = "all others"
EMPTY = "not known"


def known_columns(cohort: Cohort, units: pd.DataFrame | None = None) -> pd.DataFrame:
    """Gather what is known of a cohort's units, as words: categories as they are, numbers in bands.

    Parameters
    ----------
    cohort
        With a task.
    units
        More columns, one row a hashed unit.

    Returns
    -------
    DataFrame
        One row a hashed unit (the index), one column of words each.
    """
    index = pd.Index(cohort.units["unit_id"].astype(str), name="unit")
    table = unit_metadata(cohort, linked_rows(cohort)).set_axis(index)
    for name in ("laterality", "view"):
        table[name] = _alone(cohort, name)
    slots = _alone(cohort, "slot")
    if not (slots == table["view"].to_numpy()).all():
        table["slot"] = slots
    if units is not None:
        twice = {name: f"{name} (table)" for name in units.columns if name in table.columns}
        table = table.join(units.rename(columns=twice))
    words = {str(name): _words(table[name]) for name in table.columns}
    return pd.DataFrame({name: column for name, column in words.items() if column.nunique() > 1}, index=index)


def table_columns(cohort: Cohort, names: Sequence[str]) -> pd.DataFrame:
    """Read more columns from the table that a cohort was indexed from, such as those no model may see.

    Parameters
    ----------
    cohort
        With its files still where they were.
    names
        Columns of the task's table.

    Returns
    -------
    DataFrame
        One row a hashed unit (the index): the first value that its rows have.

    Raises
    ------
    UserError
        A shared cohort, the table does not name the units, or a column names patients, units or files.
    TableError
        The table is not there, or lacks a column.
    """
    cohort.need_files()
    task = cohort.need_task()
    refuse_naming(task, names)
    where = cohort.root / task.table
    table = read_table(where)
    lost = [name for name in (*names, *task.unit) if name not in table.columns]
    if lost:
        do = f"It has {', '.join(table.columns[:30])}"
        raise TableError("lacks columns", where=where, got=offenders(lost), do=do)
    unit = table[list(task.unit)].astype(str).agg("_".join, axis=1)
    found = table[list(names)].replace("", np.nan).groupby(unit.to_numpy()).first()
    return found.set_axis(pd.Index(cohort.hashed("unit", found.index.astype(str)), name="unit")).astype(object)


def _alone(cohort: Cohort, name: str) -> npt.NDArray[np.object_]:
    """Give what all crops of a unit share, else "several"; those of the other side are seen, and not its own."""
    links = linked_rows(cohort)
    links = links[~links["slot"].str.endswith(OPPOSITE)]
    if name != "slot":
        links = links.merge(cohort.manifest[["crop_id", name]], on="crop_id", how="left")
    values = links.groupby("row")[name].agg(lambda own: own.iloc[0] if own.nunique() == 1 else "several")
    return values.reindex(range(len(cohort.units))).fillna("").to_numpy(object)


def _words(column: pd.Series) -> pd.Series:
    numeric = pd.to_numeric(column, errors="coerce")
    if numeric.notna().sum() >= column.replace("", np.nan).notna().sum() and numeric.nunique() > LEVELS:
        return _bands(numeric, "age" in str(column.name).lower())
    shown = column.map(
        lambda value: EMPTY if value is None or value != value or value in ("", "<missing>") else str(value)
    )
    return shown.str.removesuffix(".0")


def _bands(numeric: pd.Series, decades: bool) -> pd.Series:
    """Put numbers into decades of age, or into four parts of equal size."""
    if decades:
        edges = [-math.inf, 40, 50, 60, 70, 80, math.inf]
        names = ["under 40", "40 to 49", "50 to 59", "60 to 69", "70 to 79", "80 and over"]
    else:
        edges = np.unique(np.nanquantile(numeric, [0, 0.25, 0.5, 0.75, 1])).tolist()
        names = [f"{a:.3g} to {b:.3g}" for a, b in itertools.pairwise(edges)]
        edges[-1] = math.inf
    if len(set(names)) < len(names):
        return pd.Series(EMPTY, numeric.index)
    cut = pd.cut(numeric, edges, right=False, labels=names)
    return cut.astype(object).where(numeric.notna(), EMPTY).astype(str)


def subgroup_items(
    name: str, question: Question, operated: Operated, columns: pd.DataFrame, settings: Settings
) -> tuple[list[Item], dict[str, object]]:
    """Table and draw the AUC and more of every level of every column.

    Returns
    -------
    tuple
        The items, and the same numbers for metrics.json.
    """
    told = columns.reindex(question.unit)
    rows: list[tuple[Cell, ...]] = []
    drawn: list[tuple[str, Estimate]] = []
    data: dict[str, object] = {}
    for column in columns.columns:
        levels = _levels(told[column].fillna(EMPTY).to_numpy(str), question.rows.group)
        if len(levels) < 2:
            continue
        own: dict[str, object] = {}
        for level, mask in levels.items():
            part = question.take(mask)
            found = _measured(part, operated.called[mask], settings)
            label = f"{column}: {level}"
            rows.append(
                (str(column), level, len(part), part.groups, part.positives, *(_cell(*pair) for pair in found.items()))
            )
            drawn.append((label, found["AUC"]))
            own[level] = {"units": len(part), "patients": part.groups, "positives": part.positives} | {
                metric: number(each) for metric, each in found.items()
            }
        data[str(column)] = own
    if not rows:
        return [], {}
    who = isolate(question.positive)
    heading = ("column", "level", "units", "patients", "positive", *METRICS)
    notes = (
        f"Levels of fewer than {FEWEST} patients, and those beyond {LEVELS}, are put together; an AUC needs {FEWEST} "
        f"patients with and {FEWEST} without. Sensitivity and specificity at {operated.name}. Many intervals are "
        "looked at: one in twenty misses by chance.",
    )
    table = Table(f"{name}-subgroups", f"Subgroups for {who}. {_verdict(drawn)}", heading, rows, notes)
    return [_forest(f"{name}-subgroups", drawn, _whole(question, settings), who), table], data


METRICS = ("AUC", "sensitivity", "specificity", "log loss", "rate, less that predicted")


def _measured(part: Question, called: npt.NDArray[np.bool_], settings: Settings) -> dict[str, Estimate]:
    rows, n, groups = part.rows, len(part), part.groups
    found = clustered_estimates({"AUC": auc, "log loss": log_loss}, rows, settings.how)
    yes, w = rows.y == 1, rows.weight
    if min(len(np.unique(rows.group[side])) for side in (yes, ~yes)) < FEWEST:
        # Drawing one patient with a positive again and again tells nothing of others.
        found["AUC"] = Estimate(rows=n, groups=groups)
    columns = np.stack([w * (yes & called), w * yes, w * (~yes & ~called), w * ~yes, w * (yes - rows.p), w], axis=1)
    band = clustered_sums(columns, rows.group, lambda sums: divided(sums[::2], sums[1::2]), settings.how)
    band = exact_where_flat(band, [*(len(np.unique(rows.group[side])) for side in (yes, ~yes)), groups])
    names = ("sensitivity", "specificity", "rate, less that predicted")
    for k, name in enumerate(names):
        found[name] = Estimate(float(band.value[k]), float(band.low[k]), float(band.high[k]), n, groups)
    return {name: found[name] for name in METRICS}


def _cell(metric: str, each: Estimate) -> Number:
    return number(each, signed=metric.startswith("rate"))


def _whole(question: Question, settings: Settings) -> Estimate:
    few = replace(settings.how, replicates=2)
    return clustered_estimates({"AUC": auc}, question.rows, few)["AUC"]


def _levels(words: npt.NDArray[np.str_], group: npt.NDArray[np.generic]) -> Mapping[str, npt.NDArray[np.bool_]]:
    """Masks of the levels to be shown, by name."""
    table = pd.DataFrame({"word": words, "group": group}).groupby("word")["group"].agg(["nunique", "size"])
    shown = table[table["nunique"] >= FEWEST].nlargest(LEVELS, "size").index
    found = {str(word): words == word for word in sorted(shown, key=lambda word: (word == EMPTY, word))}
    rest = ~np.isin(words, list(shown))
    if len(np.unique(group[rest])) >= FEWEST:
        found[REST] = rest
    return found


def _verdict(drawn: list[tuple[str, Estimate]]) -> str:
    known = [(label, each) for label, each in drawn if not math.isnan(each.low)]
    if len(known) < 2:
        return "Too few units of both kinds for intervals by level."
    apart = [
        (a, b) for a, one in known for b, other in known if one.high < other.low and a.split(":")[0] == b.split(":")[0]
    ]
    if not apart:
        return "Within no column do the AUC intervals of two levels lie apart."
    return f"AUC differs most plainly between {isolate(apart[0][0])} (lower) and {isolate(apart[0][1])}."


def _forest(name: str, drawn: list[tuple[str, Estimate]], whole: Estimate, who: str) -> Figure:
    shown = [(label, each) for label, each in drawn if not math.isnan(each.value)][:40]

    def paint(axes: Axes) -> None:
        place = np.arange(len(shown))[::-1]
        axes.axvline(whole.value, color=colour("soft"), linestyle=":", linewidth=1)
        for at, (_, each) in zip(place, shown, strict=True):
            if not math.isnan(each.low):
                axes.hlines(at, each.low, each.high, color=colour(0))
            axes.scatter([each.value], [at], s=16, color=colour(0), zorder=3)
        axes.set_yticks(place, [plain(label if len(label) < 34 else f"{label[:33]}…") for label, _ in shown])
        axes.set(xlabel="AUC", ylim=(-0.7, len(shown) - 0.3))

    said = f"AUC of {who} by subgroup with 95 % intervals; dotted: all units, {whole.value:.3f}. {_verdict(drawn)}"
    drawing = draw(paint, width=5.2, height=1.0 + 0.22 * max(len(shown), 3))
    return Figure(name, said, f"{len(shown)} intervals of the AUC, one a subgroup.", drawing)
