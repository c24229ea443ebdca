"""What scikit-learn's Newton solver says to itself is not said to users, and the fit it ends with is the minimum."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from radboost.booster.newton import fit_newton


def test_a_singular_hessian_is_the_librarys_own_affair_and_the_minimum_is_found():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(20, 40)) * 10 ** rng.uniform(1, 4)
    y = (rng.random(20) < 0.3).astype(int)
    weight = np.full(20, 1 / 20)
    made = {"C": 1e4, "solver": "newton-cholesky", "tol": 1e-9, "max_iter": 200}
    with pytest.warns(Warning, match="of Newton"):
        LogisticRegression(**made).fit(x, y, weight)
    model = LogisticRegression(**made)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_newton(model, x, y, weight)
    missed = weight * (expit(x @ model.coef_[0] + model.intercept_[0]) - y)
    assert np.abs(x.T @ missed + model.coef_[0] / model.C).max() < 1e-6
