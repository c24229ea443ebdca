"""Weighted principal components. Scikit-learn's take no weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import scipy.linalg
from scipy.linalg.blas import dsyrk

from radboost.booster.rows import FloatArray, Matrix

__all__ = ["Streamed", "chunks", "weighted_pca"]

EXACT = 2048
"""Up to this many rows or columns the decomposition is exact; beyond, subspace iteration takes a tenth of the time."""

NUMBERS_AT_ONCE, LEAST_ROWS = 1 << 19, 256
"""Of the rows that are looked at together; fewer rows would leave too little to do for a matrix product."""

COLUMNS_AT_ONCE = 512
OVERSAMPLE = 32
ITERATIONS = 8
RANK_TOLERANCE = 1e-7
"""Directions with less than this share of the largest variance are rounding noise of float32 columns."""


class Streamed(Protocol):
    """Rows that are made when they are asked for; an array is one too."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""

    def __getitem__(self, rows: slice, /) -> Matrix:
        """Some rows."""


def chunks(z: Streamed) -> Iterator[tuple[slice, Matrix]]:
    """Yield the rows in small portions, and where they stand."""
    rows = max(LEAST_ROWS, NUMBERS_AT_ONCE // max(1, z.shape[1]))
    for start in range(0, z.shape[0], rows):
        yield slice(start, min(start + rows, z.shape[0])), z[start : start + rows]


def weighted_pca(z: Streamed, weight: FloatArray, components: int) -> tuple[Matrix, FloatArray]:
    """Directions of largest weighted variance of centred rows.

    Parameters
    ----------
    z
        Shape (n, d), of weighted mean 0. Looked at once, a portion at a time, where n or d is small (all of it is held
        where n is the smaller one); else once an iteration.
    weight
        Shape (n,), positive. Weight 2 equals the row twice.
    components
        Most directions to give; fewer come back where rank, n or d is less.

    Returns
    -------
    directions, variances
        Shapes (d, c) and (c,), variances falling. The largest entry of each direction is positive, which makes signs
        the same on every machine. c is 0 where nothing varies.
    """
    n, d = z.shape
    root = np.sqrt(weight / weight.sum())
    if min(n, d) > max(EXACT, 2 * components):
        vectors, values = _subspace(z, root, components + OVERSAMPLE)
    elif n < d:
        vectors, values = _gram(z, root, components)
    else:
        vectors, values = _covariance(z, root, components)
    order = np.argsort(-values, kind="stable")[:components]
    values, vectors = values[order], vectors[:, order]
    kept = values > RANK_TOLERANCE * max(float(values.max(initial=0.0)), np.finfo(np.float64).tiny)
    values, vectors = values[kept], vectors[:, kept]
    if values.size:
        peak = np.abs(vectors).argmax(axis=0)
        vectors = vectors * np.sign(vectors[peak, np.arange(values.size)])
    return np.ascontiguousarray(vectors, dtype=np.float32), values


def _covariance(z: Streamed, root: FloatArray, components: int) -> tuple[FloatArray, FloatArray]:
    total = np.zeros((z.shape[1], z.shape[1]), order="F")
    for rows, part in chunks(z):
        total = _add_products(total, (part * root[rows, None]).T)
    values, vectors = _largest(total, components)
    return vectors, values


def _add_products(total: FloatArray, columns: FloatArray) -> FloatArray:
    """Add the inner products of rows, in place and in the lower triangle alone: half the work, and no second matrix."""
    return dsyrk(1.0, columns, beta=1.0, c=total, lower=True, overwrite_c=True)  # type: ignore[no-any-return]


def _gram(z: Streamed, root: FloatArray, components: int) -> tuple[FloatArray, FloatArray]:
    """Fewer rows than columns: the (n, n) inner products carry the same variances."""
    n, d = z.shape
    held, total = np.concatenate([part for _, part in chunks(z)]), np.zeros((n, n), order="F")
    columns = [slice(start, start + COLUMNS_AT_ONCE) for start in range(0, d, COLUMNS_AT_ONCE)]
    for some in columns:
        total = _add_products(total, held[:, some] * root[:, None])
    values, left = _largest(total, components)
    kept = values > RANK_TOLERANCE * max(float(values.max(initial=0.0)), np.finfo(np.float64).tiny)
    values, left = values[kept], left[:, kept] * root[:, None]
    right = [held[:, some].astype(np.float64).T @ left for some in columns]
    return np.concatenate(right) / np.sqrt(values), values


def _largest(total: FloatArray, components: int) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues and eigenvectors from a lower triangle; the few that are kept cost a fraction of all."""
    n = len(total)
    values, vectors = scipy.linalg.eigh(
        total, lower=True, overwrite_a=True, subset_by_index=[max(0, n - components), n - 1]
    )
    return values, vectors


def _subspace(z: Streamed, root: FloatArray, width: int) -> tuple[FloatArray, FloatArray]:
    """Block power iteration from a fixed start; the start lives in column space, so duplicated rows change nothing."""
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((z.shape[1], width)))[0]
    for _ in range(ITERATIONS):
        basis = np.linalg.qr(_times(z, root, basis))[0]
    image = _times(z, root, basis)
    values, rotation = scipy.linalg.eigh((basis.T @ image + image.T @ basis) / 2)
    return basis @ rotation, values


def _times(z: Streamed, root: FloatArray, basis: FloatArray) -> FloatArray:
    """Covariance times basis, without the covariance."""
    out, thin = np.zeros(basis.shape), basis.astype(np.float32)
    for rows, part in chunks(z):
        weight = (root[rows] ** 2).astype(np.float32)
        out += part.T @ ((part @ thin) * weight[:, None])
    return out
