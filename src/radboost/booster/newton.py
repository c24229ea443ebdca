"""Newton's method of scikit-learn's logistic regression, without the notes that it makes to itself."""

from __future__ import annotations

import warnings

import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from radboost.booster.rows import FloatArray

__all__ = ["fit_newton"]


def fit_newton(model: LogisticRegression, x: FloatArray, y: npt.ArrayLike, weight: FloatArray) -> None:
    """Fit a model whose solver is ``newton-cholesky``.

    Where a Hessian is singular to rounding, or no step gains more than rounding, the library warns and goes on with
    L-BFGS. Nobody who fits models can do anything about that, so it stays unsaid; that L-BFGS found no minimum is said.

    Parameters
    ----------
    model
        As configured; fitted in place.
    x
        Shape (n, d).
    y
        Classes, shape (n,).
    weight
        Of rows, shape (n,).
    """
    with warnings.catch_warnings():
        for what in ("Line search of Newton", "The inner solver of Newton"):
            warnings.filterwarnings("ignore", what)
        model.fit(x, y, weight)
