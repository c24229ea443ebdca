"""CatBoost (extra ``catboost``): symmetric trees of depth three, no row sampling; deterministic on one thread.

Weight 2 is the row twice up to the cut points, which the library chooses by counting rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from radboost.booster.boosting import ROUNDS, boost, settled
from radboost.booster.forest import Forest, Trees
from radboost.booster.learner import to_classes
from radboost.booster.objective import Loss
from radboost.booster.recipe import Recipe
from radboost.booster.rows import FloatArray, Inner, Matrix, Rows
from radboost.errors import FormatError, UserError

__all__ = ["TREES", "fit", "load"]

BORDERS = 63
FIRST_ROUNDS = 100
"""Rounds that an inner fit grows before any is asked for; then twice as many. The library cannot go on with a model
where start margins are given, but its first trees are the same however many follow."""


def _margins(models: Sequence[Any], x: Matrix, start: FloatArray) -> Iterator[FloatArray]:
    return (start + _raw(model, x) for model in models)


def _told(models: Sequence[Any], x: Matrix, start: FloatArray) -> Iterator[FloatArray]:
    library = _library()
    for model in models:
        pool = library.Pool(x, thread_count=1)
        raw = np.asarray(model.get_feature_importance(pool, type="ShapValues", thread_count=1), dtype=np.float64)
        # (n, d + 1), or (n, classes, d + 1).
        values = raw[:, :, None] if raw.ndim == 2 else raw.transpose(0, 2, 1).copy()
        values[:, -1] += start
        yield values


def _read(path: Path) -> Any:
    library = _library()
    model = library.CatBoost()
    try:
        model.load_model(str(path), format="cbm")
    except library.CatBoostError as error:
        raise FormatError("is damaged", where=path, do="Run fit-boost again") from error
    return model


def _write(model: Any, path: Path) -> None:
    model.save_model(str(path), format="cbm")


TREES = Trees("catboost", ".cbm", _margins, _told, _write, _read)
"""The library's own binary format."""


def load(folder: Path, content: Mapping[str, Any]) -> Forest:
    """Read what `Forest.save` wrote."""
    return TREES.load(folder, content)


def fit(rows: Rows, inner: Inner, recipe: Recipe) -> Forest:
    """Fit; rounds are chosen on the inner folds. The settings are those of `radboost.booster.boosting.settled`.

    Raises
    ------
    UserError
        The library is not installed, or the objective has a focal or smoothed loss, which it does not know.
    """
    _library()
    if recipe.objective.focal or recipe.objective.soft:
        do = "Leave --focal and --soft out, or choose another learner"
        raise UserError("this library has no focal and no smoothed loss", where="--learner catboost", do=do)
    done = boost(rows, inner, _Library(rows, inner, recipe), recipe)
    return TREES.fitted(done)


class _Library:
    """The library on the rows of one target."""

    def __init__(self, rows: Rows, inner: Inner, recipe: Recipe) -> None:
        self._rows, self._recipe = rows, recipe
        self._splits = list(zip(inner, inner.matrices(rows), strict=True))

    def begin(self, split: int, loss: Loss, seed: int) -> _Trial:
        (train, held), x = self._splits[split]
        rows = _Seen(x[train], self._rows.y[train], self._rows.weight[train], self._rows.classes)
        return _Trial(rows, x[held], loss, self._recipe, seed)

    def grow(self, loss: Loss, seed: int, rounds: int) -> Any:
        rows = _Seen(self._rows.x, self._rows.y, self._rows.weight, self._rows.classes)
        return _grown(rows, loss, self._recipe, seed, rounds)


@dataclass(frozen=True)
class _Seen:
    """Rows that a fit sees."""

    x: Matrix
    y: npt.NDArray[np.int64]
    weight: FloatArray
    classes: int

    @property
    def tells(self) -> bool:
        """Whether there is anything to learn; the library refuses constant columns and a single class."""
        return bool((self.x != self.x[:1]).any() and (self.y != self.y[:1]).any())


class _Trial:
    """One inner fit; its trees are grown ahead."""

    def __init__(self, rows: _Seen, x: Matrix, loss: Loss, recipe: Recipe, seed: int) -> None:
        self._rows, self._x, self._loss, self._recipe, self._seed = rows, x, loss, recipe, seed
        self._margins: list[FloatArray] = []
        self._rounds = 0

    def step(self) -> FloatArray:
        self._rounds += 1
        if self._rounds > len(self._margins):
            self._grow(min(ROUNDS, max(FIRST_ROUNDS, 2 * len(self._margins))))
        return self.probabilities(self._rounds)

    def probabilities(self, rounds: int) -> FloatArray:
        return to_classes(self._margins[rounds - 1])

    def _grow(self, rounds: int) -> None:
        start = np.tile(self._loss.start, (len(self._x), 1))
        if not self._rows.tells:
            self._margins = [start] * rounds
            return
        model = _grown(self._rows, self._loss, self._recipe, self._seed, rounds)
        stages = model.staged_predict(self._x, prediction_type="RawFormulaVal", thread_count=1)
        self._margins = [start + np.asarray(s, dtype=np.float64).reshape(len(self._x), -1) for s in stages]


def _grown(rows: _Seen, loss: Loss, recipe: Recipe, seed: int, rounds: int) -> Any:
    library, shape = _library(), settled(recipe, rows.x.shape[1])
    weight, start = loss.weights(rows.y, rows.weight), loss.start
    several = rows.classes > 2
    margin = np.tile(start, (len(rows.y), 1))
    pool = library.Pool(rows.x, rows.y, weight=weight, baseline=margin if several else margin[:, 0], thread_count=1)
    settings = {
        "loss_function": "MultiClass" if several else "Logloss",
        **({"classes_count": rows.classes} if several else {}),
        "iterations": rounds,
        "learning_rate": shape.learning_rate,
        "depth": shape.depth,
        # It multiplies the penalty by the mean weight of the rows; ours is in units of row weight.
        "l2_leaf_reg": shape.shrinkage / float(weight.mean()),
        "rsm": shape.column_share,
        "border_count": BORDERS,
        "leaf_estimation_method": "Newton",
        "leaf_estimation_iterations": 1,
        "boosting_type": "Plain",
        "bootstrap_type": "No",
        "random_strength": 0,
        "boost_from_average": False,
        "random_seed": seed,
        "thread_count": 1,
        "allow_writing_files": False,
        "logging_level": "Silent",
    }
    model = library.CatBoost(settings)
    model.fit(pool)
    return model


def _raw(model: Any, x: Matrix) -> FloatArray:
    """Margins of the trees alone, (n, 1) or (n, classes)."""
    raw = np.asarray(model.predict(x, prediction_type="RawFormulaVal", thread_count=1), dtype=np.float64)
    return raw.reshape(len(x), -1)


def _library() -> Any:
    try:
        import catboost
    except ImportError as error:
        do = "pip install 'radboost[catboost]'"
        raise UserError("CatBoost is not installed", where="--learner catboost", do=do) from error
    return catboost
