"""Several predictions of the same units, each against the first: paired by unit, drawn by patient."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from radboost.errors import MismatchError
from radboost.metrics import (
    AveragePrecision,
    Metric,
    Scored,
    SensitivityAt,
    auc,
    clustered_difference,
    clustered_interval,
    delong_difference,
    log_loss,
)
from radboost.report.evaluation.curves import paint_roc, roc_points
from radboost.report.evaluation.subject import Question, Settings, Subject, questions
from radboost.report.page import Cell, Figure, Item, Number, Section, Table, draw, isolate

__all__ = ["paired_section"]


def paired_section(
    first: Subject, others: Sequence[Subject], settings: Settings
) -> tuple[Section | None, dict[str, object]]:
    """Compare the first with each of the others on the units that both answer.

    Raises
    ------
    MismatchError
        They disagree about labels, or share no target.
    """
    if not others:
        return None, {}
    items: list[Item] = []
    data: dict[str, object] = {}
    for block in first.predictions.blocks():
        mine = questions(block, first.classes(block))
        rows: list[tuple[Cell, ...]] = []
        own: dict[str, object] = {}
        curves: list[tuple[str, Question]] = [(first.name, mine[-1])]
        for other in others:
            theirs = [b for b in other.predictions.blocks() if b.target == block.target]
            if not theirs:
                continue
            told = questions(theirs[0], other.classes(theirs[0]))
            if len(told) != len(mine):
                raise MismatchError(
                    "the two have other classes", where=f"{first.name} and {other.name}", got=block.target
                )
            own[other.name] = found = _compared(mine, told, (first.name, other.name), settings)
            for metric, cells in found.items():
                rows.append((other.name, metric, *cells))
            curves.append((other.name, told[-1]))
        if not rows:
            continue
        data[block.target] = {name: _data(found) for name, found in own.items()}  # type: ignore[arg-type]
        items += [_roc(block.target, curves, settings), _table(block.target, first.name, rows)]
    if not items:
        raise MismatchError("share no target with the first", where=", ".join(other.name for other in others))
    lead = "Only units that both answer count. Differences are first minus other; patients are drawn for both at once."
    return Section("Paired comparison", tuple(items), lead), data


def _data(found: dict[str, tuple[Cell, ...]]) -> dict[str, object]:
    names = ("units", "patients", "first", "other", "difference", "p_delong")
    return {metric: dict(zip(names, cells, strict=True)) for metric, cells in found.items()}


def _compared(
    mine: list[Question], told: list[Question], names: tuple[str, str], settings: Settings
) -> dict[str, tuple[Cell, ...]]:
    found: dict[str, tuple[Cell, ...]] = {}
    metrics: dict[str, Metric] = {
        "AUC": auc,
        "average precision": AveragePrecision(),
        f"sensitivity at specificity {settings.specificity:g}": SensitivityAt(settings.specificity),
        "log loss": log_loss,
    }
    for one, other in zip(mine, told, strict=True):
        a, p = _aligned(one, other, names)
        prefix = f"{one.positive}: " if len(mine) > 1 else ""
        for name, metric in metrics.items():
            b = Scored(a.y, p, a.weight, a.group)
            difference = clustered_difference(metric, a, p, settings.how)
            digits = 4 if name == "log loss" else 3
            values = (
                Number(metric(rows.y, rows.p, rows.weight), *clustered_interval(metric, rows, settings.how), digits)
                for rows in (a, b)
            )
            gap = Number(difference.value, difference.low, difference.high, digits, signed=True)
            chance = delong_difference(a, p).p_value if name == "AUC" else float("nan")
            found[f"{prefix}{name}"] = (len(p), len(np.unique(a.group)), *values, gap, Number(chance))
    return found


def _aligned(one: Question, other: Question, names: tuple[str, str]) -> tuple[Scored, np.ndarray]:
    shared, left, right = np.intersect1d(one.unit, other.unit, return_indices=True)
    if not len(shared):
        do = "Compare results of one cohort, or of cohorts that share a key"
        raise MismatchError("the two share no labelled unit", where=" and ".join(names), do=do)
    rows = one.rows
    if (rows.y[left] != other.rows.y[right]).any():
        raise MismatchError(f"the two disagree about the labels of {one.target}", where=" and ".join(names))
    return Scored(rows.y[left], rows.p[left], rows.weight[left], rows.group[left]), other.rows.p[right]


def _roc(target: str, curves: list[tuple[str, Question]], settings: Settings) -> Figure:
    points = [roc_points(question) for _, question in curves]
    names = [f"{name} {auc(q.rows.y, q.rows.p, q.rows.weight):.3f}" for name, q in curves]
    paint = partial(paint_roc, names=names, curves=points, floor=settings.specificity)
    who = isolate(curves[0][1].positive)
    caption = f"ROC curves for {who}, each over its own units; the table says which differences are more than chance."
    return Figure(f"paired-{target}", caption, f"{len(curves)} ROC curves on the same axes.", draw(paint, height=4.0))


def _table(target: str, first: str, rows: list[tuple[Cell, ...]]) -> Table:
    sure = sum(1 for row in rows if isinstance(row[6], Number) and (row[6].low > 0 or row[6].high < 0))
    said = f"{sure} of {len(rows)} differences have an interval without 0."
    caption = f"{isolate(target)}: {isolate(first)} minus each other. {said}"
    heading = ("other", "metric", "units", "patients", "first", "other's value", "difference", "p (DeLong)")
    return Table(f"paired-{target}", caption, heading, rows)
