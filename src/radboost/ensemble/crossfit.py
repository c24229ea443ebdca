"""Nothing fitted where it is judged: weights, choices and thresholds come from the other folds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.data.predictions import Block
from radboost.ensemble.logit import log_probabilities, softmax_pool, solve_logit
from radboost.ensemble.robust import least_regret
from radboost.ensemble.solver import solve
from radboost.errors import LeakError, TableError, offenders
from radboost.metrics import best_threshold, log_loss, true_class_probability

__all__ = [
    "Candidate",
    "Outcome",
    "Panel",
    "best_member",
    "chosen",
    "crossfit",
    "hedge",
    "in_sample",
    "least_loss",
    "logit_pool",
    "mix",
    "nested",
    "pool",
    "prior",
    "uniform",
]

FloatArray: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Candidate: TypeAlias = Callable[[Mask], FloatArray]
"""Fitted on the rows of the mask, it predicts all rows: (n, classes)."""

FOLDS = 5
"""Parts that groups are dealt into where the predictions bring one fold only, as a hold-out does."""


@dataclass(frozen=True)
class Panel:
    """What a blend of one target is made from, aligned by unit.

    Attributes
    ----------
    p
        Probabilities (n, members, classes), none missing.
    label
        True class (n,), -1 where unlabelled.
    weight
        Weight of the loss (n,), not negative.
    group, fold
        Group and fold (n,); no group is in two folds.
    q
        Probability that each member gives to the true class (n, members); 1 where `judged` is false.
    target
        Weight of the other loss (n,), not negative, where the blend stands between two.
    """

    p: FloatArray
    label: npt.NDArray[np.int64]
    weight: FloatArray
    group: npt.NDArray[np.generic]
    fold: npt.NDArray[np.int64]
    q: FloatArray
    target: FloatArray | None = None

    @classmethod
    def of(cls, block: Block, weight: FloatArray, target: FloatArray | None = None) -> Panel:
        """Check a block whose members are all to be used, and align it with the policy's row weights.

        Raises
        ------
        LeakError
            A group is in two folds.
        TableError
            A member lacks units, or fewer than two groups are labelled.
        """
        lacking = np.isnan(block.p).any(axis=2).sum(axis=0)
        if lacking.any():
            got = offenders(
                [f"{m} ({k}) lacks {n} of {len(block)}" for (m, k), n in zip(block.members, lacking, strict=True) if n]
            )
            raise TableError(
                f"members lack units of target {block.target}",
                got=got,
                do="Blend runs that predict the same units, or leave the member out",
            )
        names, code = np.unique(block.group, return_inverse=True)
        straddling = np.unique(np.stack([code, block.fold]), axis=1).shape[1] - names.size
        if straddling:
            raise LeakError("groups are in more than one fold", where=block.target, got=straddling)
        judged = (block.label >= 0) & (weight > 0)
        groups = np.unique(block.group[judged]).size
        if groups < 2:
            do = "A blend is fitted on some groups and judged on others"
            raise TableError(f"target {block.target} has too few labelled groups of any weight", got=groups, do=do)
        q = np.ones(block.p.shape[:2])
        for m in range(block.p.shape[1]):
            q[judged, m] = true_class_probability(block.label[judged], block.p[judged, m])
        p = block.p if block.p.shape[2] == 2 else block.p / block.p.sum(axis=2, keepdims=True)
        return cls(p, block.label, weight, block.group, block.fold, q, target)

    @property
    def judged(self) -> Mask:
        """Rows that count: labelled, of positive weight."""
        return (self.label >= 0) & (self.weight > 0)

    @property
    def one_fold(self) -> bool:
        """Whether all judged rows lie in one fold, so that there is no other to fit on."""
        return np.unique(self.fold[self.judged]).size < 2

    def dealt(self) -> Panel:
        """Deal the groups into `FOLDS` new folds, judged groups evenly; ids are hashed, so their order is no order."""
        new = np.zeros(self.fold.size, dtype=np.int64)
        judged = np.isin(self.group, np.unique(self.group[self.judged]))
        for part in (judged, ~judged):
            new[part] = np.unique(self.group[part], return_inverse=True)[1] % FOLDS
        return replace(self, fold=new)


@dataclass(frozen=True)
class Outcome:
    """Predictions of all rows, and decisions by a threshold.

    Attributes
    ----------
    p
        Shape (n, classes).
    called
        Shape (n,), 0 or 1, for two classes; ``nan`` where no threshold could be chosen. None for more.
    threshold
        The threshold, where one serves all rows.
    """

    p: FloatArray
    called: FloatArray | None
    threshold: float | None = None


def crossfit(panel: Panel, candidate: Candidate) -> Outcome:
    """Predict and call each fold with what was fitted on the other folds."""
    p = np.zeros((panel.p.shape[0], panel.p.shape[2]))
    called = np.zeros(p.shape[0])
    for fold in np.unique(panel.fold):
        own, others = panel.fold == fold, panel.judged & (panel.fold != fold)
        everywhere = candidate(others)
        p[own] = everywhere[own]
        if p.shape[1] == 2:
            called[own] = _called(everywhere[own], _threshold(panel, everywhere, others))
    return Outcome(p, called if p.shape[1] == 2 else None)


def in_sample(panel: Panel, candidate: Candidate) -> Outcome:
    """Fit, predict and call the same rows: what a score must not be read from."""
    p = candidate(panel.judged)
    if p.shape[1] != 2:
        return Outcome(p, None)
    threshold = _threshold(panel, p, panel.judged)
    return Outcome(p, _called(p, threshold), threshold)


def pool(panel: Panel) -> Candidate:
    """Give the certified convex blend."""
    return lambda rows: mix(panel, solve(panel.q[rows], panel.weight[rows]).weights)


def logit_pool(panel: Panel) -> Candidate:
    """Give the certified blend in logit space."""
    logs = log_probabilities(panel.p)

    def predict(rows: Mask) -> FloatArray:
        found = solve_logit(logs[rows], panel.label[rows], panel.weight[rows])
        return softmax_pool(logs, found.weights, found.intercepts)

    return predict


def nested(panel: Panel, candidates: Mapping[str, Candidate]) -> Candidate:
    """Give whichever candidate is best by cross-fitting within the rows fitted on."""
    return lambda rows: candidates[chosen(panel, candidates, rows)](rows)


def chosen(panel: Panel, candidates: Mapping[str, Candidate], rows: Mask) -> str:
    """Name the candidate of least loss, cross-fitted over the folds of `rows`; of equals, the first."""
    folds = np.unique(panel.fold[rows])
    names = list(candidates)
    if folds.size < 2 or len(names) == 1:
        return names[0]
    losses = []
    for name in names:
        p = np.zeros((len(panel.label), panel.p.shape[2]))
        for fold in folds:
            own = rows & (panel.fold == fold)
            p[own] = candidates[name](rows & (panel.fold != fold))[own]
        losses.append(log_loss(panel.label[rows], p[rows], panel.weight[rows]))
    return names[int(np.argmin(losses))]


def hedge(panel: Panel, target: FloatArray) -> Candidate:
    """Give the certified blend of least regret between the panel's loss and the one that `target` weighs."""
    return lambda rows: mix(panel, least_regret(panel.q[rows], panel.weight[rows], target[rows]).weights)


def mix(panel: Panel, weights: FloatArray) -> FloatArray:
    """Blend every row's members (n, members, classes) by `weights` (members,)."""
    blended: FloatArray = np.einsum("nmc,m->nc", panel.p, weights)
    return np.clip(blended, 0, 1)


def uniform(panel: Panel) -> Candidate:
    """Give the mean of the members."""
    mean = panel.p.mean(axis=1)
    return lambda rows: mean


def best_member(panel: Panel) -> Candidate:
    """Give the member with the least loss on the rows fitted on."""
    return lambda rows: panel.p[:, least_loss(panel, rows)]


def least_loss(panel: Panel, rows: Mask) -> int:
    """Position of the member with the least loss on `rows`; of equals, the first."""
    label, weight = panel.label[rows], panel.weight[rows]
    return int(np.argmin([log_loss(label, panel.p[rows, m], weight) for m in range(panel.p.shape[1])]))


def prior(panel: Panel) -> Candidate:
    """Give the weighted class frequencies of the rows fitted on, with one row's weight spread evenly over the classes.

    Without that row, a class that the other folds lack would cost the prior 35 nats, and any blend would beat it.
    """

    def predict(rows: Mask) -> FloatArray:
        classes = panel.p.shape[2]
        counts = np.bincount(panel.label[rows], panel.weight[rows], classes) + 1 / classes
        return np.tile(counts / counts.sum(), (panel.p.shape[0], 1))

    return predict


def _threshold(panel: Panel, p: FloatArray, rows: Mask) -> float:
    return best_threshold(panel.label[rows], p[rows, 1], panel.weight[rows])


def _called(p: FloatArray, threshold: float) -> FloatArray:
    return np.where(np.isnan(threshold), np.nan, (p[:, 1] >= threshold).astype(np.float64))
