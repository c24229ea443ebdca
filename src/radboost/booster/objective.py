"""What a learner minimises: the log loss, or a weighted, focal or smoothed one whose probabilities are corrected back.

Class weights, focal loss and soft labels shape training only. Every validation, and every metric, is the plain weighted
log loss of corrected probabilities, so that learners with different objectives can be compared and blended.

The loss of a row with class weight w and label distribution t is

    w * sum over classes k of t_k * (1 - p_k)^gamma * -log p_k

Its minimiser is not the true probability, yet determines it. With phi(v) = (1 - v)^gamma - gamma (1 - v)^(gamma - 1) v
log v, the distribution that it was trained on is proportional to p_k / phi(p_k) (Charoenphakdee et al., On focal loss
for class-posterior probability estimation, CVPR 2021, theorem 11), and dividing that by the class weights gives the
true one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax

from radboost.booster.rows import FloatArray, IntArray, Rows
from radboost.errors import UserError, offenders

__all__ = ["CLASS_WEIGHTS", "Loss", "Objective"]

CLASS_WEIGHTS = ("none", "balanced", "batch")
"""Names of class weights; explicit numbers, one a class, are the other choice."""

LARGEST_FOCAL = 5.0
CURVATURE_FLOOR = 0.01
"""Least curvature of a row of weight 1 under a focal loss, which is not convex; in units of p (1 - p)."""

TINY = 1e-12


@dataclass(frozen=True)
class Objective:
    """How training differs from the plain log loss; the defaults do not.

    Attributes
    ----------
    class_weight
        ``none``; ``balanced``: every class has the same total weight; ``batch``: the same within each batch, for
        networks that are trained in batches (elsewhere the batch is all rows, and it is ``balanced``); or one positive
        number a class.
    focal
        Gamma of the focal loss, 0 to 5; 0 is the log loss. Rows that are told well already count less.
    soft
        Share, 0 to below 1, of each label that is given to the base rates. Labels of all classes are smoothed, and
        towards the rates instead of the uniform distribution, so that the mean prediction stays the base rate however
        rare a class is. Predictions are drawn to the base rate by as much; that is wanted, and not undone.

    Raises
    ------
    UserError
        A value is out of its range.
    """

    class_weight: str | tuple[float, ...] = "none"
    focal: float = 0.0
    soft: float = 0.0

    def __post_init__(self) -> None:
        given = self.class_weight
        if isinstance(given, str):
            if given not in CLASS_WEIGHTS:
                do = f"Give {', '.join(CLASS_WEIGHTS)}, or one number a class"
                raise UserError("there is no such class weight", where="--class-weight", got=given, do=do)
        elif len(given) < 2 or not all(math.isfinite(w) and w > 0 for w in given):
            got = offenders([str(w) for w in given]) if given else "none"
            raise UserError("class weights must be positive, one a class", where="--class-weight", got=got)
        if not 0 <= self.focal <= LARGEST_FOCAL:
            raise UserError("gamma is out of range", where="--focal", got=self.focal, do=f"Give 0 to {LARGEST_FOCAL:g}")
        if not 0 <= self.soft < 1:
            raise UserError("the smoothed share is out of range", where="--soft", got=self.soft, do="Give 0 to below 1")

    @property
    def plain(self) -> bool:
        """Whether it is the log loss, so that nothing needs to be weighed or corrected."""
        return self.class_weight == "none" and self.focal == 0 and self.soft == 0

    def to_dict(self) -> dict[str, Any]:
        """Give the fields, JSON-able."""
        given = self.class_weight
        return {
            "class_weight": given if isinstance(given, str) else list(given),
            "focal": self.focal,
            "soft": self.soft,
        }

    def bind(self, rows: Rows) -> Loss:
        """Give the loss on these training rows.

        Raises
        ------
        UserError
            Explicit class weights are not one a class.
        """
        rates, given = rows.rates, self.class_weight
        if not isinstance(given, str):
            if len(given) != rows.classes:
                got, do = f"{len(given)} numbers", f"This target has {rows.classes} classes"
                raise UserError("class weights must be one a class", where="--class-weight", got=got, do=do)
            factor = np.asarray(given, dtype=np.float64)
        elif given == "none":
            factor = np.ones(rows.classes)
        else:
            factor = 1.0 / (rows.classes * rates)
        return Loss(factor, rates * factor / (rates * factor).sum(), self.focal, self.soft)

    def gradient(self, margin: FloatArray, rows: Rows) -> tuple[FloatArray, FloatArray]:
        """`Loss.gradient` of rows that are all the training rows there are."""
        return self.bind(rows).gradient(margin, rows.y, rows.weight)


@dataclass(frozen=True)
class Loss:
    """An objective with what it takes from training rows; see `Objective.bind`.

    Attributes
    ----------
    factor
        Class weights (classes,), multiplied with the rows' own.
    rates
        Shape (classes,): base rates of the weighted rows, with the class weights.
    focal, soft
        As in `Objective`.
    """

    factor: FloatArray
    rates: FloatArray
    focal: float
    soft: float

    @property
    def start(self) -> FloatArray:
        """Margin whose corrected probability is the rows' base rate, (1,) or (classes,): where training begins."""
        z = _focal_margin(self.rates, self.focal) if self.focal > 0 else np.log(self.rates)
        return z[1:] - z[0] if len(z) == 2 else z

    def weights(self, y: IntArray, weight: FloatArray) -> FloatArray:
        """Training weights (n,): class weight times row weight. Never those of a metric."""
        return np.asarray(self.factor[y] * weight, dtype=np.float64)

    def labels(self, y: IntArray) -> FloatArray:
        """Label distributions (n, classes), rows summing to 1."""
        return np.asarray((1 - self.soft) * np.eye(len(self.factor))[y] + self.soft * self.rates, dtype=np.float64)

    def losses(self, margin: FloatArray, y: IntArray) -> FloatArray:
        """Loss (n,) of each row of weight 1, without its class weight, from margins (n, 1) or (n, classes)."""
        p = _classes(margin)
        return np.asarray((self.labels(y) * (1 - p) ** self.focal * -np.log(p)).sum(axis=1), dtype=np.float64)

    def gradient(self, margin: FloatArray, y: IntArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        """First and second derivative of the training loss by each margin, for boosted trees.

        Parameters
        ----------
        margin
            Shape (n, 1): log odds of class 1; or (n, classes): logits. With the start margin.
        y, weight
            Shape (n,): classes, and the rows' own weights; class weights are applied here.

        Returns
        -------
        tuple
            Gradient and curvature, each of the shape of `margin`. The curvature is the diagonal of the Hessian: for
            several classes XGBoost takes it twice, LightGBM classes/(classes - 1) times. Never below `CURVATURE_FLOOR`
            x weight x p (1 - p), since a focal loss is not convex.
        """
        p = _classes(margin)
        t, phi, slope = self.labels(y), _phi(p, self.focal), _phi_slope(p, self.focal)
        w = self.weights(y, weight)[:, None]
        told = (t * phi).sum(axis=1, keepdims=True)
        bent = (t * slope * p).sum(axis=1, keepdims=True)
        first = p * told - t * phi
        spread = p * (1 - p)
        second = spread * (told - t * slope) + p * p * (t * slope - bent)
        second = np.maximum(second, CURVATURE_FLOOR * spread)
        if margin.shape[1] == 1:
            first, second = first[:, 1:], second[:, 1:]
        return np.asarray(w * first, dtype=np.float64), np.asarray(w * np.maximum(second, TINY), dtype=np.float64)

    def corrected(self, p: FloatArray) -> FloatArray:
        """Turn probabilities (..., classes) of the training problem into those of the rows as they are.

        The inverse focal map, then division by the class weights, renormalised: for two classes the odds are divided by
        the ratio of the class weights.
        """
        if self.focal == 0 and (self.factor == self.factor[0]).all():
            return p
        v = np.clip(p, TINY, 1 - TINY)
        q = v / (_phi(v, self.focal) * self.factor)
        return np.asarray(q / q.sum(axis=-1, keepdims=True), dtype=np.float64)

    def corrected_logs(self, p: FloatArray) -> FloatArray:
        """Logarithm of what `corrected` divides by its sum: a map of each number by itself."""
        v = np.clip(p, TINY, 1 - TINY)
        return np.asarray(np.log(v / (_phi(v, self.focal) * self.factor)), dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Give what `from_dict` needs, JSON-able: a model keeps it to correct its predictions."""
        return {"factor": self.factor.tolist(), "rates": self.rates.tolist(), "focal": self.focal, "soft": self.soft}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Loss:
        """Read what `to_dict` gave; raises KeyError or TypeError where it is something else."""
        factor, rates = (np.asarray(content[n], dtype=np.float64) for n in ("factor", "rates"))
        return cls(factor, rates, float(content["focal"]), float(content["soft"]))


def _phi(v: FloatArray, gamma: float) -> FloatArray:
    """Minus v times the derivative of the focal loss at v; 1 for the log loss."""
    if gamma == 0:
        return np.ones_like(v)
    return np.asarray((1 - v) ** gamma - gamma * (1 - v) ** (gamma - 1) * v * np.log(v), dtype=np.float64)


def _phi_slope(v: FloatArray, gamma: float) -> FloatArray:
    if gamma == 0:
        return np.zeros_like(v)
    rest, log = 1 - v, np.log(v)
    slope = gamma * (gamma - 1) * rest ** (gamma - 2) * v * log - gamma * rest ** (gamma - 1) * (2 + log)
    return np.asarray(slope, dtype=np.float64)


def _focal_margin(rates: FloatArray, gamma: float) -> FloatArray:
    """Logits (classes,) whose corrected probabilities are `rates`."""
    z = np.log(rates)
    for _ in range(1000):
        v = np.clip(softmax(z), TINY, 1 - TINY)
        q = v / _phi(v, gamma)
        # Near 1, q / (1 - q) moves 1 + gamma times as fast as v / (1 - v) does; a longer step would swing.
        step = (np.log(rates) - np.log(q / q.sum())) / (1 + gamma)
        z = z + step
        if np.abs(step).max() < 1e-14:
            break
    return z


def _classes(margin: FloatArray) -> FloatArray:
    """Probabilities (n, classes), kept off 0 and 1."""
    logits = np.hstack([np.zeros_like(margin), margin]) if margin.shape[1] == 1 else margin
    return np.asarray(np.clip(softmax(logits, axis=1), TINY, 1 - TINY), dtype=np.float64)
