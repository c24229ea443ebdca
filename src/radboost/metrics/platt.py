"""Calibration of members that learn from a network's own training patients: they are surer than they should be.

Embeddings of patients that a network was trained on tell more than those of others, so a model fitted on them is
overconfident about a new patient. Its out-of-fold probabilities show by how much: log odds are multiplied by one number
and moved (Platt 1999), each fold by what the other folds show, and new exams by what all of them show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from radboost.metrics.scores import CLIP

__all__ = ["Platt", "fit_platt", "map_out_of_fold"]

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

RIDGE = 1e-8
"""Curvature, in nats, that is added towards no change: the map of rows that are told without fail is unique, too."""
SLOPE_PRIOR = 3.0
"""Standard deviation of the slope around 1 before any row is seen. A member that says nearly the same of all rows
of some folds, by chance in the right order, would be taken to deserve a slope of thousands; another fold's model, which
tells rows apart, would then be sure of everything. Rows that tell something outweigh it."""


@dataclass(frozen=True)
class Platt:
    """A map of probabilities.

    Attributes
    ----------
    slope
        What log probabilities are multiplied by, not negative; 0 leaves the base rates.
    intercepts
        What is added to them, one a class, the first 0.
    """

    slope: float
    intercepts: tuple[float, ...]

    def apply(self, p: FloatArray) -> FloatArray:
        """Map probabilities (n, classes)."""
        logits = self.slope * np.log(np.clip(p, CLIP, 1.0)) + np.asarray(self.intercepts)
        mapped = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(mapped / mapped.sum(axis=1, keepdims=True))

    def to_dict(self) -> dict[str, Any]:
        """Give JSON-able content; `from_dict` reads it back."""
        return {"slope": self.slope, "intercepts": list(self.intercepts)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Platt:
        """Rebuild from `to_dict`."""
        return cls(float(content["slope"]), tuple(float(v) for v in content["intercepts"]))


def fit_platt(p: FloatArray, y: IntArray, weight: FloatArray) -> Platt:
    """Fit the map of least weighted log loss, under a weak prior on the slope (`SLOPE_PRIOR`).

    Parameters
    ----------
    p
        Probabilities (n, classes) of models that did not see these rows.
    y, weight
        True classes (n,) and weights (n,), not all 0.
    """
    logs = np.log(np.clip(p, CLIP, 1.0))
    hot = np.eye(p.shape[1])[y]
    rows = weight.sum()
    weight = weight / rows
    start = np.concatenate([[1.0], np.zeros(p.shape[1] - 1)])
    ridge = np.full(len(start), RIDGE)
    ridge[0] += 1 / (SLOPE_PRIOR**2 * rows)

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        logits = parameters[0] * logs + np.concatenate([[0.0], parameters[1:]])
        logits = logits - logits.max(axis=1, keepdims=True)
        own = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        error = weight[:, None] * (np.exp(own) - hot)
        gradient = np.concatenate([[(error * logs).sum()], error.sum(axis=0)[1:]])
        away = parameters - start
        return float(-(weight @ (hot * own).sum(axis=1)) + ridge @ away**2 / 2), gradient + ridge * away

    # A slope below 0 would turn a member round on the word of a few rows.
    bounds = [(0.0, None), *[(-20.0, 20.0)] * (p.shape[1] - 1)]
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-12, "gtol": 1e-9})
    return Platt(float(found.x[0]), (0.0, *map(float, found.x[1:])))


def map_out_of_fold(p: FloatArray, y: IntArray, weight: FloatArray, fold: IntArray) -> tuple[FloatArray, Platt | None]:
    """Map each fold's probabilities by what the other folds show.

    Parameters
    ----------
    p
        Out-of-fold probabilities (n, classes).
    y, weight
        True classes (n,), -1 unlabelled, and weights (n,). What has no label or weight is mapped, not learnt from.
    fold
        Of each row (n,).

    Returns
    -------
    tuple
        Mapped probabilities, and the map that all rows show, for new units. Where one fold alone is there, or nothing
        is left to learn from, the probabilities as they are and None.
    """
    known = (y >= 0) & (weight > 0)
    folds = np.unique(fold)
    if len(folds) < 2 or not all((known & (fold != each)).any() for each in folds):
        return p, None
    out = np.empty_like(p)
    for each in folds:
        others = known & (fold != each)
        out[fold == each] = fit_platt(p[others], y[others], weight[others]).apply(p[fold == each])
    return out, fit_platt(p[known], y[known], weight[known])
