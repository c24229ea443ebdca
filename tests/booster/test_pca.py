"""Weighted principal components: the eigenvectors of the weighted covariance, whichever way they are found."""

from __future__ import annotations

import numpy as np
import pytest

from radboost.booster import pca
from radboost.booster.pca import weighted_pca


def rows(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    z = random.normal(size=(n, d)) * np.linspace(3, 0.1, d)
    weight = random.integers(1, 4, n).astype(float)
    z -= weight @ z / weight.sum()
    return z.astype(np.float32), weight


@pytest.mark.parametrize(("n", "d"), [(80, 12), (12, 80), (30, 30)])
def test_equals_the_eigenvectors_of_the_weighted_covariance(n: int, d: int) -> None:
    z, weight = rows(n, d)
    directions, variances = weighted_pca(z, weight, 5)
    covariance = (z.astype(float).T * weight) @ z.astype(float) / weight.sum()
    expected = np.linalg.eigvalsh(covariance)[::-1][:5]
    np.testing.assert_allclose(variances, expected, rtol=1e-5)
    np.testing.assert_allclose(covariance @ directions, directions * variances, atol=1e-4)
    np.testing.assert_allclose(directions.T @ directions, np.eye(5), atol=1e-5)
    assert (directions[np.abs(directions).argmax(axis=0), np.arange(5)] > 0).all(), "signs are fixed"


@pytest.mark.parametrize(("n", "d"), [(60, 12), (12, 60)])
def test_weight_two_is_the_row_twice(n: int, d: int) -> None:
    z, weight = rows(n, d)
    one, two = (
        weighted_pca(z, weight, 6),
        weighted_pca(np.repeat(z, weight.astype(int), axis=0), np.ones(int(weight.sum())), 6),
    )
    np.testing.assert_allclose(one[1], two[1], rtol=1e-5)
    np.testing.assert_allclose(one[0], two[0], atol=1e-4)


def test_iteration_agrees_with_the_exact_decomposition(monkeypatch: pytest.MonkeyPatch) -> None:
    z, weight = rows(400, 150)
    exact = weighted_pca(z, weight, 6)
    monkeypatch.setattr(pca, "EXACT", 50)
    quick = weighted_pca(z, weight, 6)
    np.testing.assert_allclose(quick[1], exact[1], rtol=1e-3)
    again = weighted_pca(z, weight, 6)
    np.testing.assert_array_equal(quick[0], again[0])


def test_no_more_components_than_rank() -> None:
    z, weight = rows(10, 40)
    assert weighted_pca(z, weight, 128)[0].shape == (40, 9), "ten centred rows span nine directions"
    assert weighted_pca(np.zeros((5, 3), np.float32), np.ones(5), 2)[0].shape == (3, 0)
