"""Who is called what: weighted counts of true against called classes, and what follows from them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from radboost.metrics.inputs import FloatArray, classes, probabilities, weights

__all__ = ["confusion", "macro_f1", "precision", "recall"]


def confusion(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> FloatArray:
    """Sum the rows' weights by true class and called class.

    Parameters
    ----------
    y
        Shape (n,): 0 or 1 for binary `p`, the class index for multi-class `p`.
    p
        Shape (n,): probability of class 1, called from .5 on. Or (n, K): the most probable class is called, of equals
        the first.
    weight
        Shape (n,), finite and not negative; all ones when absent.

    Returns
    -------
    Shape (K, K), K = 2 for binary `p`: row of the true class, column of the called one.

    Raises
    ------
    TableError
        As `radboost.metrics.log_loss`.

    >>> confusion([0, 1, 1], [0.2, 0.7, 0.4], [1, 2, 3]).tolist()
    [[1.0, 0.0], [3.0, 2.0]]
    """
    given = probabilities(p)
    truth = classes(y, given)
    k = 2 if given.ndim == 1 else given.shape[1]
    called = (given >= 0.5).astype(np.int64) if given.ndim == 1 else given.argmax(axis=1)
    counts = np.bincount(truth * k + called, weights(weight, len(truth)), k * k)
    return np.asarray(counts, dtype=np.float64).reshape(k, k)


def precision(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Share of what is called a class that is of it: class 1 of two, else the mean over the classes that occur.

    Parameters as :func:`confusion`. Range [0, 1]; a class that is never called counts 0; ``nan`` without a positive.
    """
    table = confusion(y, p, weight)
    return _by_class(table, np.diag(table), table.sum(axis=0))


def recall(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Share of a class that is called so: class 1 of two, else the mean over the classes that occur.

    Parameters as :func:`confusion`. Range [0, 1]; ``nan`` without a positive.
    """
    table = confusion(y, p, weight)
    return _by_class(table, np.diag(table), table.sum(axis=1))


def macro_f1(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """F1 of class 1 of two, else the mean of the classes' F1 over the classes that occur.

    Parameters as :func:`confusion`. Range [0, 1]; ``nan`` without a positive.
    """
    table = confusion(y, p, weight)
    return _by_class(table, 2 * np.diag(table), table.sum(axis=0) + table.sum(axis=1))


def _by_class(table: FloatArray, top: FloatArray, bottom: FloatArray) -> float:
    there = table.sum(axis=1) > 0
    if len(table) == 2:
        there &= np.array([False, True])
    if not there.any():
        return math.nan
    return math.fsum((top[there] / np.where(bottom > 0, bottom, 1.0)[there]).tolist()) / int(there.sum())
