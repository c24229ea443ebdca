"""How good a blend is on labelled units it never saw."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.booster.design import Design
from radboost.data.predictions import COLUMNS, PART, Predictions, class_rows
from radboost.errors import MismatchError
from radboost.metrics import (
    JOINT,
    PARTS,
    Bootstrap,
    Metric,
    PartsLogLoss,
    Scored,
    auc,
    clustered_difference,
    clustered_interval,
    joint_rows,
    log_loss,
    pf1,
)
from radboost.pipeline.blending import Blend

__all__ = ["ExternalScore", "external_predictions", "external_scores"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ExternalScore:
    """How good the blend is on labelled units it never saw, with 95 % intervals clustered by patient.

    Attributes
    ----------
    target, name
        Target (`radboost.metrics.JOINT` for all together), and what was scored: ``blend`` or ``prior``, the training
        rate for everybody.
    units, positives
        Labelled units, and those of the last class.
    values
        By metric: value, low, high; NaN where it is not defined. ``gain``, of the blend: log loss of the prior minus
        that of the blend, paired by patient.
    """

    target: str
    name: str
    units: int
    positives: int
    values: dict[str, tuple[float, float, float]]


def external_predictions(design: Design, p: dict[str, FloatArray]) -> Predictions:
    """Put blended probabilities (units, classes), by target, into the long form; unlabelled units have y NaN."""
    tables = []
    for column, target in enumerate(design.task.targets):
        others = {
            "unit": design.unit,
            "task_weight": design.task_weight[:, column],
            "target_weight": 1.0,
            "group": design.group,
            "fold_hash": design.fold_hash,
            "member": "blend",
            "kind": "external",
            "fold": -1,
            PART: design.part,
        }
        tables.append(class_rows(target, design.label[:, column], p[target.name], others))
    return Predictions(pd.concat(tables, ignore_index=True).astype(COLUMNS))


def external_scores(blend: Blend, design: Design, p: dict[str, FloatArray]) -> list[ExternalScore]:
    """Score the labelled units of each target, and of several together, beside the training rate for everybody."""
    found: list[ExternalScore] = []
    parts: dict[str, list[Scored]] = {"blend": [], "prior": []}
    for column, target in enumerate(design.task.targets):
        label = design.label[:, column]
        known = label >= 0
        prior = np.broadcast_to(_prior(blend, target.name, len(target.classes)), p[target.name].shape)
        for name, values in (("blend", p[target.name]), ("prior", prior)):
            metrics: dict[str, Metric] = (
                {"loss": log_loss, "auc": auc, "pf1": pf1} if target.binary else {"loss": log_loss}
            )
            shown = values[known, 1] if target.binary else values[known]
            rows = Scored(label[known], shown, design.task_weight[known, column], design.group[known])
            measured = {m: (f(rows.y, rows.p, rows.weight), *_interval(f, rows)) for m, f in metrics.items()}
            positives = int((label == len(target.classes) - 1).sum())
            found.append(ExternalScore(target.name, name, int(known.sum()), positives, measured))
            parts[name].append(rows)
    own = [score for score in found if score.name == "blend"]
    for score, blended, everybody in zip(own, parts["blend"], parts["prior"], strict=True):
        score.values["gain"] = _gain(log_loss, blended, everybody)
    if design.task.parts is not None and own[0].units:
        found += _mean_of_parts(design, parts["blend"][0], parts["prior"][0], own[0])
    return found + (_joint(parts, own) if len(design.task.targets) > 1 else [])


def _gain(metric: Metric, blend: Scored, prior: Scored, how: Bootstrap | None = None) -> tuple[float, float, float]:
    """By how much the prior's loss exceeds the blend's, paired by patient."""
    if not len(blend.y):
        return (math.nan,) * 3
    found = clustered_difference(metric, blend, prior.p, how)
    return -found.value, -found.high, -found.low


def _mean_of_parts(design: Design, blend: Scored, prior: Scored, of: ExternalScore) -> list[ExternalScore]:
    """Score the one target of a task with parts by its own metric, of which each replicate is a whole evaluation."""
    metric = _parts_metric(design, (design.label[:, 0] >= 0) & (design.task_weight[:, 0] > 0))
    how, scores = Bootstrap(200), []
    for name, rows in (("blend", blend), ("prior", prior)):
        value = (metric(rows.y, rows.p, rows.weight), *clustered_interval(metric, rows, how))
        scores.append(ExternalScore(PARTS, name, of.units, of.positives, {"loss": value}))
    scores[0].values["gain"] = _gain(metric, blend, prior, how)
    return scores


def _parts_metric(design: Design, rows: npt.NDArray[np.bool_]) -> Metric:
    named = design.task.parts
    column, any_part = (named.column, named.any_part) if named else ("", "")
    return PartsLogLoss(design.metadata[column].to_numpy(str)[rows], design.group[rows], any_part)


def _joint(parts: dict[str, list[Scored]], own: list[ExternalScore]) -> list[ExternalScore]:
    """Score the rows of all targets together; `own` are the blend's scores of each."""
    units, positives = (sum(getattr(score, what) for score in own) for what in ("units", "positives"))
    scores = []
    for name, each in parts.items():
        rows = joint_rows(each)
        measured = {"loss": (log_loss(rows.y, rows.p, rows.weight), *_interval(log_loss, rows))}
        if name == "blend":
            measured["gain"] = _gain(log_loss, rows, joint_rows(parts["prior"]))
        scores.append(ExternalScore(JOINT, name, units, positives, measured))
    return scores


def _interval(metric: Metric, rows: Scored) -> tuple[float, float]:
    return clustered_interval(metric, rows, Bootstrap()) if len(rows.y) else (math.nan, math.nan)


def _prior(blend: Blend, target: str, classes: int) -> FloatArray:
    """Weighted class frequencies of the units the blend was fitted on."""
    for block in blend.predictions.blocks():
        if block.target == target:
            known = block.label >= 0
            totals = np.bincount(block.label[known], block.task_weight[known], classes)
            return np.asarray(totals / totals.sum(), dtype=np.float64)
    raise MismatchError("the blend does not know the target", got=target)
