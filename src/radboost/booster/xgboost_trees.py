"""XGBoost: depth three, 64 bins, strong shrinkage, no row sampling, so that weight 2 equals the row twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from radboost.booster.boosting import boost, settled
from radboost.booster.learner import to_classes
from radboost.booster.objective import Loss
from radboost.booster.recipe import Recipe
from radboost.booster.rows import FloatArray, Inner, Matrix, Rows
from radboost.booster.xgboost_bins import BINS, Bins, Labelled, OwnBins, SharedBins, flat, raw_margin
from radboost.data.folder import write_json
from radboost.errors import FormatError

__all__ = ["Forest", "fit_targets", "load", "settings"]


@dataclass(frozen=True)
class Forest:
    """Fitted trees over a start margin; no booster means the base rate.

    Attributes
    ----------
    loss
        What was minimised.
    boosters
        The library's models, whose probabilities are averaged.
    inner
        See `radboost.booster.learner.Fitted`.
    """

    loss: Loss
    boosters: tuple[xgb.Booster, ...]
    inner: FloatArray = field(repr=False, default_factory=lambda: np.empty((0, 0)))

    def predict_proba(self, x: Matrix) -> FloatArray:
        """Probabilities, (n, classes)."""
        start = np.tile(self.loss.start, (len(x), 1))
        if not self.boosters or not len(x):
            return self.loss.corrected(to_classes(start))
        matrix = xgb.DMatrix(x, base_margin=flat(start), nthread=1)
        parts = [to_classes(raw_margin(booster, matrix)) for booster in self.boosters]
        return self.loss.corrected(np.mean(parts, axis=0))

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and the trees, ``model<i>.ubj``, in the library's own binary JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, booster in enumerate(self.boosters):
            booster.save_model(str(folder / f"model{number}.ubj"))
        content = {"learner": "xgboost", "loss": self.loss.to_dict(), "boosters": len(self.boosters)}
        write_json(folder / "model.json", content)


def load(folder: Path, content: Mapping[str, Any]) -> Forest:
    """Read what `Forest.save` wrote."""
    boosters = []
    for number in range(content["boosters"]):
        path, booster = folder / f"model{number}.ubj", xgb.Booster()
        try:
            booster.load_model(str(path))
            booster.set_param({"nthread": 1, "device": "cpu"})
        except xgb.core.XGBoostError as error:
            raise FormatError("is damaged", where=path, do="Run fit-boost again") from error
        boosters.append(booster)
    return Forest(Loss.from_dict(content["loss"]), tuple(boosters))


def fit_targets(jobs: Sequence[tuple[Rows, Inner]], recipe: Recipe) -> list[Forest]:
    """Fit targets one after the other; those with the same matrix share its bins. Rounds are chosen on inner folds."""
    return [_fit(rows, inner, recipe) for rows, inner in jobs]


def _fit(rows: Rows, inner: Inner, recipe: Recipe) -> Forest:
    # Labels and weights are written into what all folds share, so one fold at a time uses it.
    with rows.whole.lock if rows.whole is not None else nullcontext():
        done = boost(rows, inner, _Library(rows, inner, recipe), recipe)
    return Forest(done.loss, done.models, done.inner)


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
