"""A small network on prepared columns: full batch, no dropout, weight decay, stopped by inner groups.

The last layer starts at zero and its bias at the base rate, so that epoch 0 is the prior and may be what is kept. The
networks of all targets, and of all seeds, that read the same matrix are trained together as one matrix product; see
`radboost.booster.batched`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from radboost.booster.batched import Adam, Lesson, Stack
from radboost.booster.learner import best_round, lowest_round, row_loss, to_classes
from radboost.booster.objective import Loss
from radboost.booster.recipe import Recipe
from radboost.booster.rows import FloatArray, Inner, Matrix, Rows
from radboost.data.folder import write_json
from radboost.nets.device import one_thread

__all__ = ["Networks", "fit", "fit_targets", "load"]

HIDDEN = 128
EPOCHS = 300
PATIENCE = 25
LEARNING_RATE = 0.003
WEIGHT_DECAY = 0.1
SEEDS = 3
"""Networks averaged in the model that is kept, where the recipe does not say."""

EPSILON = 1e-6
"""Added to Adam's denominator; above its default, so that rounding noise in a zero gradient takes no full step."""

Job = tuple[Rows, Inner]


@dataclass(frozen=True)
class Networks:
    """Several networks of one hidden layer; their margins are averaged.

    Attributes
    ----------
    arrays
        ``hidden`` (s, d, h), ``hidden_bias`` (s, 1, h), ``out`` (s, h, m), ``out_bias`` (s, 1, m), for s seeds.
    loss
        What they were trained with, by which probabilities are corrected.
    inner
        See `radboost.booster.learner.Fitted`.
    """

    arrays: Mapping[str, npt.NDArray[np.float32]]
    loss: Loss
    inner: FloatArray = field(repr=False, default_factory=lambda: np.empty((0, 0)))

    def predict_proba(self, x: Matrix) -> FloatArray:
        """Probabilities, (n, classes)."""
        with one_thread(), torch.inference_mode():
            # In 64 bits, so that a row's prediction does not feel how many are predicted with it.
            a = {n: torch.from_numpy(a).double() for n, a in self.arrays.items()}
            hidden = torch.nn.functional.gelu(torch.from_numpy(x.astype(np.float64)) @ a["hidden"] + a["hidden_bias"])
            margin = (hidden @ a["out"] + a["out_bias"]).mean(dim=0)
        return self.loss.corrected(to_classes(margin.numpy()))

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and ``model.safetensors``."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({n: np.ascontiguousarray(a) for n, a in self.arrays.items()}, folder / "model.safetensors")
        write_json(folder / "model.json", {"learner": "mlp", "loss": self.loss.to_dict()})


def load(folder: Path, content: Mapping[str, Any]) -> Networks:
    """Read what `Networks.save` wrote."""
    arrays = load_file(folder / "model.safetensors")
    names = ("hidden", "hidden_bias", "out", "out_bias")
    return Networks({name: arrays[name] for name in names}, Loss.from_dict(content["loss"]))


def fit(rows: Rows, inner: Inner, recipe: Recipe) -> Networks:
    """Fit one target; see `fit_targets`."""
    return fit_targets([(rows, inner)], recipe)[0]


def fit_targets(jobs: Sequence[Job], recipe: Recipe) -> list[Networks]:
    """Choose each target's number of epochs on the inner folds, then train several networks on all rows for as many.

    Up to rounding, a target's networks do not depend on the other targets'. Settings: ``hidden`` (units), ``rate`` and
    ``decay`` (of `radboost.booster.batched.Adam`).
    """
    alike: dict[tuple[int, int], list[int]] = {}
    for number, (rows, _) in enumerate(jobs):
        alike.setdefault((id(rows.x), rows.classes), []).append(number)
    out: dict[int, Networks] = {}
    # Here, since each thread that fits has a setting of its own.
    with one_thread(), torch.no_grad():
        for numbers in alike.values():
            together = _Together([jobs[n] for n in numbers], recipe)
            out.update(zip(numbers, together.fit(), strict=True))
    return [out[n] for n in range(len(jobs))]


class _Together:
    """Targets with the same matrix, inner folds and number of classes."""

    def __init__(self, jobs: Sequence[Job], recipe: Recipe) -> None:
        self.targets, self.inner, self.recipe = [rows for rows, _ in jobs], jobs[0][1], recipe
        self.adam = Adam(recipe.get("rate", LEARNING_RATE), recipe.get("decay", WEIGHT_DECAY), EPSILON)

    def fit(self) -> list[Networks]:
        chosen, predicted = self._choose()
        seeds, first = self.recipe.seeds or SEEDS, self.targets[0]
        lessons = [self._lesson(t, np.ones(len(t), dtype=bool)) for t in self.targets]
        hidden, bias = self._drawn(seeds)
        count = len(self.targets)
        stack = Stack(
            first.x, [o for o in lessons for _ in range(seeds)], hidden.repeat(count, 1, 1), bias.repeat(count, 1)
        )
        arrays: dict[int, Mapping[str, npt.NDArray[np.float32]]] = {}
        active = list(range(count))
        for epoch in range(max(chosen) + 1):
            done = [t for t in active if chosen[t] == epoch]
            for t in done:
                at = active.index(t) * seeds
                arrays[t] = stack.arrays(range(at, at + seeds))
            if done:
                left = [i * seeds + s for i, t in enumerate(active) if t not in done for s in range(seeds)]
                active = [t for t in active if t not in done]
                if not active:
                    break
                stack.keep(left)
            stack.step(self.adam)
        return [Networks(arrays[t], lessons[t].loss, predicted[t]) for t in range(count)]

    def _choose(self) -> tuple[list[int], list[FloatArray]]:
        """Best number of epochs of each target, and what the inner networks say of their validation rows there."""
        splits = list(self.inner)
        hidden, bias = self._drawn(len(splits))
        count = len(self.targets)
        own = [[self._lesson(t, train) for t in self.targets] for train, _ in splits]
        stacks = [
            Stack(x, lessons, h.expand(count, -1, -1), b.expand(count, -1))
            for x, lessons, h, b in zip(self.inner.matrices(self.targets[0]), own, hidden, bias, strict=True)
        ]
        watched = [_Watch(t, [lessons[i].loss for lessons in own], splits) for i, t in enumerate(self.targets)]
        active = list(range(count))
        for epoch in range(EPOCHS + 1):
            found = [stack.step(self.adam) if epoch < EPOCHS else stack.margins() for stack in stacks]
            left = [i for i, t in enumerate(active) if not watched[t].see([m[:, i] for m in found])]
            if not left:
                break
            if len(left) < len(active):
                active = [active[i] for i in left]
                for stack in stacks:
                    stack.keep(left)
        return [w.best for w in watched], [w.predicted() for w in watched]

    def _lesson(self, target: Rows, mask: npt.NDArray[np.bool_]) -> Lesson:
        return Lesson(self.recipe.objective.bind(target.take(mask)), target.y, mask * target.weight)

    def _drawn(self, count: int) -> tuple[Tensor, Tensor]:
        """First weights (count, d, h) and biases (count, h), the same for every target."""
        random = torch.Generator().manual_seed(self.recipe.seed)
        width = int(self.recipe.get("hidden", HIDDEN))
        # A block's variance is 1 in all, so weights of deviation 1 give hidden units of order 1.
        hidden = torch.randn(count, self.targets[0].x.shape[1], width, generator=random)
        return hidden, 0.1 * torch.randn(count, width, generator=random)


class _Watch:
    """Follows one target's inner networks."""

    def __init__(
        self, target: Rows, losses: Sequence[Loss], splits: Sequence[tuple[Any, npt.NDArray[np.bool_]]]
    ) -> None:
        self._target, self._losses, self._held = target, losses, [held for _, held in splits]
        self._weights = [float(target.weight[held].sum()) for held in self._held]
        self._history: list[list[FloatArray]] = [[] for _ in splits]
        self._curves: list[list[float]] = [[] for _ in splits]

    def see(self, margins: Sequence[FloatArray]) -> bool:
        """Take the margins (n, m) of each split's network; tell whether it has been enough."""
        y, weight = self._target.y, self._target.weight
        for i, (held, loss) in enumerate(zip(self._held, self._losses, strict=True)):
            p = loss.corrected(to_classes(margins[i][held]))
            self._history[i].append(p)
            self._curves[i].append(float(np.average(row_loss(y[held], p), weights=weight[held])))
        return len(self._curves[0]) - 1 - lowest_round(self._curves, self._weights) >= PATIENCE

    @property
    def best(self) -> int:
        return best_round(self._curves, self._weights)

    def predicted(self) -> FloatArray:
        out = np.full((len(self._target), self._target.classes), np.nan)
        for held, history in zip(self._held, self._history, strict=True):
            out[held] = history[self.best]
        return out
