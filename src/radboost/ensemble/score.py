"""Scores as a report prints them: each with a 95 % interval, drawn by group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.ensemble.crossfit import Outcome
from radboost.ensemble.panel import Panel
from radboost.metrics import (
    Bootstrap,
    Difference,
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

__all__ = ["Estimate", "Regret", "Score", "blend_lead", "joint_scores", "jsonable", "parts_scores", "regret", "score"]

FloatArray: TypeAlias = npt.NDArray[np.float64]
PART_REPLICATES = 200


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; ``nan`` where it is not defined."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Score:
    """One row of the table of scores.

    Attributes
    ----------
    name
        What was scored.
    loss
        Log loss, in nats, under the policy's weights.
    auc, pf1
        Area under the ROC curve and probabilistic F1; not defined for several classes.
    f1
        F1 at a threshold, which is chosen on other rows than it calls unless the name says in-sample; not defined for
        several classes.
    detail
        More on what was scored, such as which member is the best one.
    lead
        Log loss of the cross-fitted blend minus this row's, paired by row; None on the blend's own rows.
    """

    name: str
    loss: Estimate
    auc: Estimate = Estimate()
    pf1: Estimate = Estimate()
    f1: Estimate = Estimate()
    detail: str = ""
    lead: Difference | None = None


@dataclass(frozen=True)
class Regret:
    """Cross-fitted log losses of three blends of the same members, each fitted for another aim.

    Attributes
    ----------
    plain, target
        Loss of the blend fitted to the plain loss, of the one fitted to the target's, and of the one that stands
        between, under the plain weights and under the target's.
    worst
        Worst regret of each: how much it exceeds the best of the three, under the loss where that is most.
    """

    plain: tuple[float, float, float]
    target: tuple[float, float, float]
    worst: tuple[float, float, float]


def regret(panel: Panel, target: FloatArray, outcomes: Sequence[Outcome]) -> Regret:
    """Compare a blend that stands between two losses with the two that are fitted to one each.

    Parameters
    ----------
    panel
        Its weights are the plain ones.
    target
        The target's, (n,).
    outcomes
        Cross-fitted predictions of three blends: fitted to the plain loss, to the target's, and in between.
    """
    rows = panel.judged
    plain, other = (
        tuple(log_loss(panel.label[rows], outcome.p[rows], weight[rows]) for outcome in outcomes)
        for weight in (panel.weight, target)
    )
    worst = tuple(max(a - min(plain), b - min(other)) for a, b in zip(plain, other, strict=True))
    return Regret(_three(plain), _three(other), _three(worst))


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    first, second, third = values
    return first, second, third


def score(name: str, panel: Panel, outcome: Outcome, how: Bootstrap) -> Score:
    """Score predictions on the judged rows of a panel.

    Parameters
    ----------
    name
        Name of the row.
    panel
        Labels, weights and groups.
    outcome
        Predictions and decisions for every row of the panel.
    how
        The bootstrap; one for all rows of a table, so that they are judged on the same draws.

    Returns
    -------
    The row, without `detail` and `lead`.
    """
    if outcome.called is None:
        return Score(name, _estimate(log_loss, panel, outcome.p, how))
    positive = outcome.p[:, 1]
    known = not np.isnan(outcome.called[panel.judged]).any()
    return Score(
        name,
        loss=_estimate(log_loss, panel, positive, how),
        auc=_estimate(auc, panel, positive, how),
        pf1=_estimate(pf1, panel, positive, how),
        f1=_estimate(pf1, panel, outcome.called, how) if known else Estimate(),
    )


def blend_lead(panel: Panel, blend: Outcome, other: Outcome, how: Bootstrap) -> Difference:
    """Paired difference in log loss, blend minus other, on the judged rows."""
    return clustered_difference(log_loss, _scored(panel, blend.p), other.p[panel.judged], how)


def joint_scores(panels: Sequence[Panel], outcomes: Mapping[str, Sequence[Outcome]], how: Bootstrap) -> list[Score]:
    """Score what was predicted for several targets on the rows of all of them together.

    Parameters
    ----------
    panels
        One a target.
    outcomes
        By name of the row: predictions for each panel. The first are the blend's own.
    how
        The bootstrap.

    Returns
    -------
    Rows with a log loss alone (`radboost.metrics.joint_log_loss` under the policy's weights), and what the blend leads
    by.
    """
    rows = []
    blend: Scored | None = None
    for name, found in outcomes.items():
        scored = joint_rows([_scored(panel, outcome.p) for panel, outcome in zip(panels, found, strict=True)])
        interval = clustered_interval(log_loss, scored, how)
        lead = None if blend is None else clustered_difference(log_loss, blend, scored.p, how)
        blend = blend or scored
        rows.append(Score(name, Estimate(log_loss(scored.y, scored.p, scored.weight), *interval), lead=lead))
    return rows


def parts_scores(
    panel: Panel, part: npt.NDArray[np.generic], any_part: str, outcomes: Mapping[str, Outcome], how: Bootstrap
) -> list[Score]:
    """Score what was predicted for one target by the mean over parts, `radboost.metrics.PartsLogLoss`.

    Parameters
    ----------
    panel
        Labels, weights and groups.
    part, any_part
        Part of each row, and the one that is asked for its worst class too.
    outcomes
        By name of the row: predictions for every row of the panel. The first are the blend's own.
    how
        The bootstrap.

    Returns
    -------
    Rows with a log loss alone, under the policy's weights, the losses of the parts as `detail`, and what the blend
    leads by.
    """
    kept = panel.judged & (panel.weight > 0)
    metric = PartsLogLoss(part[kept], panel.group[kept], any_part)
    # Called anew for every replicate: fewer keep the table quick.
    how = replace(how, replicates=min(how.replicates, PART_REPLICATES))
    rows = []
    blend: Scored | None = None
    for name, outcome in outcomes.items():
        scored = Scored(panel.label[kept], outcome.p[kept], panel.weight[kept], panel.group[kept])
        values = metric.by_part(scored.y, scored.p, scored.weight)
        detail = ", ".join(f"{each} {value:.3f}" for each, value in values.items())
        estimate = Estimate(metric(scored.y, scored.p, scored.weight), *clustered_interval(metric, scored, how))
        lead = None if blend is None else clustered_difference(metric, blend, scored.p, how)
        blend = blend or scored
        rows.append(Score(name, estimate, detail=detail, lead=lead))
    return rows


def jsonable(value: object) -> object:
    """Turn nested results into what JSON knows: ``nan`` becomes None, arrays and tuples become lists.

    >>> jsonable({"a": (1.0, float("nan")), "b": np.float64(2)})
    {'a': [1.0, None], 'b': 2.0}
    """
    if isinstance(value, Score | Difference | Estimate | Regret):
        return jsonable(asdict(value))
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _scored(panel: Panel, p: FloatArray) -> Scored:
    rows = panel.judged
    return Scored(panel.label[rows], p[rows], panel.weight[rows], panel.group[rows])


def _estimate(metric: Metric, panel: Panel, p: FloatArray, how: Bootstrap) -> Estimate:
    rows = _scored(panel, p)
    return Estimate(metric(rows.y, rows.p, rows.weight), *clustered_interval(metric, rows, how))
