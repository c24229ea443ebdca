"""How far probabilities lie from the rates they stand for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radboost.metrics.inputs import FloatArray, IntArray, binary, classes, probabilities, weights

__all__ = ["Reliability", "ece", "reliability"]

BINS = 10


def ece(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    r"""Expected calibration error, :math:`\sum_b W_b |\bar y_b - \bar p_b| / \sum_b W_b` over ten bins of rising `p`.

    Bins hold equal weight as far as may be: rows of equal `p` are never parted. For several classes it is the mean
    over the classes, each against the rest.

    Parameters
    ----------
    y, p, weight
        As :func:`radboost.metrics.log_loss`.

    Returns
    -------
    Within [0, 1]; ``nan`` without a row of positive weight.

    >>> ece([0, 1, 1, 0], [0.25, 0.25, 0.75, 0.75])
    0.25
    """
    given = probabilities(p)
    truth = classes(y, given)
    w = weights(weight, truth.size)
    keep = w > 0
    if not keep.any():
        return math.nan
    if given.ndim == 1:
        return _binary((truth == 1)[keep], given[keep], w[keep])
    each = [_binary((truth == k)[keep], given[keep, k], w[keep]) for k in range(given.shape[1])]
    return math.fsum(each) / len(each)


@dataclass(frozen=True)
class Reliability:
    """Bins of rising probability, as `ece` takes them.

    Attributes
    ----------
    predicted, observed
        Weighted mean probability and rate in each bin (b,).
    weight, rows
        Weight and rows of each bin (b,).
    bin
        Bin of each row (n,); -1 for a row without weight.
    """

    predicted: FloatArray
    observed: FloatArray
    weight: FloatArray
    rows: IntArray
    bin: IntArray


def reliability(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Reliability:
    r"""Give the points of a reliability diagram of a binary target; `ece` is their mean distance, weighted.

    Parameters
    ----------
    y, p, weight
        Shape (n,), as :func:`radboost.metrics.log_loss` takes them for two classes.

    Returns
    -------
    Reliability
        At most ten bins, those without a row left out.
    """
    truth, given, w = binary(y, p, weight)
    keep = w > 0
    code, _ = _bins(given[keep], w[keep])
    used, code = np.unique(code, return_inverse=True)
    mean, rate, mass = (np.bincount(code, w[keep] * values, used.size) for values in (given[keep], truth[keep], 1.0))
    owner = np.full(truth.size, -1)
    owner[keep] = code
    rows = np.bincount(code, minlength=used.size)
    return Reliability(mean / mass, rate / mass, np.asarray(mass, np.float64), rows, owner)


def _bins(p: FloatArray, w: FloatArray) -> tuple[IntArray, float]:
    """Bin of each row, and the weight of all."""
    _, code = np.unique(p, return_inverse=True)
    mass = np.bincount(code, w)
    middle = np.cumsum(mass) - mass / 2
    total = float(mass.sum())
    return np.minimum((BINS * middle / total).astype(np.int64), BINS - 1)[code] if p.size else code, total


def _binary(hit: npt.NDArray[np.bool_], p: FloatArray, w: FloatArray) -> float:
    owner, total = _bins(p, w)
    return math.fsum(np.abs(np.bincount(owner, w * (hit - p)))) / total
