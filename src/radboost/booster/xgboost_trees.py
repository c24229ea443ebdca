"""XGBoost: depth three, 64 bins, strong shrinkage, no row sampling, so that weight 2 equals the row twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from radboost.booster import boosting
from radboost.booster.learner import row_loss, to_classes
from radboost.booster.recipe import Recipe
from radboost.booster.rows import FloatArray, Inner, Matrix, Rows
from radboost.data.folder import write_json
from radboost.errors import FormatError

__all__ = ["Forest", "fit", "load"]

BINS = 64


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
    booster: xgb.Booster | None
    inner: FloatArray = field(repr=False, default_factory=lambda: np.empty((0, 0)))

    def predict_proba(self, x: Matrix) -> FloatArray:
        """Probabilities, (n, classes)."""
        margin = np.tile(self.start, (len(x), 1))
        if self.booster is not None and len(x):
            margin = margin + _raw(self.booster, x, self.booster.num_boosted_rounds(), len(self.start))
        return to_classes(margin)

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and, where there are trees, ``model.ubj`` in the library's own binary JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.booster is not None:
            self.booster.save_model(str(folder / "model.ubj"))
        content = {"learner": "xgboost", "start": self.start.tolist(), "trees": self.booster is not None}
        write_json(folder / "model.json", content)


def load(folder: Path, content: Mapping[str, Any]) -> Forest:
    """Read what `Forest.save` wrote."""
    start = np.asarray(content["start"], dtype=np.float64)
    if not content["trees"]:
        return Forest(start, None)
    booster = xgb.Booster()
    try:
        booster.load_model(str(folder / "model.ubj"))
        booster.set_param({"nthread": 1})
    except xgb.core.XGBoostError as error:
        raise FormatError("is damaged", where=folder / "model.ubj", do="Run fit-boost again") from error
    return Forest(start, booster)


def fit(rows: Rows, inner: Inner, recipe: Recipe) -> Forest:
    """Fit; rounds are chosen on the inner folds."""
    settings = _settings(rows, recipe.seed)

    def begin(train: Rows, held: Rows, start: FloatArray) -> _Trial:
        return _Trial(settings, train, held, start)

    def refit(all_rows: Rows, start: FloatArray, rounds: int) -> xgb.Booster:
        return xgb.train(settings, _matrix(all_rows, start), rounds)

    done = boosting.boost(rows, inner, begin, refit)
    return Forest(done.start, done.model, done.inner)


class _Trial:
    """One inner fit, grown round by round."""

    def __init__(self, settings: Mapping[str, Any], train: Rows, held: Rows, start: FloatArray) -> None:
        self._train, self._seen, self._margins = _matrix(train, start), held, len(start)
        self._held = _matrix(held, start, self._train)
        # Named as caches, so that each round adds its own tree to the margins and no more.
        self._model = xgb.Booster(dict(settings), [self._train, self._held])
        self._rounds = 0

    def step(self) -> float:
        self._model.update(self._train, self._rounds)
        self._rounds += 1
        margin = np.asarray(self._model.predict(self._held, output_margin=True), dtype=np.float64)
        p = to_classes(margin.reshape(len(self._seen), -1))
        return float(np.average(row_loss(self._seen.y, p), weights=self._seen.weight))

    def margin(self, rounds: int) -> FloatArray:
        return _raw(self._model, self._seen.x, rounds, self._margins)


def _settings(rows: Rows, seed: int) -> dict[str, Any]:
    several = rows.classes > 2
    return {
        "objective": "multi:softprob" if several else "binary:logistic",
        "eval_metric": "mlogloss" if several else "logloss",
        **({"num_class": rows.classes} if several else {}),
        "base_score": 0.5,
        "tree_method": "hist",
        "eta": boosting.LEARNING_RATE,
        "max_depth": boosting.DEPTH,
        "lambda": boosting.SHRINKAGE,
        "min_child_weight": 0.5,
        "colsample_bytree": boosting.column_share(rows.x.shape[1]),
        "max_bin": BINS,
        "seed": seed,
        "nthread": 1,
        "verbosity": 0,
    }


def _matrix(rows: Rows, start: FloatArray, reference: xgb.QuantileDMatrix | None = None) -> xgb.QuantileDMatrix:
    margin = np.tile(start, (len(rows), 1))
    return xgb.QuantileDMatrix(
        rows.x,
        rows.y,
        weight=rows.weight,
        base_margin=margin if len(start) > 1 else margin[:, 0],
        max_bin=BINS,
        ref=reference,
        nthread=1,
    )


def _raw(model: xgb.Booster, x: Matrix, rounds: int, margins: int) -> FloatArray:
    """Margin of the trees alone: a start margin of 0 is given, since the model's own would be added otherwise."""
    matrix = xgb.DMatrix(x, base_margin=np.zeros((len(x), margins)).squeeze(axis=1 if margins == 1 else ()), nthread=1)
    raw = model.predict(matrix, output_margin=True, iteration_range=(0, rounds))
    return np.asarray(raw, dtype=np.float64).reshape(len(x), -1)
