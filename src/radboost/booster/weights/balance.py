"""Entropy balancing: the weights nearest to equal under which the source has the target's moments.

Hainmueller (2012). Weights are proportional to b exp(z . theta), z the moments less their goal; theta minimises the
convex dual log sum b exp(z . theta), whose gradient is the weighted mean of z. So the gradient left is the certificate.
With a penalty on theta (penalised calibration; Guggemos and Tillé 2010) weights exist for every goal; they come nearer
to it the smaller the penalty is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from radboost.booster.rows import FloatArray
from radboost.booster.weights.covariates import Column, Sample
from radboost.errors import SolverError

__all__ = ["TOLERANCE", "balance", "entropy_weights", "penalised_weights"]

TOLERANCE = 1e-6
"""Largest difference of a moment that is certified, in deviations of the target."""

STEPS = 100


def balance(source: Sample, target: Sample, columns: Sequence[Column], rate: float | None) -> tuple[FloatArray, float]:
    """Balance first and second moments of numbers, and shares of categories.

    Parameters
    ----------
    source, target
        Rows with common support.
    columns
        What to balance.
    rate
        Share of the finding to be reached beside; rows without a label count as neutral. None for no such moment.

    Returns
    -------
    weight : ndarray
        Shape (source rows,), positive.
    gap : float
        Largest difference of a moment left, in deviations of the target (shares: as shares).

    Raises
    ------
    SolverError
        No weights reach the moments.
    """
    x, goal = [], []
    for column in columns:
        mine, theirs = source.table[column.name], target.table[column.name]
        if column.categorical:
            # Shares sum to 1: the last category's follows from the others'.
            for name in sorted(theirs.unique())[:-1]:
                x.append((mine == name).to_numpy(float))
                goal.append(float(np.average(theirs == name, weights=target.weight)))
            continue
        for a, b in zip(*_powers(mine.to_numpy(float), theirs.to_numpy(float), target.weight), strict=True):
            x.append(a)
            goal.append(float(np.average(b, weights=target.weight)))
    if rate is not None:
        x.append(np.where(np.isnan(source.y), rate, source.y))
        goal.append(rate)
    if not x:
        return np.ones(len(source)), 0.0
    return entropy_weights(np.stack(x, axis=1), np.array(goal), source.weight)


def _powers(mine: FloatArray, theirs: FloatArray, weight: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
    """Standardise by the target: value, square, and whether it is known where some are not."""
    known = ~np.isnan(theirs)
    hollow = not known.all() or np.isnan(mine).any()
    if not known.any():
        return [], []
    mean = float(np.average(theirs[known], weights=weight[known]))
    deviation = float(np.sqrt(np.average((theirs[known] - mean) ** 2, weights=weight[known])))
    scale = deviation if deviation > 1e-9 * max(1.0, abs(mean)) else 1.0
    both = []
    for values in (mine, theirs):
        z = np.where(np.isnan(values), 0.0, (values - mean) / scale)
        both.append([z, z**2] + ([np.isnan(values).astype(float)] if hollow else []))
    return both[0], both[1]


def entropy_weights(x: FloatArray, goal: FloatArray, base: FloatArray) -> tuple[FloatArray, float]:
    """Minimise the dual by Newton's method with backtracking.

    Parameters
    ----------
    x
        Shape (n, m): moments of each row.
    goal
        Shape (m,): what their weighted means must be.
    base
        Shape (n,), positive: how many rows each stands for.

    Returns
    -------
    weight : ndarray
        Shape (n,), positive; the mean under `base` is 1.
    gap : float
        Largest difference of a moment left.

    Raises
    ------
    SolverError
        The gap stays above `TOLERANCE`: the goal lies outside what weights can reach, or at its edge.
    """
    z = x - goal
    p = _solve(z, base, 0.0)
    gap = float(np.abs(p @ z).max())
    if not gap <= TOLERANCE:
        do = "Name fewer columns with --on, or use --method odds, which only comes near"
        raise SolverError("no weights of the source reach the target's moments", got=f"largest gap {gap:.2g}", do=do)
    return np.asarray(p / base * base.sum(), dtype=np.float64), gap


def penalised_weights(x: FloatArray, goal: FloatArray, base: FloatArray, penalty: float) -> FloatArray:
    """Move weights towards moments: least ``log sum base exp((x - goal) . theta) + penalty / 2 |theta|^2``.

    Parameters
    ----------
    x, goal, base
        As for `entropy_weights`, but any goal has a solution.
    penalty
        Above 0; a moment stays off its goal by `penalty` times its theta.

    Returns
    -------
    ndarray
        Shape (n,), positive; the mean under `base` is 1.
    """
    return np.asarray(_solve(x - goal, base, penalty) / base * base.sum(), dtype=np.float64)


def _solve(z: FloatArray, base: FloatArray, penalty: float) -> FloatArray:
    """Give the normalised weights (n,) of the least dual, by Newton's method."""
    theta = np.zeros(z.shape[1])
    value, p = _dual(z, base, theta)
    for _ in range(STEPS):
        mean = p @ z
        gradient = mean + penalty * theta
        if float(np.abs(gradient).max()) <= TOLERANCE * 1e-4:
            break
        hessian = (z * p[:, None]).T @ z - np.outer(mean, mean) + penalty * np.eye(len(theta))
        # Columns may depend on each other (a machine stands at one site): the least step is as good as any.
        step = -np.linalg.lstsq(hessian, gradient, rcond=1e-12)[0]
        slope, length = float(gradient @ step), 1.0
        while length > 1e-10:
            there = theta + length * step
            trial, q = _dual(z, base, there)
            trial += penalty / 2 * float(there @ there)
            if trial <= value + 1e-4 * length * slope:
                break
            length /= 2
        else:
            break
        theta, value, p = there, trial, q
    return p


def _dual(z: FloatArray, base: FloatArray, theta: FloatArray) -> tuple[float, FloatArray]:
    """Dual objective and the normalised weights, (n,)."""
    margin = z @ theta + np.log(base)
    top = float(margin.max())
    e = np.exp(margin - top)
    total = float(e.sum())
    return top + float(np.log(total)), e / total
