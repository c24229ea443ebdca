"""LightGBM: eight leaves, few columns a tree, strong shrinkage; deterministic on one thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from radboost.booster.boosting import boost, chosen_library, settled
from radboost.booster.forest import Forest, Trees
from radboost.booster.learner import to_classes
from radboost.booster.library import Library
from radboost.booster.objective import Loss
from radboost.booster.recipe import Recipe
from radboost.booster.rows import FloatArray, Inner, IntArray, Matrix, Rows, Whole
from radboost.errors import FormatError

__all__ = ["TREES", "fit_targets", "library", "load", "settings"]

LEAVES = 8
BINS = 63
LEAST_ROWS = 5
"""Least rows of a leaf; low, since this library counts rows, not weights. The least sum of curvature does the rest."""

DATA = {"max_bin": BINS, "num_threads": 1, "verbosity": -1, "min_data_in_bin": 1, "feature_pre_filter": False}


def _margins(models: Sequence[lgb.Booster], x: Matrix, start: FloatArray) -> Iterator[FloatArray]:
    return (_margin(model, x, model.current_iteration()) + start for model in models)


def _told(models: Sequence[lgb.Booster], x: Matrix, start: FloatArray) -> Iterator[FloatArray]:
    for model in models:
        raw = np.asarray(model.predict(x, pred_contrib=True, num_threads=1), dtype=np.float64)
        # Class after class, each (n, d + 1).
        values = raw.reshape(len(x), start.shape[1], -1).transpose(0, 2, 1).copy()
        values[:, -1] += start
        yield values


def _read(path: Path) -> lgb.Booster:
    try:
        return lgb.Booster(model_file=str(path))
    except lgb.basic.LightGBMError as error:
        raise FormatError("is damaged", where=path, do="Run fit-boost again") from error


def _write(model: lgb.Booster, path: Path) -> None:
    model.save_model(str(path))


TREES = Trees("lightgbm", ".txt", _margins, _told, _write, _read)
"""The library's own text format."""


def load(folder: Path, content: Mapping[str, Any]) -> Forest:
    """Read what `Forest.save` wrote."""
    return TREES.load(folder, content)


def fit_targets(jobs: Sequence[tuple[Rows, Inner]], recipe: Recipe) -> list[Forest]:
    """Fit targets one after the other; those with the same matrix share its bins. Rounds are chosen on inner folds."""
    return [_fit(rows, inner, recipe) for rows, inner in jobs]


def _fit(rows: Rows, inner: Inner, recipe: Recipe) -> Forest:
    done = boost(rows, inner, chosen_library("lightgbm", rows, inner, recipe, library), recipe)
    return TREES.fitted(done)


@dataclass(frozen=True)
class _Split:
    """An inner split: its rows as masks, in bins, and its validation rows as they are."""

    train: npt.NDArray[np.bool_]
    held: npt.NDArray[np.bool_]
    fitted: lgb.Dataset
    seen: lgb.Dataset
    x: Matrix


class _Bins:
    """Binned rows and inner splits, for any target and setting."""

    def __init__(self, rows: Rows, inner: Inner) -> None:
        self.fold = inner.fold
        self._whole: lgb.Dataset | None = None
        self.splits = []
        if rows.whole is not None and rows.at is not None:
            # Rows out of the bins of all folds. Weight 0 would not do: the library counts rows in a leaf.
            base = _whole_dataset(rows.whole)
            for train, held in inner:
                fitted, seen = _subset(base, rows.at[train]), _subset(base, rows.at[held])
                self.splits.append(_Split(train, held, fitted, seen, rows.x[held]))
            return
        for (train, held), x in zip(inner, inner.matrices(rows), strict=True):
            fitted, part = _dataset(x[train]), x[held]
            self.splits.append(_Split(train, held, fitted, _dataset(part, fitted), part))

    def whole(self, rows: Rows) -> lgb.Dataset:
        """All training rows, made when they are first asked for."""
        if self._whole is None:
            if rows.whole is not None and rows.at is not None:
                self._whole = _subset(_whole_dataset(rows.whole), rows.at)
            else:
                self._whole = _dataset(rows.x)
        return self._whole

    @classmethod
    def of(cls, rows: Rows, inner: Inner) -> _Bins:
        """Give the bins of these rows, made once for all that share them."""
        found = rows.memo.get("lightgbm")
        if found is None or found.fold is not inner.fold:
            found = rows.memo["lightgbm"] = cls(rows, inner)
        return found


def library(rows: Rows, inner: Inner, recipe: Recipe) -> Library:
    """Give what grows trees on one target's rows, in this process."""
    return _Library(rows, _Bins.of(rows, inner), recipe)


class _Library:
    """One target on shared bins. The data sets carry its labels from now on, and those of the next target after it."""

    def __init__(self, rows: Rows, bins: _Bins, recipe: Recipe) -> None:
        self._rows, self._bins, self._recipe = rows, bins, recipe
        self._native = recipe.objective.focal == 0 and recipe.objective.soft == 0
        # The trials of several seeds share their data sets, which must not be told anything anew in between.
        self._told: dict[int, Loss] = {}

    def begin(self, split: int, loss: Loss, seed: int) -> _Trial:
        own = self._bins.splits[split]
        if split not in self._told:
            self._describe(own.fitted, own.train, loss)
            self._describe(own.seen, own.held, loss)
            self._told[split] = loss
        model = lgb.Booster(settings(self._rows.classes, self._rows.x.shape[1], self._recipe, seed), own.fitted)
        model.add_valid(own.seen, "held")
        return _Trial(model, own.x, loss.start, self._gradient(own.train, loss))

    def grow(self, loss: Loss, seed: int, rounds: int) -> lgb.Booster:
        every = np.ones(len(self._rows), dtype=bool)
        whole = self._bins.whole(self._rows)
        self._describe(whole, every, loss)
        model, gradient = (
            lgb.Booster(settings(self._rows.classes, self._rows.x.shape[1], self._recipe, seed), whole),
            self._gradient(every, loss),
        )
        for _ in range(rounds):
            model.update(fobj=gradient)
        # Without its data set, which the next target needs.
        return lgb.Booster(model_str=model.model_to_string())

    def _describe(self, data: lgb.Dataset, mask: npt.NDArray[np.bool_], loss: Loss) -> None:
        y = self._rows.y[mask]
        data.set_label(y)
        data.set_weight(loss.weights(y, self._rows.weight[mask]))
        # The library reads several classes' start margins class by class.
        data.set_init_score(np.repeat(loss.start, len(y)))

    def _gradient(self, mask: npt.NDArray[np.bool_], loss: Loss) -> Any:
        """Derivatives by margin where the library has no such objective, else None."""
        if self._native:
            return None
        y, weight, classes = self._rows.y[mask], self._rows.weight[mask], self._rows.classes

        def gradient(margin: FloatArray, data: lgb.Dataset) -> tuple[FloatArray, FloatArray]:
            first, second = loss.gradient(margin.reshape(len(y), -1), y, weight)
            # As the library's own objective for several classes does.
            factor = classes / (classes - 1) if classes > 2 else 1.0
            return (first, factor * second) if classes > 2 else (first[:, 0], second[:, 0])

        return gradient


def settings(classes: int, columns: int, recipe: Recipe, seed: int) -> dict[str, Any]:
    """Give the library's parameters for a target with so many classes, on so many columns."""
    several, shape = classes > 2, settled(recipe, columns)
    native = recipe.objective.focal == 0 and recipe.objective.soft == 0
    return {
        "objective": ("multiclass" if several else "binary") if native else "none",
        "metric": "none",
        **({"num_class": classes} if several else {}),
        "boost_from_average": False,
        "learning_rate": shape.learning_rate,
        "num_leaves": int(recipe.get("leaves", LEAVES)),
        "max_depth": shape.depth + 1,
        "lambda_l2": shape.shrinkage,
        "min_data_in_leaf": LEAST_ROWS,
        "min_sum_hessian_in_leaf": shape.least_weight,
        "feature_fraction": shape.column_share,
        "seed": seed,
        # A fit that several processes share: each finds the sums of its own rows, and all add them up.
        **({"tree_learner": "data", "num_machines": recipe.workers} if recipe.workers > 1 else {}),
        "deterministic": True,
        "force_row_wise": True,
        **DATA,
    }


class _Trial:
    """One inner fit, grown round by round."""

    def __init__(self, model: lgb.Booster, x: Matrix, start: FloatArray, gradient: Any) -> None:
        self._model, self._x, self._start, self._gradient = model, x, start, gradient
        self._last = np.empty((0, 0))

    def step(self) -> FloatArray:
        self._model.update(fobj=self._gradient)
        self._model.eval_valid(feval=self._look)
        return self._last

    def _look(self, given: FloatArray, data: lgb.Dataset) -> tuple[str, float, bool]:
        """Take the library's running predictions of the validation rows: it gives them to a metric only."""
        values = np.array(given, dtype=np.float64).reshape(len(self._x), -1)
        if self._gradient is not None:
            self._last = to_classes(values)
        else:
            self._last = values if values.shape[1] > 1 else np.hstack([1.0 - values, values])
        return "seen", 0.0, False

    def probabilities(self, rounds: int) -> FloatArray:
        return to_classes(_margin(self._model, self._x, rounds) + self._start)


def _dataset(x: Matrix, reference: lgb.Dataset | None = None) -> lgb.Dataset:
    # Labels come later; bins do not depend on them.
    data = lgb.Dataset(x, np.zeros(len(x)), reference=reference, params=DATA, free_raw_data=True)
    return data.construct()


def _whole_dataset(whole: Whole) -> lgb.Dataset:
    with whole.lock:
        found = whole.memo.get("lightgbm")
        if not isinstance(found, lgb.Dataset):
            found = whole.memo["lightgbm"] = _dataset(whole.x)
        return found


def _subset(base: lgb.Dataset, rows: IntArray) -> lgb.Dataset:
    return base.subset(rows.tolist()).construct()


def _margin(model: lgb.Booster, x: Matrix, rounds: int) -> FloatArray:
    raw = np.asarray(model.predict(x, num_iteration=rounds, raw_score=True, num_threads=1), dtype=np.float64)
    return raw.reshape(len(x), -1)
