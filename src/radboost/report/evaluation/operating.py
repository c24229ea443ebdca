"""What a threshold does: chosen on the other folds, judged on this one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from radboost.metrics import (
    Band,
    Ladder,
    SensitivityAt,
    best_threshold,
    clopper_pearson,
    clustered_sums,
    divided,
    exact_where_flat,
)
from radboost.metrics.inputs import FloatArray
from radboost.report.evaluation.subject import Question, Settings
from radboost.report.page import Cell, Item, Number, Table, isolate

__all__ = ["Operated", "operate", "operating_items"]

RATES = ("sensitivity", "specificity", "PPV", "NPV", "recall rate", "F1")


@dataclass(frozen=True)
class Operated:
    """A way of choosing thresholds, and what came of it.

    Attributes
    ----------
    name
        What was asked for.
    thresholds
        One a fold, or one where there is a single fold.
    called
        Rows called positive (n,).
    rates
        Of `RATES`, weighted, with intervals.
    crossfit
        Whether each threshold was chosen on other rows than it calls.
    """

    name: str
    thresholds: tuple[float, ...]
    called: np.ndarray
    rates: Band
    crossfit: bool


def operate(question: Question, settings: Settings) -> list[Operated]:
    """Choose thresholds in three ways: by specificity, by recall rate, by the best F1."""
    s, r = settings.specificity, settings.recall_rate
    ways: dict[str, Callable[[Question], float]] = {
        f"specificity {s:g}": lambda q: _reached(q, SensitivityAt(s)),
        f"recall rate {r:g}": lambda q: _reached(q, SensitivityAt(r, "recall rate")),
        "best F1": lambda q: best_threshold(q.rows.y, q.rows.p, q.rows.weight),
    }
    folds = np.unique(question.fold)
    found = []
    for name, choose in ways.items():
        if len(folds) > 1:
            chosen = {int(k): choose(question.take(question.fold != k)) for k in folds}
        else:
            chosen = {int(folds[0]): choose(question)}
        cut = np.array([chosen[int(k)] for k in question.fold])
        called = question.rows.p >= cut
        rates = clustered_sums(_counted(question, called), question.rows.group, _rates, settings.how)
        rates = exact_where_flat(rates, _patients(question, called))
        found.append(Operated(name, tuple(chosen.values()), called, rates, len(folds) > 1))
    return found


def _reached(question: Question, asked: SensitivityAt) -> float:
    steps = Ladder.of(question.rows.y, question.rows.p).steps(question.rows.weight)
    return float(steps.threshold[asked.place(steps)])


def _counted(question: Question, called: np.ndarray) -> FloatArray:
    yes, w = question.rows.y == 1, question.rows.weight
    return np.stack([w * (yes & called), w * (~yes & called), w * (~yes & ~called), w * (yes & ~called)], axis=1)


def _patients(question: Question, called: np.ndarray) -> list[int]:
    """Patients that each of `RATES` is a share of; F1 is no share."""
    yes = question.rows.y == 1
    masks = (yes, ~yes, called, ~called, np.ones_like(yes))
    return [*(len(np.unique(question.rows.group[mask])) for mask in masks), 0]


def _rates(sums: FloatArray) -> FloatArray:
    tp, fp, tn, fn = sums
    top = np.array([tp, tn, tp, tn, tp + fp, 2 * tp])
    return divided(top, np.array([tp + fn, tn + fp, tp + fp, tn + fn, sums.sum(), 2 * tp + fp + fn]))


def operating_items(name: str, question: Question, found: list[Operated]) -> list[Item]:
    """Table the rates at each operating point, and the confusion at the first."""
    who = isolate(question.positive)
    if found[0].crossfit:
        how = "Each threshold was chosen on the other folds' units, so that it is judged on units it was not chosen on."
    else:
        how = "For want of folds the thresholds were chosen on the units they are judged on: these rates are too good."
    rows: list[tuple[Cell, ...]] = []
    for each in found:
        band = each.rates
        rates = (Number(float(band.value[k]), float(band.low[k]), float(band.high[k])) for k in range(len(RATES)))
        rows.append((each.name, _range(each.thresholds), int(each.called.sum()), *rates))
    caption = f"What calling {who} does at three operating points."
    points = Table(
        f"{name}-operating-points", caption, ("chosen for", "threshold", "units called", *RATES), rows, (how,)
    )
    return [points, _confusion(name, question, found[0])]


def _range(thresholds: tuple[float, ...]) -> str:
    low, high = min(thresholds), max(thresholds)
    if math.isinf(low):
        return "nobody called"
    return (
        f"{low:.4f}" if low == high else f"{low:.4f} to {high:.4f}" if not math.isinf(high) else f"{low:.4f}, or nobody"
    )


def _confusion(name: str, question: Question, operated: Operated) -> Table:
    yes, called = question.rows.y == 1, operated.called
    rows: list[tuple[Cell, ...]] = []
    for mine, right, label in ((yes, called, "positive"), (~yes, ~called, "negative")):
        n, hits = int(mine.sum()), int((mine & right).sum())
        rows.append(
            (
                label,
                int((mine & called).sum()),
                int((mine & ~called).sum()),
                n,
                Number(hits / n if n else math.nan, *clopper_pearson(hits, n)),
            )
        )
    missed = int((yes & ~called).sum())
    caption = (
        f"Confusion for {isolate(question.positive)} at {operated.name}, in units: {missed:,} of {int(yes.sum()):,} "
        f"positive units are missed, {int((~yes & called).sum()):,} of {int((~yes).sum()):,} negative ones are called."
    )
    note = "Shares of units, unweighted, with exact binomial intervals (Clopper and Pearson) as for independent units."
    return Table(
        f"{name}-confusion", caption, ("truth", "called", "not called", "units", "share called right"), rows, (note,)
    )
