"""LightGBM: eight leaves, few columns a tree, strong shrinkage; deterministic on one thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np

from radboost.booster import boosting
from radboost.booster.learner import to_classes
from radboost.booster.recipe import Recipe
from radboost.booster.rows import FloatArray, Inner, Matrix, Rows
from radboost.data.folder import write_json
from radboost.errors import FormatError

__all__ = ["Forest", "fit", "load"]

LEAVES = 8
BINS = 63
LEAST_ROWS = 5
"""Least rows of a leaf; low, since this library counts rows, not weights. The least sum of curvature does the rest."""


@dataclass(frozen=True)
class Forest:
    """Fitted trees over a start margin; no booster means the base rate.

    Attributes
    ----------
    start
        Margin of the base rate, (1,) or (classes,).
    booster
        The library's model, or None.
    inner
        See `radboost.booster.learner.Fitted`.
    """

    start: FloatArray
    booster: lgb.Booster | None
    inner: FloatArray = field(repr=False, default_factory=lambda: np.empty((0, 0)))

    def predict_proba(self, x: Matrix) -> FloatArray:
        """Probabilities, (n, classes)."""
        margin = np.tile(self.start, (len(x), 1))
        if self.booster is not None and len(x):
            margin = margin + _raw(self.booster, x, self.booster.current_iteration())
        return to_classes(margin)

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and, where there are trees, ``model.txt`` in the library's own text format."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.booster is not None:
            self.booster.save_model(str(folder / "model.txt"))
        content = {"learner": "lightgbm", "start": self.start.tolist(), "trees": self.booster is not None}
        write_json(folder / "model.json", content)


def load(folder: Path, content: Mapping[str, Any]) -> Forest:
    """Read what `Forest.save` wrote."""
    start = np.asarray(content["start"], dtype=np.float64)
    if not content["trees"]:
        return Forest(start, None)
    try:
        return Forest(start, lgb.Booster(model_file=str(folder / "model.txt")))
    except lgb.basic.LightGBMError as error:
        raise FormatError("is damaged", where=folder / "model.txt", do="Run fit-boost again") from error


def fit(rows: Rows, inner: Inner, recipe: Recipe) -> Forest:
    """Fit; rounds are chosen on the inner folds."""
    settings = _settings(rows, recipe.seed)

    def begin(train: Rows, held: Rows, start: FloatArray) -> _Trial:
        return _Trial(settings, train, held, start)

    def refit(all_rows: Rows, start: FloatArray, rounds: int) -> lgb.Booster:
        return lgb.train(settings, _dataset(all_rows, start), rounds)

    done = boosting.boost(rows, inner, begin, refit)
    return Forest(done.start, done.model, done.inner)


class _Trial:
    """One inner fit, grown round by round."""

    def __init__(self, settings: Mapping[str, Any], train: Rows, held: Rows, start: FloatArray) -> None:
        base = _dataset(train, start)
        self._x = held.x
        self._model = lgb.Booster(dict(settings), base)
        self._model.add_valid(_dataset(held, start, base), "held")

    def step(self) -> float:
        self._model.update()
        ((_, _, loss, *_),) = self._model.eval_valid()
        return float(loss)

    def margin(self, rounds: int) -> FloatArray:
        return _raw(self._model, self._x, rounds)


def _settings(rows: Rows, seed: int) -> dict[str, Any]:
    several = rows.classes > 2
    return {
        "objective": "multiclass" if several else "binary",
        "metric": "multi_logloss" if several else "binary_logloss",
        **({"num_class": rows.classes} if several else {}),
        "boost_from_average": False,
        "learning_rate": boosting.LEARNING_RATE,
        "num_leaves": LEAVES,
        "max_depth": boosting.DEPTH + 1,
        "lambda_l2": boosting.SHRINKAGE,
        "min_data_in_leaf": LEAST_ROWS,
        "min_sum_hessian_in_leaf": 0.5,
        "feature_fraction": boosting.column_share(rows.x.shape[1]),
        "max_bin": BINS,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }


def _dataset(rows: Rows, start: FloatArray, reference: lgb.Dataset | None = None) -> lgb.Dataset:
    # The library reads several classes' start margins class by class.
    margin = np.repeat(start, len(rows))
    settings = {"max_bin": BINS, "num_threads": 1, "verbosity": -1, "min_data_in_bin": 1, "feature_pre_filter": False}
    return lgb.Dataset(
        rows.x, rows.y, weight=rows.weight, init_score=margin, reference=reference, params=settings, free_raw_data=True
    )


def _raw(model: lgb.Booster, x: Matrix, rounds: int) -> FloatArray:
    raw = np.asarray(model.predict(x, num_iteration=rounds, raw_score=True, num_threads=1), dtype=np.float64)
    return raw.reshape(len(x), -1)
