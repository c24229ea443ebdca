"""What both boosting libraries share: start at the base rate, stop by inner groups, refit on all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from radboost.booster.learner import best_round, lowest_round, row_loss, to_classes
from radboost.booster.library import Library, Trial
from radboost.booster.objective import Loss
from radboost.booster.recipe import Recipe
from radboost.booster.rows import FloatArray, Inner, IntArray, Rows

__all__ = ["Boosted", "Shape", "boost", "chosen_library", "settled"]

ROUNDS = 400
PATIENCE = 30
LEARNING_RATE = 0.05
DEPTH = 3
SHRINKAGE = 10.0
"""L2 on leaf values, in units of row weight: a leaf of ten rows is halved."""

COLUMNS_A_TREE = 24.0
LEAST_SHARE = 0.05
LEAST_WEIGHT = 0.5
SEED_STEP = 1009
"""Between the seeds of averaged models."""


@dataclass(frozen=True)
class Shape:
    """How trees grow.

    Attributes
    ----------
    learning_rate, depth, shrinkage
        Step of each tree, its largest depth, and the L2 penalty of its leaves.
    least_weight
        Least sum of curvature in a leaf.
    column_share
        Share of the columns that a tree may look at: about 24 of them where nothing else is said, at least 5 %.
    """

    learning_rate: float
    depth: int
    shrinkage: float
    least_weight: float
    column_share: float


def settled(recipe: Recipe, columns: int) -> Shape:
    """Give the shape of the trees: the recipe's settings ``learning_rate``, ``depth``, ``shrinkage``, ``least_weight``
    and ``columns_a_tree``, or our own.
    """  # noqa: D205
    share = recipe.get("columns_a_tree", COLUMNS_A_TREE) / max(1, columns)
    return Shape(
        learning_rate=recipe.get("learning_rate", LEARNING_RATE),
        depth=int(recipe.get("depth", DEPTH)),
        shrinkage=recipe.get("shrinkage", SHRINKAGE),
        least_weight=recipe.get("least_weight", LEAST_WEIGHT),
        column_share=float(min(1.0, max(LEAST_SHARE, share))),
    )


@dataclass(frozen=True)
class Boosted:
    """Outcome of `boost`.

    Attributes
    ----------
    loss
        What was minimised on all rows; it knows the start margin and corrects probabilities.
    models
        The library's models, one a seed; none leaves the base rate.
    inner
        See `radboost.booster.learner.Fitted`.
    """

    loss: Loss
    models: tuple[Any, ...]
    inner: FloatArray


@dataclass(frozen=True)
class _Split:
    """One inner split: its validation rows, and a trial for each seed."""

    held: IntArray
    y: IntArray
    weight: FloatArray
    loss: Loss
    trials: Sequence[Trial]

    def judge(self, parts: Sequence[FloatArray]) -> float:
        """Plain weighted log loss of the averaged, corrected probabilities."""
        p = self.loss.corrected(_mean(parts))
        return float(np.average(row_loss(self.y, p), weights=self.weight))

    @property
    def base(self) -> FloatArray:
        return to_classes(np.tile(self.loss.start, (len(self.y), 1)))


def chosen_library(
    learner: str, rows: Rows, inner: Inner, recipe: Recipe, here: Callable[[Rows, Inner, Recipe], Library]
) -> Library:
    """Give the recipe's team where the rows are many enough for it, else `here`, made on these rows."""
    split = None if recipe.team is None else recipe.team.library(learner, rows, inner, recipe)
    return here(rows, inner, recipe) if split is None else split


def boost(rows: Rows, inner: Inner, library: Library, recipe: Recipe) -> Boosted:
    """Choose the number of rounds on inner groups, then fit all rows with it.

    The splits grow in step. Stopped each by itself, those that got worse would stop early and look harmless, and one
    lucky split would choose for all.

    Parameters
    ----------
    rows, inner
        Training rows and their inner folds.
    library
        Fits them.
    recipe
        Seeds to average, and the objective. Rounds are judged by the plain log loss whatever the objective.
    """
    seeds = [recipe.seed + SEED_STEP * i for i in range(recipe.seeds or 1)]
    # The loss looks at labels and weights only.
    thin = replace(rows, x=rows.x[:, :0], spans=(), memo={})
    splits = []
    for number, (train, mask) in enumerate(inner):
        loss, held = recipe.objective.bind(thin.take(train)), np.flatnonzero(mask)
        trials = [library.begin(number, loss, seed) for seed in seeds]
        splits.append(_Split(held, rows.y[held], rows.weight[held], loss, trials))
    weights = [float(split.weight.sum()) for split in splits]
    curves = [[split.judge([split.base])] for split in splits]
    for reached in range(1, ROUNDS + 1):
        for curve, split in zip(curves, splits, strict=True):
            curve.append(split.judge([trial.step() for trial in split.trials]))
        if reached - lowest_round(curves, weights) >= PATIENCE:
            break
    best = best_round(curves, weights)
    out = np.full((len(rows), rows.classes), np.nan)
    for split in splits:
        found = [trial.probabilities(best) for trial in split.trials] if best else [split.base]
        out[split.held] = split.loss.corrected(_mean(found))
    loss = recipe.objective.bind(thin)
    return Boosted(loss, tuple(library.grow(loss, seed, best) for seed in seeds) if best else (), out)


def _mean(parts: Sequence[FloatArray]) -> FloatArray:
    return parts[0] if len(parts) == 1 else np.mean(parts, axis=0)
