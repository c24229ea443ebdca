"""Folds: whole groups dealt out so that every fold sees the same mix.

A greedy deal on count vectors: each group is a vector of how many rows, positives and covariate units it brings; groups
with the rarest label go first, each to the fold that then lies nearest to its share of every column. Unlike a split
stratified by one label, this balances any number of labels and the sizes at once.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.errors import UserError, offenders

__all__ = ["Counts", "assign_folds", "balance_table", "deal", "holdout"]

Counts = npt.NDArray[np.float64]


def assign_folds(
    groups: Sequence[str],
    labels: npt.ArrayLike | pd.DataFrame,
    k: int,
    seed: int = 0,
    covariates: npt.ArrayLike | None = None,
) -> dict[str, int]:
    """Deal whole groups into `k` folds, balanced in size, in every label and in every covariate.

    Parameters
    ----------
    groups
        Group of each row, length n.
    labels
        Shape (n, labels): how much of each label a row holds, usually 0 or 1, not negative; NaN counts as 0. Give one
        column a class that must be learnt. A table's column names appear in errors.
    k
        Number of folds, at least 2.
    seed
        Chooses between groups that look alike. The order of the rows never matters.
    covariates
        Shape (n, covariates): further columns to balance (age, site), of any range; NaN takes the column's mean.

    Returns
    -------
    dict
        Fold 0..k-1 of each group, in the groups' sorted order.

    Raises
    ------
    UserError
        There are fewer groups than folds, or fewer groups that hold a label than folds, so that some fold could not be
        scored on it.

    >>> folds = assign_folds(["a", "a", "b", "c", "d"], [[1], [0], [0], [1], [0]], k=2)
    >>> folds["a"] != folds["c"]
    True
    """
    if k < 2:
        raise UserError("cross-validation needs two folds or more", where="folds", got=k)
    names, owner, values, titles = _columns(groups, labels)
    if len(names) < k:
        do = "Ask for fewer folds, or check which column names the group"
        raise UserError(f"there are fewer groups than the {k} folds", where="folds", got=len(names), do=do)
    held = np.zeros((len(names), values.shape[1]), dtype=bool)
    np.logical_or.at(held, owner, values > 0)
    short = [f"{t}: {c} groups" for t, c in zip(titles, held.sum(axis=0), strict=True) if c < k]
    if short:
        do = "Ask for fewer folds, or merge the class with another"
        what = f"labels are held by fewer groups than the {k} folds"
        raise UserError(what, where="folds", got=offenders(short), do=do)
    extra = np.empty((len(owner), 0)) if covariates is None else _matrix(covariates, len(owner))[0]
    counts = _sums(owner, np.hstack([values, np.ones((len(owner), 1)), _lifted(extra)]), len(names))
    folds = deal(names, counts[:, : values.shape[1] + 1], [1 / k] * k, seed, counts[:, values.shape[1] + 1 :])
    return dict(zip(names, folds.tolist(), strict=True))


def holdout(groups: Sequence[str], labels: npt.ArrayLike | pd.DataFrame, share: float, seed: int = 0) -> frozenset[str]:
    """Choose whole groups to hold out, about `share` of the rows and of every label.

    Parameters
    ----------
    groups, labels, seed
        As for :func:`assign_folds`.
    share
        Share to hold out, in (0, 1).

    Returns
    -------
    frozenset
        Names of the held-out groups: at least one, never all.

    Raises
    ------
    UserError
        `share` is out of range, or there are fewer than two groups.
    """
    if not 0 < share < 1:
        raise UserError("the share to hold out lies between 0 and 1", where="holdout", got=share)
    names, owner, values, _ = _columns(groups, labels)
    if len(names) < 2:
        raise UserError("holding out needs two groups or more", where="holdout", got=len(names))
    counts = _sums(owner, np.hstack([values, np.ones((len(owner), 1))]), len(names))
    part = deal(names, counts, [1 - share, share], seed)
    held = {name for name, p in zip(names, part, strict=True) if p == 1}
    if not held:
        held = {names[-1]}
    elif len(held) == len(names):
        held.remove(names[0])
    return frozenset(held)


def deal(
    names: Sequence[str], counts: Counts, shares: Sequence[float], seed: int = 0, covariates: Counts | None = None
) -> npt.NDArray[np.int64]:
    """Deal groups into parts of given shares, so that each part holds its share of every column.

    Parameters
    ----------
    names
        Distinct names of the groups; with `seed` they decide between groups that look alike.
    counts
        Shape (groups, columns), not negative. Groups that hold much of a rare column are dealt first.
    shares
        Share of each part, positive, summing to 1.
    seed
        See `names`.
    covariates
        Shape (groups, more columns), not negative: balanced as well, without a say in the order.

    Returns
    -------
    ndarray
        Part of each group, in the order of `names`. No part stays empty while there are groups enough and all shares
        are equal.
    """
    columns = counts if covariates is None else np.hstack([counts, covariates])
    total = columns.sum(axis=0)
    vectors = columns / np.where(total > 0, total, 1.0)
    aim = np.asarray(shares, dtype=np.float64)
    # Adding v to a part at c with aim s changes sum((c - s)^2) / s by v.(2c + v) / s - 2 sum(v), and the last term is
    # the same for every part.
    held = np.zeros((len(aim), vectors.shape[1]))
    part = np.empty(len(names), dtype=np.int64)
    for g in _order(names, counts, seed):
        vector = vectors[g]
        cost = ((2.0 * held + vector) @ vector) / aim
        best = int(np.argmin(cost))
        part[g] = best
        held[best] += vector
    return part


def balance_table(folds: Sequence[int], labels: npt.ArrayLike | pd.DataFrame) -> pd.DataFrame:
    """Count rows and labels a fold.

    Parameters
    ----------
    folds
        Fold of each row, length n.
    labels
        Shape (n, labels); NaN counts as 0.

    Returns
    -------
    DataFrame
        One row a fold (the index): `rows`, then the sum of each label.
    """
    values, titles = _matrix(labels, len(folds))
    table = pd.DataFrame(np.nan_to_num(values), columns=titles)
    table.insert(0, "rows", 1)
    return table.groupby(pd.Series(list(folds), name="fold")).sum()


def _order(names: Sequence[str], counts: Counts, seed: int) -> list[int]:
    """Rarest label first, then the largest groups; a seeded hash decides between equals."""
    total = counts.sum(axis=0)
    rarity = np.argsort(np.argsort(total, kind="stable"), kind="stable")
    rarest = np.where(counts > 0, rarity, counts.shape[1]).min(axis=1, initial=counts.shape[1])
    size = counts.sum(axis=1)
    ties = [hashlib.blake2b(f"{seed}\x1f{n}".encode(), digest_size=8).digest() for n in names]
    return sorted(range(len(names)), key=lambda g: (rarest[g], -size[g], ties[g]))


def _columns(
    groups: Sequence[str], labels: npt.ArrayLike | pd.DataFrame
) -> tuple[list[str], npt.NDArray[np.int64], Counts, list[str]]:
    values, titles = _matrix(labels, len(groups))
    values = np.nan_to_num(values)
    if (values < 0).any():
        bad = [t for t, low in zip(titles, values.min(axis=0), strict=True) if low < 0]
        raise UserError("label counts must not be negative", where="folds", got=offenders(bad))
    names, owner = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return [str(n) for n in names], owner.astype(np.int64).reshape(-1), values, titles


def _matrix(values: npt.ArrayLike | pd.DataFrame, n: int) -> tuple[Counts, list[str]]:
    titles = [str(c) for c in values.columns] if isinstance(values, pd.DataFrame) else None
    matrix = np.asarray(values, dtype=np.float64)
    matrix = matrix.reshape(n, -1) if matrix.size else np.empty((n, 0))
    return matrix, titles if titles is not None else [f"column {i}" for i in range(matrix.shape[1])]


def _lifted(values: Counts) -> Counts:
    """Covariates as counts: holes filled with the mean, lowest value 0, so that no part is ever repelled."""
    lifted = values.copy()
    for column in lifted.T:
        known = column[~np.isnan(column)]
        # fsum: the mean must not depend on the order of the rows.
        column[np.isnan(column)] = math.fsum(known) / known.size if known.size else 0.0
        column -= column.min(initial=np.inf) if column.size else 0.0
    return lifted


def _sums(owner: npt.NDArray[np.int64], values: Counts, groups: int) -> Counts:
    # Rows are put in an order of their own, so that rounding does not depend on how they came.
    order = np.lexsort([*values.T, owner])
    starts = np.searchsorted(owner[order], np.arange(groups))
    return np.asarray(np.add.reduceat(values[order], starts, axis=0), dtype=np.float64)
