"""Fitted trees over a start margin, of whichever library: predicted from, written and read alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from radboost.booster.boosting import Boosted
from radboost.booster.learner import to_classes
from radboost.booster.objective import Loss
from radboost.booster.rows import FloatArray, Matrix
from radboost.data.folder import write_json

__all__ = ["Forest", "Trees"]


@dataclass(frozen=True)
class Trees:
    """What a library does with its own models.

    Attributes
    ----------
    learner
        Name in `radboost.booster.learner.LEARNERS`.
    ending
        Of its files.
    margins
        Given models, columns (n, d), n at least 1, and start margins (n, m): yields each model's margins (n, m).
    told
        Given the same: yields each model's TreeSHAP values (n, d + 1, m), the last column what is expected of a row of
        which nothing is known, start margin included; they sum to the margins (Lundberg et al., Nature Machine
        Intelligence 2020).
    write
        Writes a model in the library's own format.
    read
        Reads it; raises FormatError where it is damaged.
    """

    learner: str
    ending: str
    margins: Callable[[Sequence[Any], Matrix, FloatArray], Iterable[FloatArray]]
    told: Callable[[Sequence[Any], Matrix, FloatArray], Iterable[FloatArray]]
    write: Callable[[Any, Path], object]
    read: Callable[[Path], Any]

    def fitted(self, done: Boosted) -> Forest:
        """Give what was boosted as a fitted learner."""
        return Forest(self, done.loss, done.models, done.inner)

    def load(self, folder: Path, content: Mapping[str, Any]) -> Forest:
        """Read what `Forest.save` wrote; raises FormatError."""
        models = tuple(self.read(self.place(folder, number)) for number in range(content["models"]))
        return Forest(self, Loss.from_dict(content["loss"]), models)

    def place(self, folder: Path, number: int) -> Path:
        """Where a model is written."""
        return folder / f"model{number}{self.ending}"


@dataclass(frozen=True)
class Forest:
    """Fitted trees; see `radboost.booster.learner.Fitted`. No model means the base rate.

    Attributes
    ----------
    trees
        Whose.
    loss
        What was minimised.
    models
        The library's models, whose probabilities are averaged.
    inner
        See `radboost.booster.learner.Fitted`.
    """

    trees: Trees
    loss: Loss
    models: tuple[Any, ...]
    inner: FloatArray = field(repr=False, default_factory=lambda: np.empty((0, 0)))

    def predict_proba(self, x: Matrix) -> FloatArray:
        """Probabilities, (n, classes)."""
        start = np.tile(self.loss.start, (len(x), 1))
        if not self.models or not len(x):
            return self.loss.corrected(to_classes(start))
        parts = [to_classes(margin) for margin in self.trees.margins(self.models, x, start)]
        return self.loss.corrected(np.mean(parts, axis=0))

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and the trees, ``model<i>`` with the library's ending."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, model in enumerate(self.models):
            self.trees.write(model, self.trees.place(folder, number))
        content = {"learner": self.trees.learner, "loss": self.loss.to_dict(), "models": len(self.models)}
        write_json(folder / "model.json", content)
