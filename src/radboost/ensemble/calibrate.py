"""Calibration of a blend: a monotone map of its probabilities, fitted by weighted log loss, kept as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from radboost.ensemble.logit import log_probabilities, softmax_pool, solve_logit
from radboost.errors import UserError
from radboost.metrics.platt import fit_platt

__all__ = ["METHODS", "Calibrator", "fit_calibrator"]

FloatArray: TypeAlias = npt.NDArray[np.float64]

METHODS = ("none", "temperature", "platt", "isotonic", "beta")
"""How a blend may be calibrated; ``beta`` for two classes only."""

_STEPS = 80
_LIMIT = 64.0


@dataclass(frozen=True)
class Calibrator:
    """A fitted map.

    Attributes
    ----------
    method
        One of `METHODS`.
    weights, intercepts
        ``temperature``: the one number that log probabilities are multiplied by. ``platt``: that number, and an
        intercept a class. ``beta``: the factors of log p and of -log(1 - p), and the intercepts.
    steps
        ``isotonic``: for each class (the second, of two) the probabilities where the map is given, rising, and its
        values there; straight lines in between.
    """

    method: str
    weights: tuple[float, ...] = ()
    intercepts: tuple[float, ...] = ()
    steps: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = ()

    def apply(self, p: FloatArray) -> FloatArray:
        """Map probabilities (n, classes) to calibrated ones."""
        if self.method == "none":
            return p
        if self.method == "isotonic":
            return self._stepped(p)
        logs = _beta_logs(p) if self.method == "beta" else log_probabilities(p)[:, None]
        intercepts = np.asarray(self.intercepts) if self.intercepts else np.zeros(p.shape[1])
        return softmax_pool(logs, np.asarray(self.weights), intercepts)

    def to_dict(self) -> dict[str, Any]:
        """Give JSON-able content; `from_dict` reads it back."""
        return {
            "method": self.method,
            "weights": list(self.weights),
            "intercepts": list(self.intercepts),
            "steps": [[list(x), list(y)] for x, y in self.steps],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Calibrator:
        """Rebuild from `to_dict`."""
        steps = tuple((tuple(x), tuple(y)) for x, y in content["steps"])
        return cls(content["method"], tuple(content["weights"]), tuple(content["intercepts"]), steps)

    def _stepped(self, p: FloatArray) -> FloatArray:
        if p.shape[1] == 2:
            positive = np.interp(p[:, 1], *self.steps[0])
            return np.stack([1 - positive, positive], axis=1)
        mapped = np.stack([np.interp(p[:, k], *steps) for k, steps in enumerate(self.steps)], axis=1)
        scaled: FloatArray = mapped / mapped.sum(axis=1, keepdims=True)
        return scaled


def fit_calibrator(method: str, p: FloatArray, label: npt.NDArray[np.int64], weight: FloatArray) -> Calibrator:
    """Fit a map on predictions that were not fitted on these rows.

    Parameters
    ----------
    method
        One of `METHODS`.
    p, label, weight
        Probabilities (n, classes), true classes (n,), weights (n,) of which one at least is positive.

    Raises
    ------
    UserError
        The method is unknown, or not one for so many classes.
    """
    if method not in METHODS or (method == "beta" and p.shape[1] != 2):
        do = f"Known: {', '.join(METHODS)}; beta is for two classes"
        raise UserError("no such calibration", where="--calibrate", got=f"{method}, {p.shape[1]} classes", do=do)
    if method == "none":
        return Calibrator("none")
    if method == "temperature":
        return Calibrator("temperature", (_sharpness(log_probabilities(p), label, weight),))
    if method == "isotonic":
        return Calibrator("isotonic", steps=_steps(p, label, weight))
    if method == "platt":
        platt = fit_platt(p, label, weight)
        return Calibrator("platt", (platt.slope,), platt.intercepts)
    found = solve_logit(_beta_logs(p), label, weight)
    return Calibrator(method, tuple(found.weights.tolist()), tuple(found.intercepts.tolist()))


def _beta_logs(p: FloatArray) -> FloatArray:
    """Two members whose logits are log p and -log(1 - p): Kull, Silva Filho and Flach, AISTATS 2017."""
    logs = log_probabilities(p)
    zero = np.zeros(len(p))
    return np.stack([np.stack([zero, logs[:, 1]], axis=1), np.stack([logs[:, 0], zero], axis=1)], axis=1)


def _sharpness(logs: FloatArray, label: npt.NDArray[np.int64], weight: FloatArray) -> float:
    """Factor of the log probabilities with the least loss, by bisection on the slope, which never falls."""
    own = logs[np.arange(len(label)), label]

    def slope(factor: float) -> float:
        p = softmax_pool(logs[:, None], np.array([factor]), np.zeros(logs.shape[1]))
        return float(weight @ ((p * logs).sum(axis=1) - own))

    low, high = 1 / _LIMIT, _LIMIT
    for _ in range(_STEPS):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return float(np.sqrt(low * high))


def _steps(
    p: FloatArray, label: npt.NDArray[np.int64], weight: FloatArray
) -> tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]:
    """Isotonic regression of each class (the second, of two), kept off 0 and 1 as one row spread evenly would."""
    classes = p.shape[1]
    keep = weight > 0
    edge = 1 / (classes * (float(weight[keep].sum()) + 1))
    found = []
    for k in (1,) if classes == 2 else range(classes):
        x, code = np.unique(p[keep, k], return_inverse=True)
        mass = np.bincount(code, weight[keep])
        rate = np.bincount(code, weight[keep] * (label[keep] == k)) / mass
        y = np.clip(isotonic_regression(rate, weights=mass).x, edge, 1 - edge)
        # Only where a flat piece begins or ends: the points between them say nothing more.
        turns = np.flatnonzero(np.r_[True, (np.diff(y)[:-1] != 0) | (np.diff(y)[1:] != 0), True][: x.size])
        found.append((tuple(x[turns].tolist()), tuple(y[turns].tolist())))
    return tuple(found)
