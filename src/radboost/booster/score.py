"""How good each member is out of fold, beside the prior: the run's final table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from radboost.booster.rows import FloatArray
from radboost.data.predictions import Block, Predictions
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

__all__ = [
    "PRIOR",
    "Measured",
    "Score",
    "joint_scores",
    "macro_auc",
    "parts_scores",
    "prior_predictions",
    "score_predictions",
]

PRIOR = "prior"
"""Name of the row that predicts each fold by the class frequencies of the other folds."""

MACRO_REPLICATES = 200

Measured = tuple[float, float, float]
"""Value, and low and high of its 95 % interval drawn by patient; NaN where it is not defined."""

UNDEFINED: Measured = (math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Score:
    """One row of the table.

    Attributes
    ----------
    target, member, kind
        What was scored; the prior's member is `PRIOR`, and the target of all together `radboost.metrics.JOINT`, of the
        parts' mean `radboost.metrics.PARTS`.
    units, groups
        Labelled units (of all together: labels) and patients behind it.
    loss, auc, pf1
        Log loss (nats), area under the ROC curve (mean of one against the rest for several classes) and probabilistic
        F1 (NaN for several classes), under the task weights.
    gain
        Log loss of the prior minus that of the member: above 0 is better than the prior. Paired by patient.
    weighted_loss
        Log loss under task weight x target weight; NaN where no target weights were given.
    """

    target: str
    member: str
    kind: str
    units: int
    groups: int
    loss: Measured
    auc: Measured
    pf1: Measured
    gain: Measured
    weighted_loss: Measured

    def to_dict(self) -> dict[str, Any]:
        """Give JSON-able content, NaN as None."""
        return {name: _plain(value) for name, value in self.__dict__.items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Score:
        """Rebuild a row from `to_dict`."""
        return cls(**{name: _restored(value) for name, value in content.items()})


def score_predictions(predictions: Predictions, how: Bootstrap | None = None) -> list[Score]:
    """Score every member of every target, the prior first.

    Unlabelled units, and rows that a member did not predict, are left out.
    """
    weighted = predictions.weighted_for_target
    return [score for block in predictions.blocks() for score in _block_scores(block, weighted, how)]


def joint_scores(predictions: Predictions, how: Bootstrap | None = None) -> list[Score]:
    """Score every member on the rows of all targets together, each under its task weight, the prior first.

    The target's name is `radboost.metrics.JOINT`. Only the log loss is defined there, as
    `radboost.metrics.joint_log_loss` has it. A member that lacks a target is scored on those that it has.
    """
    weighted = predictions.weighted_for_target
    blocks = [block.take(block.label >= 0) for block in predictions.blocks()]
    members = list(dict.fromkeys(member for block in blocks for member in block.members))
    return [_joint(blocks, member, weighted, how) for member in ((PRIOR, "regular"), *members)]


def parts_scores(predictions: Predictions, any_part: str, how: Bootstrap | None = None) -> list[Score]:
    """Score every member by the mean over parts (`radboost.metrics.PartsLogLoss`), the prior first.

    The target's name is `radboost.metrics.PARTS`. It is defined under the task weights only.
    """
    (block,) = predictions.blocks()
    # The metric knows its rows: those without weight go before it is made.
    block = block.take((block.label >= 0) & (block.task_weight > 0))
    part = np.full(len(block), "") if block.part is None else block.part
    prior = prior_predictions(block, block.task_weight)
    how = how or Bootstrap()
    # Called anew for every replicate: fewer keep the table quick.
    how = replace(how, replicates=min(how.replicates, MACRO_REPLICATES))
    scores = []
    for name, p in (((PRIOR, "regular"), prior), *((m, block.p[:, i]) for i, m in enumerate(block.members))):
        there = ~np.isnan(p[:, 0])
        rows = Scored(block.label[there], p[there], block.task_weight[there], block.group[there])
        metric = PartsLogLoss(part[there], rows.group, any_part)
        gain = UNDEFINED
        if name[0] != PRIOR:
            found = clustered_difference(metric, rows, prior[there], how)
            gain = (-found.value, -found.high, -found.low)
        scores.append(
            Score(
                target=PARTS,
                member=name[0],
                kind=name[1],
                units=len(rows.y),
                groups=len(np.unique(rows.group)),
                loss=_measure(metric, rows, how),
                auc=UNDEFINED,
                pf1=UNDEFINED,
                gain=gain,
                weighted_loss=UNDEFINED,
            )
        )
    return scores


def _joint(blocks: Sequence[Block], name: tuple[str, str], weighted: bool, how: Bootstrap | None) -> Score:
    own, priors, aimed = [], [], []
    for block in blocks:
        prior = prior_predictions(block, block.task_weight)
        if name[0] == PRIOR:
            p = prior
        elif name in block.members:
            p = block.p[:, block.members.index(name)]
        else:
            continue
        # Rows of no weight go at once, so that both sides of the paired difference keep the same ones.
        rows = np.flatnonzero(~np.isnan(p[:, 0]) & (block.task_weight > 0))
        cut = block.take(rows)
        both = cut.task_weight * cut.target_weight
        own.append(Scored(cut.label, _shown(p[rows]), cut.task_weight, cut.group))
        priors.append(Scored(cut.label, _shown(prior[rows]), cut.task_weight, cut.group))
        aimed.append(Scored(cut.label, _shown(p[rows]), both, cut.group))
    scored = joint_rows(own)
    gain = UNDEFINED
    if name[0] != PRIOR:
        found = clustered_difference(log_loss, scored, joint_rows(priors).p, how)
        gain = (-found.value, -found.high, -found.low)
    return Score(
        target=JOINT,
        member=name[0],
        kind=name[1],
        units=len(scored.y),
        groups=len(np.unique(scored.group)),
        loss=_measure(log_loss, scored, how),
        auc=UNDEFINED,
        pf1=UNDEFINED,
        gain=gain,
        weighted_loss=_measure(log_loss, joint_rows(aimed), how) if weighted else UNDEFINED,
    )


def prior_predictions(block: Block, weight: FloatArray) -> FloatArray:
    """Predict each fold by the weighted class frequencies of the other folds, (n, classes)."""
    out = np.full((len(block), len(block.classes)), np.nan)
    known = block.label >= 0
    for fold in np.unique(block.fold):
        others = known & (block.fold != fold)
        totals = np.bincount(block.label[others], weight[others], len(block.classes))
        share = totals / totals.sum() if totals.sum() > 0 else np.full(len(totals), 1 / len(totals))
        out[block.fold == fold] = share
    return out


def macro_auc(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Mean over classes of the AUC of one class against the rest; classes that do not occur are left out."""
    truth, given = np.asarray(y), np.asarray(p, dtype=np.float64)
    values = [auc((truth == k).astype(np.int64), given[:, k], weight) for k in range(given.shape[1])]
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan


def _block_scores(block: Block, weighted: bool, how: Bootstrap | None) -> list[Score]:
    block = block.take(block.label >= 0)
    both = block.task_weight * block.target_weight
    prior = prior_predictions(block, block.task_weight)
    columns = [((PRIOR, "regular"), prior)]
    columns += [(member, block.p[:, i]) for i, member in enumerate(block.members)]
    return [_score(block, name, p, (prior, both if weighted else None), how) for name, p in columns]


def _score(
    block: Block,
    name: tuple[str, str],
    p: FloatArray,
    against: tuple[FloatArray, FloatArray | None],
    how: Bootstrap | None,
) -> Score:
    prior, both = against
    rows = ~np.isnan(p[:, 0])
    block, p, prior = block.take(rows), p[rows], prior[rows]
    binary = len(block.classes) == 2
    scored = Scored(block.label, _shown(p), block.task_weight, block.group)
    gain = UNDEFINED
    if name[0] != PRIOR:
        keep = block.task_weight > 0
        found = clustered_difference(log_loss, scored, _shown(prior)[keep], how)
        gain = (-found.value, -found.high, -found.low)
    weighted_loss = UNDEFINED
    if both is not None:
        weighted_loss = _measure(log_loss, Scored(block.label, _shown(p), both[rows], block.group), how)
    return Score(
        target=block.target,
        member=name[0],
        kind=name[1],
        units=len(scored.y),
        groups=len(np.unique(scored.group)),
        loss=_measure(log_loss, scored, how),
        auc=_rank_score(block, scored, how),
        pf1=_measure(pf1, scored, how) if binary else UNDEFINED,
        gain=gain,
        weighted_loss=weighted_loss,
    )


def _rank_score(block: Block, scored: Scored, how: Bootstrap | None) -> Measured:
    if len(block.classes) == 2:
        return _measure(auc, scored, how)
    # Sorted anew for every class and replicate: fewer replicates keep the table quick.
    how = how or Bootstrap()
    return _measure(macro_auc, scored, replace(how, replicates=min(how.replicates, MACRO_REPLICATES)))


def _shown(p: FloatArray) -> FloatArray:
    return p[:, 1] if p.shape[1] == 2 else p


def _measure(metric: Metric, rows: Scored, how: Bootstrap | None) -> Measured:
    return (metric(rows.y, rows.p, rows.weight), *clustered_interval(metric, rows, how))


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _restored(value: object) -> Any:
    return tuple(math.nan if v is None else float(v) for v in value) if isinstance(value, list) else value
