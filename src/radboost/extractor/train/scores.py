"""Scores of an epoch: of the whole of it, unit by unit, never the mean over batches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radboost.data.task import Task
from radboost.extractor.train.examples import Examples
from radboost.extractor.train.objective import to_probabilities
from radboost.metrics import (
    Metric,
    PartsLogLoss,
    accuracy,
    auc,
    balanced_accuracy,
    confusion,
    joint_log_loss,
    log_loss,
    macro_f1,
    pf1,
    precision,
    recall,
)

__all__ = ["Judged", "better", "judge"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_METRICS: Mapping[str, Metric] = {
    "loss": log_loss,
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "precision": precision,
    "recall": recall,
    "f1": macro_f1,
}


@dataclass(frozen=True)
class Judged:
    """What an epoch amounts to.

    Attributes
    ----------
    scores
        Means over targets of log loss, AUC (one class against the rest), accuracy, balanced accuracy, precision, recall
        and F1 (called at .5, or the most probable class), and pF1 of binary targets; and ``metric``, the task's own.
        What the rows do not define is left out.
    confusion
        By target: weights of units by true class and called class.
    """

    scores: dict[str, float]
    confusion: dict[str, FloatArray]


@dataclass(frozen=True)
class _Units:
    """Units of one target that have a label: class (n,), probabilities (n, classes), weight (n,), rows of the unit."""

    y: IntArray
    p: FloatArray
    weight: FloatArray
    row: IntArray

    @property
    def shown(self) -> FloatArray:
        return self.p[:, 1] if self.p.shape[1] == 2 else self.p


def judge(examples: Examples, number: IntArray, margins: FloatArray) -> Judged:
    """Score units: probabilities are means over their examples, weights the task's.

    Parameters
    ----------
    examples
        With labels and weights of their units.
    number
        Of the examples that were seen (n,), each once.
    margins
        Of each, all targets side by side (n, margins).
    """
    task = examples.task
    units, place = np.unique(examples.owner[number], return_inverse=True)
    count = np.bincount(place, minlength=len(units))
    rows = []
    for t, each in enumerate(to_probabilities(task, margins)):
        p = np.stack([np.bincount(place, column, len(units)) for column in each.T], axis=1) / count[:, None]
        known = examples.label[units, t] >= 0
        own = units[known]
        rows.append(_Units(examples.label[own, t], p[known], examples.weight[own, t], own))
    there = [each for each in rows if each.weight.any()]
    values = {name: [metric(r.y, r.shown, r.weight) for r in there] for name, metric in _METRICS.items()}
    values["auc"] = [_area(each) for each in there]
    values["pf1"] = [pf1(each.y, each.shown, each.weight) for each in there if each.p.shape[1] == 2]
    scores = {name: float(np.mean(known)) for name, own in values.items() if (known := _defined(own))}
    own = _metric(examples, rows, scores)
    if not math.isnan(own):
        scores["metric"] = own
    tables = {t.name: confusion(r.y, r.shown, r.weight) for t, r in zip(task.targets, rows, strict=True)}
    return Judged(scores, tables)


def better(task: Task, monitor: str, scores: Mapping[str, float], before: Mapping[str, float]) -> bool:
    """Whether scores are better than those before by loss, AUC or the task's metric; anything is better than none."""
    if monitor not in scores:
        return False
    higher = monitor == "auc" or (monitor == "metric" and task.metric in ("auc", "pf1"))
    if monitor not in before:
        return True
    return scores[monitor] > before[monitor] if higher else scores[monitor] < before[monitor]


def _area(rows: _Units) -> float:
    """AUC of class 1 of two, else the mean over classes of one against the rest."""
    if rows.p.shape[1] == 2:
        return auc(rows.y, rows.p[:, 1], rows.weight)
    each = _defined([auc((rows.y == k).astype(np.int64), rows.p[:, k], rows.weight) for k in range(rows.p.shape[1])])
    return float(np.mean(each)) if each else math.nan


def _metric(examples: Examples, rows: list[_Units], scores: Mapping[str, float]) -> float:
    task = examples.task
    if task.metric == "joint_log_loss":
        return joint_log_loss([r.y for r in rows], [r.shown for r in rows], [r.weight for r in rows])
    if task.metric == "parts_log_loss" and task.parts is not None and examples.part is not None:
        (own, *_) = rows
        part = examples.part[own.row]
        if task.parts.any_part and not (part == task.parts.any_part).any():
            return math.nan
        return PartsLogLoss(part, examples.group[own.row], task.parts.any_part)(own.y, own.p, own.weight)
    return scores.get("loss" if task.metric == "log_loss" else task.metric, math.nan)


def _defined(values: list[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]
