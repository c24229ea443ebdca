"""Shares that add up, taken through maps that are not linear.

Parts of a sum explain by how much the sum differs from a base. After a map f of that sum they no longer do. Each
part's share of ``f(stop) - f(start)`` is then the integral of f's derivative along the straight line from start to
stop, in the direction of the part (Aumann and Shapley 1974; Sundararajan, Taly and Yan, ICML 2017, take it of a
network's inputs). Shares add up to the difference, and parts of a linear map stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from radboost.booster.learner import to_classes
from radboost.booster.rows import FloatArray

__all__ = ["through_each", "through_margin"]

NODES = 24
"""Of Gauss and Legendre's rule, which then is exact to more digits than trees keep."""
NEAR = 1e-7


def through_margin(start: FloatArray, parts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Take shares of margins to shares of probabilities.

    Parameters
    ----------
    start
        Margins (n, m): m is 1 (log odds of the second of two classes), or one a class.
    parts
        Shares (n, parts, m); the margin is `start` plus their sum.

    Returns
    -------
    tuple
        Probabilities (n, classes) of `start`, and shares (n, parts, classes), which sum to the margin's probabilities
        minus those.
    """
    classes = max(2, start.shape[1])
    step, base = parts.sum(axis=1), to_classes(start)
    out = np.zeros((*parts.shape[:2], classes))
    logits = np.concatenate([np.zeros_like(parts), parts], axis=2) if start.shape[1] == 1 else parts
    places, weights = np.polynomial.legendre.leggauss(NODES)
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        p = to_classes(start + place * step)[:, None, :]
        out += weight * p * (logits - (p * logits).sum(axis=2, keepdims=True))
    # What the rule leaves over is far below rounding unless margins are huge; the shares add up all the same.
    return base, _settled(out, to_classes(start + step) - base)


def through_each(
    function: Callable[[FloatArray], FloatArray], start: FloatArray, parts: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Take shares through a map of each number by itself.

    Parameters
    ----------
    function
        Smooth; called with arrays of any shape.
    start
        Shape (n, classes).
    parts
        Shape (n, parts, classes).

    Returns
    -------
    tuple
        ``function(start)``, and shares that sum to ``function(start + parts.sum(1))`` minus it. Along a line a number's
        own map stretches all its parts alike.
    """
    total = parts.sum(axis=1)
    stop, near = start + total, np.abs(total) < NEAR
    low, high = np.where(near, start - NEAR, start), np.where(near, start + NEAR, stop)
    stretch = (function(high) - function(low)) / (high - low)
    base = function(start)
    return base, _settled(parts * stretch[:, None, :], function(stop) - base)


def _settled(shares: FloatArray, wanted: FloatArray) -> FloatArray:
    """Spread what is missing from the sum over the parts by their size."""
    missing = wanted - shares.sum(axis=1)
    size = np.abs(shares)
    whole = size.sum(axis=1, keepdims=True)
    share = np.where(whole > 0, size / np.where(whole > 0, whole, 1.0), 1 / max(1, shares.shape[1]))
    return np.asarray(shares + share * missing[:, None, :], dtype=np.float64)
