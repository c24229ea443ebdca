"""Logistic regression whose blocks of columns are penalised apart.

Minimises the weighted mean log loss plus half the sum over blocks of strength x squared coefficients. The strengths are
chosen on inner folds; a block may be dropped, and where none helps the base rate remains.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import LogisticRegression

from radboost.booster.learner import best_round, log_rates, lowest_round, row_loss, to_classes
from radboost.booster.recipe import Recipe
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


def fit(rows: Rows, inner: Inner, recipe: Recipe) -> Logistic:
    """Choose the strengths on the inner folds and fit all rows with them; nothing here is drawn."""
    search = _Search(rows, inner)
    strengths = search.run()
    coefficients, intercept = _solve(rows, _penalties(rows, strengths), FINAL)
    return Logistic(coefficients, intercept, strengths, search.predictions(strengths))


class _Search:
    """Mean inner loss as a function of the strengths."""

    def __init__(self, rows: Rows, inner: Inner) -> None:
        self.rows = rows
        self.splits = list(inner.cut(rows))
        self.weights = [float(held.weight.sum()) for _, held, _ in self.splits]

    def run(self) -> Strengths:
        """Best strengths, all infinite where the gain over the base rate may be luck."""
        nothing: Strengths = (math.inf,) * len(self.rows.spans)
        best = self._along_grid(nothing)
        if best != nothing and len(best) > 1:
            best = self._refine(best, self.loss(best))
        pairs = list(zip(self.losses(nothing), self.losses(best), strict=True))
        return best if best_round(pairs, self.weights) else nothing

    def _along_grid(self, nothing: Strengths) -> Strengths:
        """Strongest penalty whose inner loss is within one standard error of the least one's."""
        tried = [(nothing, self.losses(nothing))]
        for strength in GRID:
            trial = (strength,) * len(nothing)
            tried.append((trial, self.losses(trial)))
            best = lowest_round(list(zip(*(losses for _, losses in tried), strict=True)), self.weights)
            if 0 < best < len(tried) - PATIENCE:
                break
        least = tried[best][1]
        return next(trial for trial, losses in tried if trial == tried[best][0] or not _worse(losses, least))

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
        return float(np.average(self.losses(strengths), weights=self.weights))

    def losses(self, strengths: Strengths) -> list[float]:
        """Loss of each split."""
        out = []
        for train, held, _ in self.splits:
            coefficients, intercept = _solve(train, _penalties(train, strengths), SEARCH)
            p = to_classes(held.x.astype(np.float64) @ coefficients + intercept)
            out.append(float(np.average(row_loss(held.y, p), weights=held.weight)))
        return out

    def predictions(self, strengths: Strengths) -> FloatArray:
        out = np.full((len(self.rows), self.rows.classes), np.nan)
        for train, held, mask in self.splits:
            coefficients, intercept = _solve(train, _penalties(train, strengths), SEARCH)
            out[mask] = to_classes(held.x.astype(np.float64) @ coefficients + intercept)
        return out


def _worse(losses: Sequence[float], least: Sequence[float]) -> bool:
    """Whether the splits' mean excess over the least loss is more than its standard error."""
    excess = np.subtract(losses, least)
    error = float(excess.std(ddof=1)) / math.sqrt(len(excess)) if len(excess) > 1 else 0.0
    return float(excess.mean()) > error


def _penalties(rows: Rows, strengths: Strengths) -> FloatArray:
    return np.concatenate([np.full(s.stop - s.start, v) for s, v in zip(rows.spans, strengths, strict=True)])


def _solve(rows: Rows, penalty: FloatArray, tolerance: float) -> tuple[FloatArray, FloatArray]:
    """Coefficients (d, m) and intercept (m,) for one penalty a column; infinite ones give zeros."""
    m = 1 if rows.classes == 2 else rows.classes
    coefficients, intercept = np.zeros((rows.x.shape[1], m)), log_rates(rows.rates)
    kept, seen = np.isfinite(penalty), np.unique(rows.y)
    if not kept.any() or len(seen) < 2:
        return coefficients, intercept
    # The library knows one strength for all: a column divided by the root of its own strength is penalised by it.
    unit = 1.0 / np.sqrt(penalty[kept, None])
    # Its gradient is that of the divided columns; asked for more than rounding allows there, its line search fails.
    tolerance *= max(1.0, float(unit.max()))
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=tolerance, max_iter=200)
    # Weights that sum to 1 make its sum of losses the mean that the strengths refer to.
    model.fit(rows.x[:, kept].astype(np.float64) * unit.T, rows.y, rows.weight / rows.weight.sum())
    found, offset = model.coef_.T * unit, model.intercept_
    if m == 1:
        coefficients[kept], intercept = found, offset
        return coefficients, np.asarray(intercept, dtype=np.float64)
    if len(seen) == 2:
        # Two of several classes come back as one column of log odds, which is split between the two.
        found, offset = found * np.array([-0.5, 0.5]), offset * np.array([-0.5, 0.5])
    coefficients[np.ix_(kept, seen)] = found
    # Logits are free up to a constant; this one leaves classes that no row has at their floor.
    intercept[seen] = offset - offset.mean() + intercept[seen].mean()
    return coefficients, np.asarray(intercept, dtype=np.float64)
