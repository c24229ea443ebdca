"""What every learner is: fitted on weighted rows, judged on inner folds, saved without pickle."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from radboost.booster.recipe import Recipe
from radboost.booster.rows import FloatArray, Inner, Matrix, Order, Rows
from radboost.data.folder import read_json
from radboost.errors import FormatError, UserError
from radboost.metrics import CLIP

__all__ = [
    "DEFAULT_LEARNERS",
    "IN_ORDER",
    "LEARNERS",
    "ONE_BY_ONE",
    "Fitted",
    "FittedInOrder",
    "best_round",
    "fit_learner",
    "fit_targets",
    "load_fitted",
    "log_rates",
    "lowest_round",
    "predict",
    "row_loss",
    "sigmoid",
    "softmax",
    "to_classes",
]

LEARNERS: Mapping[str, str] = {
    "logistic": "radboost.booster.linear",
    "mlp": "radboost.booster.mlp",
    "lightgbm": "radboost.booster.lightgbm_trees",
    "xgboost": "radboost.booster.xgboost_trees",
    "catboost": "radboost.booster.catboost_trees",
    "pooled-res": "radboost.booster.sequence.pooled",
    "residual": "radboost.booster.sequence.residual",
}
"""Learners by name, and the module that holds ``fit(rows, inner, recipe)`` and ``load(folder, content)``.

A module that shares work between targets also holds ``fit_targets(jobs, recipe)``; see the function of that name here.
Each heavy library is imported when its learner is asked for, not before.
"""


ONE_BY_ONE = ("catboost", "lightgbm", "xgboost")
"""Learners that take one target after the other, so that each target's fit can be kept by itself."""

IN_ORDER = ("pooled-res", "residual")
"""Learners that judge a unit with its neighbours in the series in sight."""

DEFAULT_LEARNERS = ("logistic", "mlp", "lightgbm", "xgboost")
"""Those that any unit can be learnt with, and that need no extra."""


class Fitted(Protocol):
    """A fitted learner."""

    @property
    def inner(self) -> FloatArray:
        """Probabilities of the training rows by inner fits that did not see them, (n, classes).

        Rows that no inner split held out are NaN; the array is empty after loading.
        """

    def predict_proba(self, x: Matrix) -> FloatArray:
        """Probabilities of new rows, (n, classes), rows summing to 1."""

    def save(self, folder: Path) -> None:
        """Write the model; ``model.json`` names the learner."""


@runtime_checkable
class FittedInOrder(Protocol):
    """A fitted learner that judges a row with its neighbours in sight."""

    def predict_in_order(self, x: Matrix, order: Order) -> FloatArray:
        """Probabilities of new rows, (n, classes)."""


def fit_learner(name: str, rows: Rows, inner: Inner, recipe: Recipe | None = None) -> Fitted:
    """Fit a learner by name to one target.

    Every learner may fall back on the base rate: where no setting is better on the inner folds, it predicts
    ``rows.rates`` for everybody.

    Raises
    ------
    UserError
        No learner has this name.
    """
    return fit_targets(name, [(rows, inner)], recipe or Recipe())[0]


def fit_targets(name: str, jobs: Sequence[tuple[Rows, Inner]], recipe: Recipe) -> list[Fitted]:
    """Fit a learner by name to several targets of the same training rows.

    The outcome for one target does not depend on the others, up to rounding; only work is shared. The learners of
    series are the exception: their targets share a network.

    Parameters
    ----------
    name
        One of `LEARNERS`.
    jobs
        Rows and inner folds, one pair a target. Targets with the same labelled rows hold the very same matrix object,
        by which a learner knows that it may share what it derives from it.
    recipe
        How.

    Raises
    ------
    UserError
        No learner has this name.
    """
    module = _module(name)
    if hasattr(module, "fit_targets"):
        together: Callable[[Sequence[tuple[Rows, Inner]], Recipe], list[Fitted]] = module.fit_targets
        return together(jobs, recipe)
    fit: Callable[[Rows, Inner, Recipe], Fitted] = module.fit
    return [fit(rows, inner, recipe) for rows, inner in jobs]


def predict(fitted: Fitted, x: Matrix, order: Order | None = None) -> FloatArray:
    """Probabilities of new rows, (n, classes); a learner of series is told their order."""
    if order is not None and isinstance(fitted, FittedInOrder):
        return fitted.predict_in_order(x, order)
    return fitted.predict_proba(x)


def load_fitted(folder: Path) -> Fitted:
    """Read a model that `Fitted.save` wrote; raises FormatError where it is damaged."""
    content = read_json(folder / "model.json")
    if not isinstance(content, dict) or content.get("learner") not in LEARNERS:
        raise FormatError("does not describe a model", where=folder / "model.json")
    load: Callable[[Path, Mapping[str, Any]], Fitted] = _module(content["learner"]).load
    try:
        return load(folder, content)
    except (KeyError, TypeError, OSError) as error:
        raise FormatError("is damaged", where=folder, got=str(error), do="Run fit-boost again") from error


def lowest_round(curves: Sequence[Sequence[float]], weights: Sequence[float]) -> int:
    """Round with the lowest mean loss over inner splits, the earliest of equals.

    Parameters
    ----------
    curves
        Loss by round of each split, of equal length; round 0 is the base rate.
    weights
        Weight of each split: that of its validation rows.
    """
    # Rounding must not choose between equals.
    return int(np.round(np.average(np.asarray(curves), axis=0, weights=weights), 10).argmin())


def best_round(curves: Sequence[Sequence[float]], weights: Sequence[float]) -> int:
    """`lowest_round`, or 0 where its gain over the base rate may be luck.

    The lowest of many noisy numbers looks better than it is, so the base rate stays unless the splits' mean gain is
    larger than its standard error.
    """
    best, losses = lowest_round(curves, weights), np.asarray(curves)
    if len(losses) < 2:
        return best
    gain = losses[:, 0] - losses[:, best]
    error = float(gain.std(ddof=1)) / math.sqrt(len(gain))
    return best if np.average(gain, weights=weights) > error else 0


def row_loss(y: np.ndarray, p: FloatArray) -> FloatArray:
    """Minus log probability of the true class, row by row, by the metrics' clipping rule."""
    own = p[np.arange(len(y)), y]
    return np.asarray(-np.log(np.clip(own, CLIP, 1 - CLIP)), dtype=np.float64)


def sigmoid(z: FloatArray) -> FloatArray:
    """Logistic function, without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * z)), dtype=np.float64)


def softmax(z: FloatArray) -> FloatArray:
    """Probabilities of the last axis, without overflow."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True), dtype=np.float64)


def log_rates(rates: FloatArray) -> FloatArray:
    """Margin of the base rate, from class rates (classes,): (1,) log odds for two classes, else (classes,) logs."""
    return np.log(rates[1:] / rates[0]) if len(rates) == 2 else np.log(rates)


def to_classes(margin: FloatArray) -> FloatArray:
    """Probabilities (n, classes) from margins: (n, 1) log odds of class 1, or (n, classes) logits."""
    if margin.shape[1] > 1:
        return softmax(margin)
    positive = sigmoid(margin[:, 0])
    return np.stack([1.0 - positive, positive], axis=1)


def _module(name: str) -> Any:
    if name not in LEARNERS:
        raise UserError("there is no such learner", where="--learner", got=name, do=f"Known: {', '.join(LEARNERS)}")
    return import_module(LEARNERS[name])
