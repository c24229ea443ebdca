"""XGBoost: depth three, 64 bins, strong shrinkage, no row sampling, so that weight 2 equals the row twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from radboost.booster.boosting import boost, settled
from radboost.booster.learner import to_classes
from radboost.booster.objective import Loss
from radboost.booster.recipe import Recipe
from radboost.booster.rows import FloatArray, Inner, Matrix, Rows
from radboost.data.folder import write_json
from radboost.errors import FormatError

__all__ = ["Forest", "fit_targets", "load"]

BINS = 64


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
        matrix = xgb.DMatrix(x, base_margin=_flat(start), nthread=1)
        parts = [to_classes(_margin(booster, matrix)) for booster in self.boosters]
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
    done = boost(rows, inner, _Library(rows, _Bins.of(rows, inner), recipe), recipe)
    return Forest(done.loss, done.models, done.inner)


class _Bins:
    """Quantised matrices of the training rows and of their inner splits, for any target and setting."""

    def __init__(self, rows: Rows, inner: Inner) -> None:
        weight = rows.weight if rows.common is None else rows.common
        self.fold = inner.fold
        self.whole = _matrix(rows.x, weight)
        self.splits = []
        for (train, held), x in zip(inner, inner.matrices(rows), strict=True):
            fitted = _matrix(x[train], weight[train])
            self.splits.append((train, fitted, held, _matrix(x[held], weight[held], fitted)))

    @classmethod
    def of(cls, rows: Rows, inner: Inner) -> _Bins:
        """Give the bins of these rows, made once for all that share them."""
        found = rows.memo.get("xgboost")
        if found is None or found.fold is not inner.fold:
            found = rows.memo["xgboost"] = cls(rows, inner)
        return found


class _Library:
    """One target on shared bins. The matrices carry its labels from now on, and those of the next target after it."""

    def __init__(self, rows: Rows, bins: _Bins, recipe: Recipe) -> None:
        self._rows, self._bins, self._recipe = rows, bins, recipe
        self._shape = settled(recipe, rows.x.shape[1])
        self._native = recipe.objective.focal == 0 and recipe.objective.soft == 0

    def begin(self, split: int, loss: Loss, seed: int) -> _Trial:
        train, fitted, held, seen = self._bins.splits[split]
        self._describe(fitted, train, loss)
        self._describe(seen, held, loss)
        model = xgb.Booster(self._settings(seed), [fitted, seen])
        return _Trial(model, fitted, seen, self._gradient(train, loss))

    def grow(self, loss: Loss, seed: int, rounds: int) -> xgb.Booster:
        every = np.ones(len(self._rows), dtype=bool)
        self._describe(self._bins.whole, every, loss)
        model = xgb.Booster(self._settings(seed), [self._bins.whole])
        gradient = self._gradient(every, loss)
        for number in range(rounds):
            _step(model, self._bins.whole, number, gradient)
        return model

    def _describe(self, matrix: xgb.QuantileDMatrix, mask: npt.NDArray[np.bool_], loss: Loss) -> None:
        y = self._rows.y[mask]
        matrix.set_label(y)
        matrix.set_weight(loss.weights(y, self._rows.weight[mask]))
        matrix.set_base_margin(_flat(np.tile(loss.start, (len(y), 1))))

    def _gradient(self, mask: npt.NDArray[np.bool_], loss: Loss) -> Any:
        """Derivatives by margin where the library has no such objective, else None."""
        if self._native:
            return None
        y, weight, several = self._rows.y[mask], self._rows.weight[mask], self._rows.classes > 2

        def gradient(margin: FloatArray) -> tuple[FloatArray, FloatArray]:
            first, second = loss.gradient(margin, y, weight)
            # The library's own objective for several classes doubles the curvature.
            return first, 2 * second if several else second

        return gradient

    def _settings(self, seed: int) -> dict[str, Any]:
        several, shape = self._rows.classes > 2, self._shape
        return {
            "objective": "multi:softprob" if several else "binary:logistic",
            **({"num_class": self._rows.classes} if several else {}),
            "base_score": 0.5,
            "tree_method": "hist",
            "device": self._recipe.device,
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
    """One inner fit, grown round by round."""

    def __init__(
        self, model: xgb.Booster, train: xgb.QuantileDMatrix, held: xgb.QuantileDMatrix, gradient: Any
    ) -> None:
        # The model knows both matrices as its caches, so that a round adds its own tree to the margins and no more.
        self._model, self._train, self._held, self._gradient = model, train, held, gradient
        self._rounds = 0

    def step(self) -> FloatArray:
        _step(self._model, self._train, self._rounds, self._gradient)
        self._rounds += 1
        return to_classes(_margin(self._model, self._held))

    def probabilities(self, rounds: int) -> FloatArray:
        return to_classes(_margin(self._model, self._held, rounds))


def _step(model: xgb.Booster, matrix: xgb.QuantileDMatrix, number: int, gradient: Any) -> None:
    if gradient is None:
        model.update(matrix, number)
        return
    first, second = gradient(_margin(model, matrix))
    model.boost(matrix, number, grad=first.astype(np.float32), hess=second.astype(np.float32))


def _matrix(x: Matrix, weight: FloatArray, reference: xgb.QuantileDMatrix | None = None) -> xgb.QuantileDMatrix:
    return xgb.QuantileDMatrix(x, weight=weight, max_bin=BINS, ref=reference, nthread=1)


def _margin(model: xgb.Booster, matrix: xgb.DMatrix, rounds: int = 0) -> FloatArray:
    """Margins (n, m) with the start margin, after so many rounds (0: all)."""
    raw = model.predict(matrix, output_margin=True, iteration_range=(0, rounds))
    return np.asarray(raw, dtype=np.float64).reshape(matrix.num_row(), -1)


def _flat(margin: FloatArray) -> FloatArray:
    return margin if margin.shape[1] > 1 else margin[:, 0]
