"""How far probabilities lie from the rates they stand for."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from radboost.metrics.inputs import classes, probabilities, weights

__all__ = ["ece"]

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


def _binary(hit: npt.NDArray[np.bool_], p: npt.NDArray[np.float64], w: npt.NDArray[np.float64]) -> float:
    _, code = np.unique(p, return_inverse=True)
    mass = np.bincount(code, w)
    middle = np.cumsum(mass) - mass / 2
    owner = np.minimum((BINS * middle / mass.sum()).astype(np.int64), BINS - 1)[code]
    return math.fsum(np.abs(np.bincount(owner, w * (hit - p)))) / float(mass.sum())
