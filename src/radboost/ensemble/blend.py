"""Blend out-of-fold predictions: certified weights, and the score that a stranger would measure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.predictions import COLUMNS, Block, Predictions, member_name
from radboost.ensemble.crossfit import (
    Candidate,
    Outcome,
    Panel,
    best_member,
    chosen,
    crossfit,
    hedge,
    in_sample,
    least_loss,
    logit_pool,
    nested,
    pool,
    prior,
    uniform,
)
from radboost.ensemble.logit import log_probabilities, solve_logit
from radboost.ensemble.policy import Choice, Policy, choose
from radboost.ensemble.robust import least_regret
from radboost.ensemble.score import Regret, Score, blend_lead, jsonable, regret, score
from radboost.ensemble.solver import solve
from radboost.errors import MismatchError, TableError, UserError, offenders
from radboost.metrics import Bootstrap, log_loss

__all__ = ["SPACES", "BlendResult", "TargetBlend", "fit_blend"]

FloatArray: TypeAlias = npt.NDArray[np.float64]

SPACES = ("auto", "prob", "logit")
"""Where members are mixed: chosen by cross-fitting, the mean of probabilities, or the sum of logits."""


@dataclass(frozen=True)
class TargetBlend:
    """The blend of one target.

    Attributes
    ----------
    target, classes
        Name, and class numbers in the order of the predictions' last axis.
    weights
        Weight by member name (:func:`radboost.data.predictions.member_name`), not negative, summing to one in
        probability space.
    space
        ``prob``: the weighted mean of probabilities; ``logit``: `radboost.ensemble.logit`.
    intercepts
        In logit space one a class, else empty.
    loss, gap, iterations
        In-sample log loss of `weights` in nats, the certified bound on how far it is from the least possible, and the
        solver's steps.
    threshold
        For two classes: probability from which on a unit is called positive, chosen on all out-of-fold rows; None when
        there is no positive.
    scores
        The cross-fitted blend first, which is the headline; then the blend in-sample, the uniform mean, the best
        member (chosen on the other folds), and the prior.
    units, groups
        Rows and groups that the scores rest on.
    notes
        What the reader should know.
    regret
        For a blend that stands between two losses, how it, the plain and the target optimum of the same members do
        under both, cross-fitted; else None.
    """

    target: str
    classes: tuple[int, ...]
    weights: dict[str, float]
    space: str
    intercepts: tuple[float, ...]
    loss: float
    gap: float
    iterations: int
    threshold: float | None
    scores: tuple[Score, ...]
    units: int
    groups: int
    notes: tuple[str, ...]
    regret: Regret | None = None

    def to_dict(self) -> dict[str, object]:
        """Everything as JSON knows it; what is not defined is None."""
        return {name: jsonable(value) for name, value in vars(self).items()}


@dataclass(frozen=True)
class BlendResult:
    """A blend of all targets.

    Attributes
    ----------
    policy
        The policy it was made under.
    targets
        One blend a target, in the predictions' order.
    predictions
        The cross-fitted blend of every unit, as member ``blend/<policy>``; kind weighted if fitted under target
        weights, else regular.
    notes
        What the reader should know, of the blend as a whole.
    """

    policy: Policy
    targets: tuple[TargetBlend, ...]
    predictions: Predictions
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Everything but the predictions, as JSON knows it."""
        targets = [target.to_dict() for target in self.targets]
        return {"policy": self.policy.value, "targets": targets, "notes": list(self.notes)}


def fit_blend(
    predictions: Predictions, policy: Policy, how: Bootstrap | None = None, space: str = "auto"
) -> BlendResult:
    """Fit the blend of a policy and score it honestly.

    Parameters
    ----------
    predictions
        Out-of-fold predictions of one run, or of several joined (:meth:`Predictions.join`). External predictions and
        rows in no fold are left aside.
    policy
        Which members, and which weights.
    how
        How the intervals are drawn; the defaults of :class:`Bootstrap` when absent.
    space
        One of `SPACES`. ``auto`` chooses for each target by cross-fitting, within the folds that each part of the
        score was fitted on. A blend that stands between two losses is made in probability space.

    Returns
    -------
    Weights fitted on all rows, with scores from weights fitted on the other folds.

    Raises
    ------
    UserError
        The space is unknown, or not one for the policy.
    MismatchError
        Predictions from different folds, or no member that the policy may blend.
    TableError
        No usable row, fewer than two labelled groups, or members that lack units.
    LeakError
        A group in two folds.
    SolverError
        An optimum that could not be certified.
    """
    if space not in SPACES or (policy is Policy.ROBUST and space == "logit"):
        do = f"Give {', '.join(SPACES)}; robust blends in probability space"
        raise UserError("no such space for this policy", where="--space", got=space, do=do)
    table = predictions.table
    used = table[(table["kind"] != "external") & (table["fold"] >= 0)]
    if used.empty:
        raise TableError("no out-of-fold predictions to blend", got=f"{len(table)} rows", do="Blend runs of fit-boost")
    hashes = used["fold_hash"].unique()
    if len(hashes) > 1:
        do = "Blend runs of one cohort with one fold assignment only"
        raise MismatchError("the predictions are from different folds", got=offenders([h[:12] for h in hashes]), do=do)
    weighted = bool((used["target_weight"] != 1).any())
    fitted, tables, notes = [], [], []
    for block in Predictions(used).blocks():
        choice = choose(policy, block.members, weighted)
        target, p = _fit_target(block, choice, how or Bootstrap(), space)
        fitted.append(target)
        kind = "weighted" if choice.weigh_target or choice.hedged else "regular"
        tables += [rows.assign(member=f"blend/{policy.value}", kind=kind) for rows in _rows(block, p)]
        if choice.note and choice.note not in notes:
            notes.append(choice.note)
    long = pd.concat(tables, ignore_index=True).assign(fold_hash=hashes[0])
    return BlendResult(policy, tuple(fitted), Predictions(long[list(COLUMNS)].astype(COLUMNS)), tuple(notes))


def _fit_target(block: Block, choice: Choice, how: Bootstrap, space: str) -> tuple[TargetBlend, FloatArray]:
    columns = np.array(choice.columns)
    both = block.task_weight * block.target_weight
    names = [member_name(*block.members[i]) for i in choice.columns]
    block = replace(block, p=block.p[:, columns], members=tuple(block.members[i] for i in choice.columns))
    panel = Panel.of(block, both if choice.weigh_target else block.task_weight, both if choice.hedged else None)
    notes = []
    if panel.one_fold:
        panel = panel.dealt()
        notes.append("All predictions are of one fold, so the blend was cross-fitted over groups dealt anew.")
    candidates = _candidates(panel, space)
    blend = crossfit(panel, nested(panel, candidates))
    name = chosen(panel, candidates, panel.judged)
    fitted = in_sample(panel, candidates[name])
    found = _optimum(panel, name)
    if np.unique(panel.label[panel.judged]).size < 2:
        notes.append("Only one class is labelled: no score tells a good member from a bad one.")
    target = TargetBlend(
        target=block.target,
        classes=block.classes,
        weights=dict(zip(names, found.weights.tolist(), strict=True)),
        space="logit" if name == "logit" else "prob",
        intercepts=found.intercepts,
        loss=log_loss(panel.label[panel.judged], fitted.p[panel.judged], panel.weight[panel.judged]),
        gap=found.gap,
        iterations=found.iterations,
        threshold=None if fitted.threshold is None or np.isnan(fitted.threshold) else fitted.threshold,
        scores=tuple(_scores(panel, blend, fitted, names, how)),
        units=int(panel.judged.sum()),
        groups=int(np.unique(panel.group[panel.judged]).size),
        notes=tuple(notes),
        regret=None if panel.target is None else regret(panel, panel.target, blend),
    )
    return target, blend.p


@dataclass(frozen=True)
class _Optimum:
    weights: FloatArray
    gap: float
    iterations: int = 0
    intercepts: tuple[float, ...] = ()


def _candidates(panel: Panel, space: str) -> dict[str, Candidate]:
    if panel.target is not None:
        return {"hedge": hedge(panel, panel.target)}
    every: dict[str, Candidate] = {"prob": pool(panel), "logit": logit_pool(panel)}
    return every if space == "auto" else {space: every[space]}


def _optimum(panel: Panel, name: str) -> _Optimum:
    """Fit on all judged rows; a hedge, of many solves, counts no steps."""
    rows = panel.judged
    label, weight = panel.label[rows], panel.weight[rows]
    if panel.target is not None:
        hedged = least_regret(panel.q[rows], weight, panel.target[rows])
        return _Optimum(hedged.weights, hedged.gap)
    if name == "logit":
        pooled = solve_logit(log_probabilities(panel.p[rows]), label, weight)
        return _Optimum(pooled.weights, pooled.gap, pooled.iterations, tuple(pooled.intercepts.tolist()))
    solution = solve(panel.q[rows], weight)
    return _Optimum(solution.weights, solution.gap, solution.iterations)


def _scores(panel: Panel, blend: Outcome, fitted: Outcome, names: list[str], how: Bootstrap) -> Iterator[Score]:
    yield score("blend", panel, blend, how)
    yield score("blend, in-sample", panel, fitted, how)
    best = names[least_loss(panel, panel.judged)]
    rivals = {"uniform mean": uniform(panel), "best member": best_member(panel), "prior": prior(panel)}
    for name, candidate in rivals.items():
        outcome = crossfit(panel, candidate)
        row = score(name, panel, outcome, how)
        yield replace(row, lead=blend_lead(panel, blend, outcome, how), detail=best if name == "best member" else "")


def _rows(block: Block, p: FloatArray) -> Iterator[pd.DataFrame]:
    labelled = block.label >= 0
    # A binary target has one row a unit, for class 1.
    first = 1 if block.classes == (0, 1) else 0
    for position, number in list(enumerate(block.classes))[first:]:
        yield pd.DataFrame(
            {
                "unit": block.unit,
                "target": block.target,
                "class": number,
                "y": np.where(labelled, (block.label == position).astype(np.float64), np.nan),
                "p": p[:, position],
                "task_weight": block.task_weight,
                "target_weight": block.target_weight,
                "group": block.group,
                "fold": block.fold,
            }
        )
