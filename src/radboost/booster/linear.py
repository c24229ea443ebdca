"""Logistic regression whose blocks of columns are penalised apart.

Minimises the weighted mean log loss plus half the sum over blocks of strength x squared coefficients. The strengths are
chosen on inner folds; a block may be dropped, and where none helps the base rate remains. For two classes an elastic
net, whose blocks keep the proportions of the ridge's strengths, takes its place where it is better by more than luck;
see `radboost.booster.elastic`.

Of an objective it honours the class weights. It keeps the log loss where networks and trees have a focal or smoothed
one, since that is what makes it convex.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from sklearn import config_context
from sklearn.linear_model import LogisticRegression

from radboost.booster.elastic import RATIOS, Sparse, Weighted, elastic_path, pays, strengths_from
from radboost.booster.learner import best_round, lowest_round, row_loss, to_classes
from radboost.booster.newton import fit_newton
from radboost.booster.objective import Loss, Objective
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
SPARSE_SEARCH, SPARSE_FINAL = 1e-3, 1e-7
"""Likewise for the elastic net: largest last change of a coefficient."""

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
    loss
        What was minimised; it corrects probabilities.
    sparse
        Point of the elastic net, of columns divided by the root of their block's strength over the least one; None for
        the ridge.
    inner
        See `radboost.booster.learner.Fitted`.
    """

    coefficients: FloatArray
    intercept: FloatArray
    strengths: Strengths
    loss: Loss
    sparse: Sparse | None = None
    inner: FloatArray = field(repr=False, default_factory=lambda: np.empty((0, 0)))

    def predict_proba(self, x: Matrix) -> FloatArray:
        """Probabilities, (n, classes)."""
        return self.loss.corrected(to_classes(x.astype(np.float64) @ self.coefficients + self.intercept))

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and ``model.safetensors``."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"coefficients": self.coefficients, "intercept": self.intercept}
        save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, folder / "model.safetensors")
        strengths = [None if math.isinf(s) else s for s in self.strengths]
        sparse = None if self.sparse is None else [self.sparse.ratio, self.sparse.strength]
        content = {"learner": "logistic", "strengths": strengths, "sparse": sparse, "loss": self.loss.to_dict()}
        write_json(folder / "model.json", content)


def load(folder: Path, content: Mapping[str, Any]) -> Logistic:
    """Read what `Logistic.save` wrote."""
    arrays = load_file(folder / "model.safetensors")
    strengths = tuple(math.inf if s is None else float(s) for s in content["strengths"])
    loss, sparse = Loss.from_dict(content["loss"]), content["sparse"]
    point = None if sparse is None else Sparse(float(sparse[0]), float(sparse[1]))
    return Logistic(arrays["coefficients"], arrays["intercept"], strengths, loss, point)


def fit(rows: Rows, inner: Inner, recipe: Recipe) -> Logistic:
    """Choose the penalty on the inner folds and fit all rows with it; nothing is drawn, so that seeds do not matter."""
    objective = replace(recipe.objective, focal=0.0, soft=0.0)
    search, loss = _Search(rows, inner, objective), objective.bind(rows)
    strengths = search.run()
    sparse = search.sparse(strengths)
    if sparse is None:
        found = _solve(rows, loss, _penalties(rows, strengths), FINAL)
        return Logistic(*found, strengths, loss, None, search.predictions(strengths))
    point, predicted = sparse
    scale = _scales(rows, strengths)
    (b, offset) = list(elastic_path(_weighted(rows, loss, scale), point.ratio, point.path, SPARSE_FINAL))[-1]
    found = (b * scale)[:, None], np.array([offset])
    return Logistic(*found, strengths, loss, Sparse(point.ratio, point.path[-1]), predicted)


@dataclass(frozen=True)
class _Path:
    """Strengths of one ratio down to the chosen one."""

    ratio: float
    path: tuple[float, ...]


class _Search:
    """Mean inner loss as a function of the strengths."""

    def __init__(self, rows: Rows, inner: Inner, objective: Objective) -> None:
        self.rows = rows
        self.splits = list(inner.cut(rows))
        self.bound = [objective.bind(train) for train, _, _ in self.splits]
        self.whole = objective.bind(rows)
        self.weights = [float(held.weight.sum()) for _, held, _ in self.splits]
        self._known: dict[Strengths, list[float]] = {}

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
        """Loss of each split; strengths that were tried come again in every sweep."""
        found = self._known.get(strengths)
        if found is None:
            held = [held for _, held, _ in self.splits]
            found = [_loss(h, p) for h, p in zip(held, self._predicted(strengths), strict=True)]
            self._known[strengths] = found
        return found

    def predictions(self, strengths: Strengths) -> FloatArray:
        return self._placed(self._predicted(strengths))

    def _predicted(self, strengths: Strengths) -> list[FloatArray]:
        """Probabilities of each split's validation rows."""
        out = []
        for (train, held, _), loss in zip(self.splits, self.bound, strict=True):
            coefficients, intercept = _solve(train, loss, _penalties(train, strengths), SEARCH)
            out.append(loss.corrected(to_classes(held.x.astype(np.float64) @ coefficients + intercept)))
        return out

    def _placed(self, parts: Sequence[FloatArray]) -> FloatArray:
        out = np.full((len(self.rows), self.rows.classes), np.nan)
        for (_, _, mask), p in zip(self.splits, parts, strict=True):
            out[mask] = p
        return out

    def sparse(self, strengths: Strengths) -> tuple[_Path, FloatArray] | None:
        """Strongest elastic net within one standard error of the best, if it beats these strengths by more than luck.

        With its inner predictions. One path a ratio, over all splits.
        """
        rows = self.rows
        judged = [train for train, _, _ in self.splits] + [rows]
        if rows.classes != 2 or not pays(*rows.x.shape) or any(len(np.unique(r.y)) < 2 for r in judged):
            return None
        scale = _scales(rows, strengths)
        tried: list[tuple[_Path, list[FloatArray], list[float]]] = []
        for ratio in RATIOS:
            path = strengths_from(_weighted(rows, self.whole, scale), ratio)
            each = [self._along(i, ratio, path, scale) for i in range(len(self.splits))]
            for at in range(len(path)):
                parts = [own[at] for own in each]
                losses = [_loss(held, p) for (_, held, _), p in zip(self.splits, parts, strict=True)]
                tried.append((_Path(ratio, tuple(path[: at + 1])), parts, losses))
        if not tried:
            return None
        best = lowest_round(list(zip(*(losses for _, _, losses in tried), strict=True)), self.weights)
        ratio, least = tried[best][0].ratio, tried[best][2]
        chosen = next(t for t in tried if t[0].ratio == ratio and (t is tried[best] or not _worse(t[2], least)))
        pairs = list(zip(self.losses(strengths), chosen[2], strict=True))
        return (chosen[0], self._placed(chosen[1])) if best_round(pairs, self.weights) else None

    def _along(self, split: int, ratio: float, path: Sequence[float], scale: FloatArray) -> list[FloatArray]:
        train, held, _ = self.splits[split]
        x, loss = held.x.astype(np.float64) * scale, self.bound[split]
        found = elastic_path(_weighted(train, loss, scale), ratio, path, SPARSE_SEARCH)
        return [loss.corrected(to_classes((x @ b + offset)[:, None])) for b, offset in found]


def _loss(held: Rows, p: FloatArray) -> float:
    """Plain weighted log loss."""
    return float(np.average(row_loss(held.y, p), weights=held.weight))


def _weighted(rows: Rows, loss: Loss, scale: FloatArray) -> Weighted:
    weight = loss.weights(rows.y, rows.weight)
    return Weighted(rows.x.astype(np.float64) * scale, rows.y, weight / weight.sum())


def _scales(rows: Rows, strengths: Strengths) -> FloatArray:
    """What columns are multiplied by (d,): a block of larger strength less, one that was dropped by 0."""
    penalty = _penalties(rows, strengths)
    kept = np.isfinite(penalty)
    if not kept.any():
        # The ridge found nothing; a few columns of any block may still tell something.
        return np.ones(len(penalty))
    return np.where(kept, np.sqrt(penalty[kept].min() / np.where(kept, penalty, 1.0)), 0.0)


def _worse(losses: Sequence[float], least: Sequence[float]) -> bool:
    """Whether the splits' mean excess over the least loss is more than its standard error."""
    excess = np.subtract(losses, least)
    error = float(excess.std(ddof=1)) / math.sqrt(len(excess)) if len(excess) > 1 else 0.0
    return float(excess.mean()) > error


def _penalties(rows: Rows, strengths: Strengths) -> FloatArray:
    return np.concatenate([np.full(s.stop - s.start, v) for s, v in zip(rows.spans, strengths, strict=True)])


def _solve(rows: Rows, loss: Loss, penalty: FloatArray, tolerance: float) -> tuple[FloatArray, FloatArray]:
    """Coefficients (d, m) and intercept (m,) for one penalty a column; infinite ones give zeros."""
    m = 1 if rows.classes == 2 else rows.classes
    coefficients, intercept = np.zeros((rows.x.shape[1], m)), loss.start
    kept, seen = np.isfinite(penalty), np.unique(rows.y)
    if not kept.any() or len(seen) < 2:
        return coefficients, intercept
    # The library knows one strength for all: a column divided by the root of its own strength is penalised by it.
    unit = 1.0 / np.sqrt(penalty[kept, None])
    # Its gradient is that of the divided columns; asked for more than rounding allows there, its line search fails.
    tolerance *= max(1.0, float(unit.max()))
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=tolerance, max_iter=200)
    # Weights that sum to 1 make its sum of losses the mean that the strengths refer to.
    weight = loss.weights(rows.y, rows.weight)
    x, turn = _turned(rows.x[:, kept].astype(np.float64) * unit.T)
    # Rows are finite and the parameters ours; looking at them anew is a fifth of a small fit.
    with config_context(assume_finite=True, skip_parameter_validation=True):
        fit_newton(model, x, rows.y, weight / weight.sum())
    found, offset = (model.coef_.T if turn is None else turn @ model.coef_.T) * unit, model.intercept_
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


def _turned(x: FloatArray) -> tuple[FloatArray, FloatArray | None]:
    """Columns (n, at most n) that a ridge fits as it fits `x` (n, d), and the orthonormal (d, n) that leads back.

    A ridge's coefficients are a sum of rows, so that where columns are more than rows it is solved within the rows'
    span: Newton's steps then cost as the cube of the rows, not of the columns.
    """
    if x.shape[1] <= len(x):
        return x, None
    turn, within = np.linalg.qr(x.T)
    return np.ascontiguousarray(within.T), turn
