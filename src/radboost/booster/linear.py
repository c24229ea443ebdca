"""Logistic regression whose blocks of columns are penalised apart.

Minimises the weighted mean log loss plus half the sum over blocks of strength x squared coefficients. The strengths are
chosen on inner folds; a block may be dropped, and where none helps the base rate remains.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.optimize import minimize

from radboost.booster.learner import log_rates, row_loss, to_classes
from radboost.booster.rows import FloatArray, Inner, Matrix, Rows
from radboost.data.folder import write_json

__all__ = ["Logistic", "fit", "load"]

GRID = tuple(10.0 ** (1 - i / 2) for i in range(13))
"""Strengths tried for all blocks at once, strong first: a block's variance is 1, so 10 leaves next to nothing."""

STEPS = (10.0, 0.1, math.inf)
"""Then each block's strength is multiplied by these in turn; infinity drops the block."""

SWEEPS = 3
PATIENCE = 3
SEARCH, FINAL = 1e-4, 1e-9
"""Largest gradient left when settings are compared, and in the model that is kept."""

Strengths = tuple[float, ...]


@dataclass(frozen=True)
class Logistic:
    """Fitted coefficients.

    Attributes
    ----------
    coefficients
        Shape (d, m): m is 1 for two classes (log odds of class 1), else one column a class.
    intercept
        Shape (m,).
    strengths
        Penalty of each block; infinite where the block was dropped.
    inner
        See `radboost.booster.learner.Fitted`.
    """

    coefficients: FloatArray
    intercept: FloatArray
    strengths: Strengths
    inner: FloatArray = field(repr=False, default_factory=lambda: np.empty((0, 0)))

    def predict_proba(self, x: Matrix) -> FloatArray:
        """Probabilities, (n, classes)."""
        return to_classes(x.astype(np.float64) @ self.coefficients + self.intercept)

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and ``model.safetensors``."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"coefficients": self.coefficients, "intercept": self.intercept}
        save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, folder / "model.safetensors")
        strengths = [None if math.isinf(s) else s for s in self.strengths]
        write_json(folder / "model.json", {"learner": "logistic", "strengths": strengths})


def load(folder: Path, content: Mapping[str, Any]) -> Logistic:
    """Read what `Logistic.save` wrote."""
    arrays = load_file(folder / "model.safetensors")
    strengths = tuple(math.inf if s is None else float(s) for s in content["strengths"])
    return Logistic(arrays["coefficients"], arrays["intercept"], strengths)


def fit(rows: Rows, inner: Inner, seed: int) -> Logistic:
    """Choose the strengths on the inner folds and fit all rows with them; `seed` is not used, nothing here is drawn."""
    search = _Search(rows, inner)
    strengths = search.run()
    coefficients, intercept = _solve(rows, _penalties(rows, strengths), None, FINAL)
    return Logistic(coefficients, intercept, strengths, search.predictions(strengths))


class _Search:
    """Mean inner loss as a function of the strengths, each split going on from its last coefficients."""

    def __init__(self, rows: Rows, inner: Inner) -> None:
        self.rows = rows
        self.splits = [(rows.take(train), rows.take(held), held) for train, held in inner]
        self.warm: list[FloatArray | None] = [None] * len(self.splits)

    def run(self) -> Strengths:
        blocks = len(self.rows.spans)
        best: Strengths = (math.inf,) * blocks
        lowest, since = self.loss(best), 0
        for strength in GRID:
            loss = self.loss((strength,) * blocks)
            if loss < lowest:
                best, lowest, since = (strength,) * blocks, loss, 0
            else:
                since += 1
            if since > PATIENCE and not math.isinf(best[0]):
                break
        return self._refine(best, lowest) if blocks > 1 and not math.isinf(best[0]) else best

    def _refine(self, best: Strengths, lowest: float) -> Strengths:
        for _ in range(SWEEPS):
            before = best
            for block in range(len(best)):
                for step in STEPS:
                    trial = (*best[:block], best[block] * step, *best[block + 1 :])
                    if math.isinf(best[block]) or all(math.isinf(s) for s in trial):
                        continue
                    loss = self.loss(trial)
                    if loss < lowest:
                        best, lowest = trial, loss
            if best == before:
                break
        return best

    def loss(self, strengths: Strengths) -> float:
        """Weighted mean over the splits' validation rows."""
        total, weight = 0.0, 0.0
        for i, (train, held, _) in enumerate(self.splits):
            if not len(held):
                continue
            coefficients, intercept = _solve(train, _penalties(train, strengths), self.warm[i], SEARCH)
            self.warm[i] = np.vstack([coefficients, intercept])
            p = to_classes(held.x.astype(np.float64) @ coefficients + intercept)
            total += float(held.weight @ row_loss(held.y, p))
            weight += float(held.weight.sum())
        return total / weight

    def predictions(self, strengths: Strengths) -> FloatArray:
        out = np.full((len(self.rows), self.rows.classes), np.nan)
        for train, held, mask in self.splits:
            coefficients, intercept = _solve(train, _penalties(train, strengths), None, SEARCH)
            out[mask] = to_classes(held.x.astype(np.float64) @ coefficients + intercept)
        return out


def _penalties(rows: Rows, strengths: Strengths) -> FloatArray:
    return np.concatenate([np.full(s.stop - s.start, v) for s, v in zip(rows.spans, strengths, strict=True)])


def _solve(
    rows: Rows, penalty: FloatArray, start: FloatArray | None, tolerance: float
) -> tuple[FloatArray, FloatArray]:
    """Coefficients (d, m) and intercept (m,) for one penalty a column; infinite ones give zeros."""
    rates = rows.rates
    m = 1 if rows.classes == 2 else rows.classes
    coefficients = np.zeros((rows.x.shape[1], m))
    kept = np.isfinite(penalty)
    if not kept.any():
        return coefficients, log_rates(rates)
    x, weight, lam = rows.x[:, kept].astype(np.float64), rows.weight / rows.weight.sum(), penalty[kept, None]
    truth = np.eye(rows.classes)[rows.y]
    # Columns are rescaled by their curvature at the base rate, which makes the problem nearly round.
    bend = float(np.mean(rates * (1 - rates)))
    unit = 1.0 / np.sqrt(lam + bend * (weight @ x**2)[:, None])
    shape = (x.shape[1] + 1, m)

    def objective(flat: FloatArray) -> tuple[float, FloatArray]:
        w = flat.reshape(shape)
        beta = w[:-1] * unit
        p = to_classes(x @ beta + w[-1])
        value = weight @ row_loss(rows.y, p) + 0.5 * float(np.sum(lam * beta**2))
        error = ((p - truth) * weight[:, None])[:, rows.classes - m :]
        slope = np.vstack([(x.T @ error + lam * beta) * unit, error.sum(axis=0)])
        return float(value), slope.ravel()

    first = np.vstack([np.zeros((x.shape[1], m)), log_rates(rates)])
    if start is not None:
        first = np.vstack([start[:-1][kept] / unit, start[-1]])
    # The default limit on function changes would stop before the gradient is small.
    options = {"gtol": tolerance, "ftol": 0.0, "maxiter": 2000, "maxfun": 4000, "maxcor": 20}
    found = minimize(objective, first.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(shape)
    coefficients[kept] = found[:-1] * unit
    return coefficients, np.asarray(found[-1], dtype=np.float64)
