"""Weighted principal components. Scikit-learn's take no weights."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from radboost.booster.rows import FloatArray, Matrix

__all__ = ["weighted_pca"]

EXACT = 2048
"""Up to this many rows or columns the decomposition is exact; beyond, subspace iteration takes a tenth of the time."""

CHUNK = 4096
OVERSAMPLE = 32
ITERATIONS = 8
RANK_TOLERANCE = 1e-7
"""Directions with less than this share of the largest variance are rounding noise of float32 columns."""


def weighted_pca(z: Matrix, weight: FloatArray, components: int) -> tuple[Matrix, FloatArray]:
    """Directions of largest weighted variance of centred rows.

    Parameters
    ----------
    z
        Shape (n, d), of weighted mean 0.
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


def _covariance(z: Matrix, root: FloatArray, components: int) -> tuple[FloatArray, FloatArray]:
    total = np.zeros((z.shape[1], z.shape[1]))
    for start in range(0, len(z), CHUNK):
        part = z[start : start + CHUNK] * root[start : start + CHUNK, None]
        total += part.T @ part
    values, vectors = _largest(total, components)
    return vectors, values


def _gram(z: Matrix, root: FloatArray, components: int) -> tuple[FloatArray, FloatArray]:
    """Fewer rows than columns: the (n, n) inner products carry the same variances."""
    scaled = z * root[:, None]
    values, left = _largest(scaled @ scaled.T, components)
    kept = values > RANK_TOLERANCE * max(float(values.max(initial=0.0)), np.finfo(np.float64).tiny)
    values, left = values[kept], left[:, kept]
    return scaled.T @ left / np.sqrt(values), values


def _largest(total: FloatArray, components: int) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues and eigenvectors; the few that are kept cost a fraction of all."""
    n = len(total)
    values, vectors = scipy.linalg.eigh(total, subset_by_index=[max(0, n - components), n - 1])
    return values, vectors


def _subspace(z: Matrix, root: FloatArray, width: int) -> tuple[FloatArray, FloatArray]:
    """Block power iteration from a fixed start; the start lives in column space, so duplicated rows change nothing."""
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((z.shape[1], width)))[0]
    for _ in range(ITERATIONS):
        basis = np.linalg.qr(_times(z, root, basis))[0]
    image = _times(z, root, basis)
    values, rotation = scipy.linalg.eigh((basis.T @ image + image.T @ basis) / 2)
    return basis @ rotation, values


def _times(z: Matrix, root: FloatArray, basis: FloatArray) -> FloatArray:
    """Covariance times basis, without the covariance."""
    out, thin = np.zeros(basis.shape), basis.astype(np.float32)
    for start in range(0, len(z), CHUNK):
        rows = z[start : start + CHUNK]
        weight = (root[start : start + CHUNK] ** 2).astype(np.float32)
        out += rows.T @ ((rows @ thin) * weight[:, None])
    return out
