"""Nothing fitted where it is judged: weights, choices and thresholds come from the other folds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.ensemble.panel import Mask, Panel
from radboost.ensemble.solver import solve
from radboost.metrics import best_threshold, log_loss

__all__ = [
    "Candidate",
    "Outcome",
    "best_member",
    "called",
    "crossfit",
    "in_sample",
    "least_loss",
    "mix",
    "pool",
    "prior",
    "threshold",
    "uniform",
]

FloatArray: TypeAlias = npt.NDArray[np.float64]
Candidate: TypeAlias = Callable[[Mask], FloatArray]
"""Fitted on the rows of the mask, it predicts all rows: (n, classes)."""


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
    calls = np.zeros(p.shape[0])
    for fold in np.unique(panel.fold):
        own, others = panel.fold == fold, panel.judged & (panel.fold != fold)
        everywhere = candidate(others)
        p[own] = everywhere[own]
        if p.shape[1] == 2:
            calls[own] = called(everywhere[own], threshold(panel, everywhere, others))
    return Outcome(p, calls if p.shape[1] == 2 else None)


def in_sample(panel: Panel, candidate: Candidate) -> Outcome:
    """Fit, predict and call the same rows: what a score must not be read from."""
    p = candidate(panel.judged)
    if p.shape[1] != 2:
        return Outcome(p, None)
    cut = threshold(panel, p, panel.judged)
    return Outcome(p, called(p, cut), cut)


def pool(panel: Panel) -> Candidate:
    """Give the certified convex blend."""
    return lambda rows: mix(panel, solve(panel.q[rows], panel.weight[rows]).weights)


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


def threshold(panel: Panel, p: FloatArray, rows: Mask) -> float:
    """Choose the threshold of best F1 on `rows`, of probabilities (n, 2); NaN where there is no positive."""
    return best_threshold(panel.label[rows], p[rows, 1], panel.weight[rows])


def called(p: FloatArray, cut: float) -> FloatArray:
    """Call rows of probabilities (n, 2) positive (1) from the threshold on; NaN where there is none."""
    return np.where(np.isnan(cut), np.nan, (p[:, 1] >= cut).astype(np.float64))
