"""XGBoost: depth three, 64 bins, strong shrinkage, no row sampling, so that weight 2 equals the row twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from radboost.booster.boosting import boost, chosen_library, settled
from radboost.booster.forest import Forest, Trees
from radboost.booster.learner import to_classes
from radboost.booster.library import Library
from radboost.booster.objective import Loss
from radboost.booster.recipe import Recipe
from radboost.booster.rows import FloatArray, Inner, Matrix, Rows
from radboost.booster.xgboost_bins import BINS, Bins, Labelled, OwnBins, SharedBins, flat, raw_margin
from radboost.errors import FormatError

__all__ = ["TREES", "fit_targets", "library", "load", "settings"]


def _margins(models: Sequence[xgb.Booster], x: Matrix, start: FloatArray) -> Iterator[FloatArray]:
    matrix = xgb.DMatrix(x, base_margin=flat(start), nthread=1)
    return (raw_margin(model, matrix) for model in models)


def _told(models: Sequence[xgb.Booster], x: Matrix, start: FloatArray) -> Iterator[FloatArray]:
    matrix = xgb.DMatrix(x, base_margin=flat(start), nthread=1)
    for model in models:
        values = np.asarray(model.predict(matrix, pred_contribs=True), dtype=np.float64)
        # (n, d + 1), or (n, classes, d + 1).
        yield values[:, :, None] if values.ndim == 2 else values.transpose(0, 2, 1)


def _read(path: Path) -> xgb.Booster:
    model = xgb.Booster()
    try:
        model.load_model(str(path))
        model.set_param({"nthread": 1, "device": "cpu"})
    except xgb.core.XGBoostError as error:
        raise FormatError("is damaged", where=path, do="Run fit-boost again") from error
    return model


def _write(model: xgb.Booster, path: Path) -> None:
    model.save_model(str(path))


TREES = Trees("xgboost", ".ubj", _margins, _told, _write, _read)
"""The library's own binary JSON."""


def load(folder: Path, content: Mapping[str, Any]) -> Forest:
    """Read what `Forest.save` wrote."""
    return TREES.load(folder, content)


def fit_targets(jobs: Sequence[tuple[Rows, Inner]], recipe: Recipe) -> list[Forest]:
    """Fit targets one after the other; those with the same matrix share its bins. Rounds are chosen on inner folds."""
    return [_fit(rows, inner, recipe) for rows, inner in jobs]


def _fit(rows: Rows, inner: Inner, recipe: Recipe) -> Forest:
    # Labels and weights are written into what all folds share, so one fold at a time uses it.
    with rows.whole.lock if rows.whole is not None else nullcontext():
        done = boost(rows, inner, chosen_library("xgboost", rows, inner, recipe, library), recipe)
    return TREES.fitted(done)


def library(rows: Rows, inner: Inner, recipe: Recipe) -> Library:
    """Give what grows trees on one target's rows, in this process."""
    return _Library(rows, inner, recipe)


class _Library:
    """One target. The matrices carry its labels from now on, and those of the next target after it."""

    def __init__(self, rows: Rows, inner: Inner, recipe: Recipe) -> None:
        self._rows, self._inner, self._recipe = rows, inner, recipe
        # With several classes the library gives even a row of weight 0 some curvature, which ours does not.
        weighed_out = rows.whole is not None and rows.classes > 2
        self._native = recipe.objective.focal == 0 and recipe.objective.soft == 0 and not weighed_out
        self._bins: Bins = SharedBins.of(rows, inner) if rows.whole is not None else OwnBins.of(rows, inner)

    def begin(self, split: int, loss: Loss, seed: int) -> _Trial:
        return _Trial(
            settings(self._rows.classes, self._rows.x.shape[1], self._recipe, seed),
            self._bins.split(split, self._rows, loss),
            self._native,
        )

    def grow(self, loss: Loss, seed: int, rounds: int) -> xgb.Booster:
        trial = _Trial(
            settings(self._rows.classes, self._rows.x.shape[1], self._recipe, seed),
            self._bins.every(self._rows, loss),
            self._native,
        )
        for _ in range(rounds):
            trial.add()
        return trial.model


def settings(classes: int, columns: int, recipe: Recipe, seed: int) -> dict[str, Any]:
    """Give the library's parameters for a target with so many classes, on so many columns."""
    several, shape = classes > 2, settled(recipe, columns)
    return {
        "objective": "multi:softprob" if several else "binary:logistic",
        **({"num_class": classes} if several else {}),
        "base_score": 0.5,
        "tree_method": "hist",
        "device": recipe.device,
        "eta": shape.learning_rate,
        "max_depth": shape.depth,
        "lambda": shape.shrinkage,
        "min_child_weight": shape.least_weight,
        "colsample_bytree": shape.column_share,
        "max_bin": BINS,
        "seed": seed,
        "nthread": 1,
        "verbosity": 0,
    }


class _Trial:
    """One fit, grown round by round."""

    def __init__(self, parameters: Mapping[str, Any], data: Labelled, native: bool) -> None:
        self._data, self._native = data, native
        # The model knows the matrices as its caches, so that a round adds its own tree to the margins and no more.
        self.model = xgb.Booster(dict(parameters), data.matrices)
        self._rounds = 0

    def add(self) -> None:
        """Add a round."""
        self._data.write()
        if self._native:
            self.model.update(self._data.train, self._rounds)
        else:
            first, second = self._data.gradient(raw_margin(self.model, self._data.train))
            self.model.boost(self._data.train, self._rounds, grad=first, hess=second)
        self._rounds += 1

    def step(self) -> FloatArray:
        self.add()
        return to_classes(self._data.held_margin(self.model))

    def probabilities(self, rounds: int) -> FloatArray:
        self._data.write()
        return to_classes(self._data.held_margin(self.model, rounds))
