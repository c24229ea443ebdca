"""Weighted metrics of one set of predictions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.metrics.inputs import FloatArray, IntArray, binary, classes, probabilities, weights

__all__ = [
    "CLIP",
    "TERMS",
    "Metric",
    "Ranks",
    "accuracy",
    "auc",
    "balanced_accuracy",
    "best_threshold",
    "brier",
    "f1",
    "log_loss",
    "pf1",
    "true_class_probability",
]

Metric: TypeAlias = Callable[[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike | None], float]
Terms: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]

CLIP = 1e-15
"""Smallest probability that a log loss takes for the true class, as in the competitions' own metrics."""


def log_loss(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    r"""Weighted mean of minus the log probability of the true class, :math:`-\sum w \log q / \sum w`.

    Parameters
    ----------
    y
        Shape (n,): 0 or 1 for binary `p`, the class index for multi-class `p`.
    p
        Shape (n,): probability of class 1. Or (n, K): probabilities of the K classes, rows summing to one.
    weight
        Shape (n,), finite and not negative; all ones when absent.

    Returns
    -------
    In nats, within ``[0, -log(CLIP)]``; ``nan`` without a row of positive weight.

    Raises
    ------
    TableError
        On a probability outside [0, 1] or not finite, a label that is no class, or shapes that differ.

    >>> round(log_loss([1, 0], [0.8, 0.4], [1, 3]), 6)
    0.438905
    """
    return _ratio(_log_loss_terms(y, p), weight)


def brier(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Weighted mean squared error of the probabilities; summed over classes for `p` of shape (n, K).

    Parameters and errors as :func:`log_loss`. Range [0, 1] for binary, [0, 2] for multi-class.
    """
    return _ratio(_brier_terms(y, p), weight)


def accuracy(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Weighted share of rows whose most probable class is the true one (binary: class 1 from p >= .5 on).

    Parameters and errors as :func:`log_loss`. Range [0, 1]. Equal probabilities go to the first class of them.
    """
    return _ratio(_accuracy_terms(y, p), weight)


def balanced_accuracy(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Mean of the classes' weighted recalls, over the classes that occur.

    Parameters and errors as :func:`log_loss`. Range [0, 1].
    """
    hit = _accuracy_terms(y, p)[0]
    truth, w = np.asarray(y), weights(weight, hit.size)
    owners = [truth == k for k in np.unique(truth[w > 0])]
    recalls = [_sum((w * hit)[own]) / _sum(w[own]) for own in owners]
    return math.fsum(recalls) / len(recalls) if recalls else math.nan


def pf1(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    r"""Probabilistic F1, with every row counted as positive to the degree `p`.

    :math:`P = \sum w p y / \sum w p`, :math:`R = \sum w p y / \sum w y`, and the result is their harmonic mean, 0 when
    either is 0. It is a ratio of sums over the whole set; means over batches are another, wrong, number.

    Parameters
    ----------
    y
        Shape (n,), 0 or 1.
    p
        Shape (n,), finite; clipped to [0, 1]. With `p` of 0 and 1 only, this is F1.
    weight
        Shape (n,), finite and not negative; all ones when absent.

    Returns
    -------
    Within [0, 1]; ``nan`` without a positive.

    >>> round(pf1([1, 0, 1, 0], [0.9, 0.2, 0.6, 0.0]), 6)
    0.810811
    """
    return _ratio(_pf1_terms(y, p), weight)


def f1(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None, threshold: float = 0.5) -> float:
    """F1 of calling positive every row with ``p >= threshold``.

    Parameters as :func:`pf1`; `threshold` is in the units of `p`. ``nan`` without a positive.
    """
    truth, score, w = binary(y, p, weight)
    return pf1(truth, score >= threshold, w)


def best_threshold(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Threshold that maximises :func:`f1` on these rows; of equals, the one that calls fewest rows positive.

    Judge it on other rows: F1 at a threshold chosen on the same rows is too high. Parameters as :func:`pf1`.

    Returns
    -------
    Half way between the lowest score called positive and the highest that is not (or the lowest score itself, when all
    are called positive); ``nan`` without a positive.
    """
    truth, p, w = binary(y, p, weight)
    keep = w > 0
    truth, p, w = truth[keep], p[keep], w[keep]
    if not truth.any():
        return math.nan
    order = np.argsort(-p, kind="stable")
    truth, p, w = truth[order], p[order], w[order]
    last = np.append(np.flatnonzero(np.diff(p)), p.size - 1)  # a threshold cannot part equal scores
    hits, called = np.cumsum(w * truth)[last], np.cumsum(w)[last]
    score = 2 * hits / (called + hits[-1])
    # Rounding in the sums must not choose between equals, or weight 2 and the row twice could part.
    best = int(np.flatnonzero(score >= score.max() * (1 - 1e-12))[0])
    lowest = float(p[last[best]])
    if best + 1 == last.size:
        return lowest
    below = float(p[last[best + 1]])
    middle = below + (lowest - below) / 2
    return middle if middle > below else lowest


def auc(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Weighted area under the ROC curve: how often a positive scores above a negative, ties counting one half.

    Parameters
    ----------
    y
        Shape (n,), 0 or 1.
    p
        Shape (n,), any finite score.
    weight
        Shape (n,), finite and not negative; all ones when absent.

    Returns
    -------
    Within [0, 1]; ``nan`` when positives or negatives have no weight.

    >>> auc([0, 1, 1, 0], [0.1, 0.1, 0.7, 0.3])
    0.625
    """
    truth, p, w = binary(y, p, weight)
    return Ranks.of(truth, p).auc(w)


def true_class_probability(y: npt.ArrayLike, p: npt.ArrayLike) -> FloatArray:
    """Probability that each row gives to its true class, by the one clipping rule.

    Parameters as :func:`log_loss`.

    Returns
    -------
    Shape (n,), within [CLIP, 1 - CLIP].

    Raises
    ------
    TableError
        As :func:`log_loss`.
    """
    given = probabilities(p)
    truth = classes(y, given)
    own = np.where(truth == 1, given, 1 - given) if given.ndim == 1 else given[np.arange(truth.size), truth]
    return np.clip(own, CLIP, 1 - CLIP)


# --- sums over rows: a metric that is one ratio of sums is resampled by adding up groups ------------------------------


def _log_loss_terms(y: npt.ArrayLike, p: npt.ArrayLike) -> Terms:
    loss = -np.log(true_class_probability(y, p))
    ones = np.ones_like(loss)
    return loss, ones, ones


def _brier_terms(y: npt.ArrayLike, p: npt.ArrayLike) -> Terms:
    given = probabilities(p)
    truth = classes(y, given)
    sure = truth if given.ndim == 1 else np.eye(given.shape[1])[truth]
    error = ((given - sure) ** 2).reshape(truth.size, -1).sum(axis=1)
    ones = np.ones_like(error)
    return error, ones, ones


def _accuracy_terms(y: npt.ArrayLike, p: npt.ArrayLike) -> Terms:
    given = probabilities(p)
    truth = classes(y, given)
    called = (given >= 0.5).astype(np.int64) if given.ndim == 1 else given.argmax(axis=1)
    ones = np.ones(truth.size)
    return (called == truth).astype(np.float64), ones, ones


def _pf1_terms(y: npt.ArrayLike, p: npt.ArrayLike) -> Terms:
    truth, p, _ = binary(y, p, None)
    p = np.clip(p, 0, 1)
    # 2PR / (P + R) with P = a/b and R = a/c is 2a / (b + c), which is 0, as it should be, where P or R is 0.
    return 2 * p * truth, p + truth, truth


TERMS: dict[object, Callable[[npt.ArrayLike, npt.ArrayLike], Terms]] = {
    accuracy: _accuracy_terms,
    brier: _brier_terms,
    log_loss: _log_loss_terms,
    pf1: _pf1_terms,
}
"""Metrics that are sum(w * a) / sum(w * b) over rows, ``nan`` unless sum(w * c) > 0, and what gives (a, b, c)."""


def _ratio(terms: Terms, weight: npt.ArrayLike | None) -> float:
    top, bottom, needed = terms
    w = weights(weight, top.size)
    return _sum(w * top) / _sum(w * bottom) if (w * needed).any() else math.nan


def _sum(values: FloatArray) -> float:
    return math.fsum(values.tolist())


@dataclass(frozen=True)
class Ranks:
    """Where each positive stands among the sorted negatives: sorted once, weighed as often as wanted.

    Attributes
    ----------
    positives, negatives
        Row numbers; `negatives` by rising score.
    below, upto
        For each positive, how many negatives score less, and how many score no more.
    """

    positives: IntArray
    negatives: IntArray
    below: IntArray
    upto: IntArray

    @classmethod
    def of(cls, y: FloatArray, score: FloatArray) -> Ranks:
        """Sort the rows once; `y` is 0 or 1, `score` finite, both of shape (n,)."""
        positives, negatives = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
        negatives = negatives[np.argsort(score[negatives], kind="stable")]
        ladder = score[negatives]
        below = np.searchsorted(ladder, score[positives], side="left")
        return cls(positives, negatives, below, np.searchsorted(ladder, score[positives], side="right"))

    def auc(self, weight: FloatArray) -> float:
        """Area under the ROC curve under weights of shape (n,); ``nan`` when either class has none."""
        w = weight[self.positives]
        ladder = np.concatenate([[0.0], np.cumsum(weight[self.negatives])])
        pairs = w.sum() * ladder[-1]
        return float(w @ (ladder[self.below] + ladder[self.upto]) / 2 / pairs) if pairs > 0 else math.nan
