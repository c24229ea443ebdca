"""Blend out-of-fold predictions: certified weights, and the score that a stranger would measure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.predictions import COLUMNS, Block, Predictions, member_name
from radboost.ensemble.crossfit import (
    Outcome,
    Panel,
    best_member,
    crossfit,
    hedge,
    in_sample,
    least_loss,
    mix,
    pool,
    prior,
    uniform,
)
from radboost.ensemble.policy import Choice, Policy, choose
from radboost.ensemble.robust import least_regret
from radboost.ensemble.score import Regret, Score, blend_lead, jsonable, regret, score
from radboost.ensemble.solver import solve
from radboost.errors import MismatchError, TableError, offenders
from radboost.metrics import Bootstrap, log_loss

__all__ = ["BlendResult", "TargetBlend", "apply_blend", "fit_blend"]

FloatArray: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TargetBlend:
    """The blend of one target.

    Attributes
    ----------
    target, classes
        Name, and class numbers in the order of the predictions' last axis.
    weights
        Weight by member name (:func:`radboost.data.predictions.member_name`), not negative, summing to one.
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


def fit_blend(predictions: Predictions, policy: Policy, how: Bootstrap | None = None) -> BlendResult:
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

    Returns
    -------
    Weights fitted on all rows, with scores from weights fitted on the other folds.

    Raises
    ------
    MismatchError
        Predictions from different folds, or no member that the policy may blend.
    TableError
        No usable row, fewer than two labelled groups, or members that lack units.
    LeakError
        A group in two folds.
    SolverError
        An optimum that could not be certified.
    """
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
        target, p = _fit_target(block, choice, how or Bootstrap())
        fitted.append(target)
        kind = "weighted" if choice.weigh_target or choice.hedged else "regular"
        tables += [rows.assign(member=f"blend/{policy.value}", kind=kind) for rows in _rows(block, p)]
        if choice.note and choice.note not in notes:
            notes.append(choice.note)
    long = pd.concat(tables, ignore_index=True).assign(fold_hash=hashes[0])
    return BlendResult(policy, tuple(fitted), Predictions(long[list(COLUMNS)].astype(COLUMNS)), tuple(notes))


def apply_blend(weights: Mapping[str, float], probabilities: Mapping[str, npt.ArrayLike]) -> FloatArray:
    """Blend new predictions.

    Parameters
    ----------
    weights
        Weight by member name, summing to one (:attr:`TargetBlend.weights`).
    probabilities
        Probabilities by member name, all of one shape, (n,) or (n, classes). Members of weight 0 may be absent, and
        members without a weight are left aside.

    Returns
    -------
    Probabilities of the members' shape.

    Raises
    ------
    MismatchError
        A member that carries weight is absent, or shapes differ.
    TableError
        A value is missing or outside [0, 1].

    >>> apply_blend({"a": 0.25, "b": 0.75, "c": 0.0}, {"a": [1.0, 0.0], "b": [0.0, 0.0]})
    array([0.25, 0.  ])
    """
    needed = [name for name, weight in weights.items() if weight > 0]
    absent = [name for name in needed if name not in probabilities]
    if absent or not needed:
        raise MismatchError("the blend needs members that did not predict", got=offenders(absent) or "no weights")
    parts = [np.asarray(probabilities[name], dtype=np.float64) for name in needed]
    shapes = sorted({part.shape for part in parts})
    if len(shapes) > 1:
        raise MismatchError("the members' predictions differ in shape", got=offenders(shapes))
    bad = [name for name, part in zip(needed, parts, strict=True) if not ((part >= 0) & (part <= 1)).all()]
    if bad:
        raise TableError("probabilities must lie in [0, 1], and none may be missing", got=offenders(bad))
    blended = np.zeros(shapes[0])
    for name, part in zip(needed, parts, strict=True):
        blended += weights[name] * part
    return np.clip(blended, 0, 1)


def _fit_target(block: Block, choice: Choice, how: Bootstrap) -> tuple[TargetBlend, FloatArray]:
    columns = np.array(choice.columns)
    both = block.task_weight * block.target_weight
    names = [member_name(*block.members[i]) for i in choice.columns]
    block = replace(block, p=block.p[:, columns], members=tuple(block.members[i] for i in choice.columns))
    panel = Panel.of(block, both if choice.weigh_target else block.task_weight, both if choice.hedged else None)
    notes = []
    if panel.one_fold:
        panel = panel.dealt()
        notes.append("All predictions are of one fold, so the blend was cross-fitted over groups dealt anew.")
    weights, gap, iterations = _weights(panel)
    blend = crossfit(panel, pool(panel) if panel.target is None else hedge(panel, panel.target))
    fitted = in_sample(panel, lambda rows: mix(panel, weights))
    if np.unique(panel.label[panel.judged]).size < 2:
        notes.append("Only one class is labelled: no score tells a good member from a bad one.")
    target = TargetBlend(
        target=block.target,
        classes=block.classes,
        weights=dict(zip(names, weights.tolist(), strict=True)),
        loss=log_loss(panel.label[panel.judged], fitted.p[panel.judged], panel.weight[panel.judged]),
        gap=gap,
        iterations=iterations,
        threshold=None if fitted.threshold is None or np.isnan(fitted.threshold) else fitted.threshold,
        scores=tuple(_scores(panel, blend, fitted, names, how)),
        units=int(panel.judged.sum()),
        groups=int(np.unique(panel.group[panel.judged]).size),
        notes=tuple(notes),
        regret=None if panel.target is None else regret(panel, panel.target, blend),
    )
    return target, blend.p


def _weights(panel: Panel) -> tuple[FloatArray, float, int]:
    """Weights fitted on all judged rows, their certified gap, and the solver's steps; 0 for a hedge, of many solves."""
    rows = panel.judged
    if panel.target is not None:
        found = least_regret(panel.q[rows], panel.weight[rows], panel.target[rows])
        return found.weights, found.gap, 0
    solution = solve(panel.q[rows], panel.weight[rows])
    return solution.weights, solution.gap, solution.iterations


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
