"""A small network on prepared columns: full batch, no dropout, weight decay, stopped by inner groups.

The last layer starts at zero and its bias at the base rate, so that epoch 0 is the prior and may be what is kept. All
inner splits, and afterwards all seeds, are trained together as one batched matrix product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from radboost.booster.learner import best_round, log_rates, lowest_round, row_loss, to_classes
from radboost.booster.recipe import Recipe
from radboost.booster.rows import FloatArray, Inner, Matrix, Rows
from radboost.data.folder import write_json
from radboost.nets.device import one_thread

__all__ = ["Networks", "fit", "load"]

HIDDEN = 128
EPOCHS = 300
PATIENCE = 25
LEARNING_RATE = 0.003
WEIGHT_DECAY = 0.1
SEEDS = 3
"""Networks averaged in the model that is kept, where the recipe does not say."""

EPSILON = 1e-6
"""Added to Adam's denominator; above its default, so that rounding noise in a zero gradient takes no full step."""


@dataclass(frozen=True)
class Networks:
    """Several networks of one hidden layer; their margins are averaged.

    Attributes
    ----------
    arrays
        ``hidden`` (s, d, h), ``hidden_bias`` (s, 1, h), ``out`` (s, h, m), ``out_bias`` (s, 1, m), for s seeds.
    inner
        See `radboost.booster.learner.Fitted`.
    """

    arrays: Mapping[str, FloatArray]
    inner: FloatArray = field(repr=False, default_factory=lambda: np.empty((0, 0)))

    def predict_proba(self, x: Matrix) -> FloatArray:
        """Probabilities, (n, classes)."""
        with one_thread(), torch.inference_mode():
            layers = _Layers(**{n: torch.from_numpy(a) for n, a in self.arrays.items()})
            margin = layers.margin(torch.from_numpy(x.astype(np.float64))).mean(dim=0)
        return to_classes(margin.numpy())

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and ``model.safetensors``."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({n: np.ascontiguousarray(a) for n, a in self.arrays.items()}, folder / "model.safetensors")
        write_json(folder / "model.json", {"learner": "mlp"})


def load(folder: Path, content: Mapping[str, Any]) -> Networks:
    """Read what `Networks.save` wrote; `content` adds nothing."""
    arrays = load_file(folder / "model.safetensors")
    return Networks({name: arrays[name] for name in ("hidden", "hidden_bias", "out", "out_bias")})


def fit(rows: Rows, inner: Inner, recipe: Recipe) -> Networks:
    """Choose the number of epochs on the inner folds, then train several networks on all rows for as many."""
    # Here, since each thread that fits has a setting of its own.
    with one_thread():
        return _fit(rows, inner, recipe.seed, recipe.seeds or SEEDS)


def _fit(rows: Rows, inner: Inner, seed: int, seeds: int) -> Networks:
    epochs, predicted = _choose(rows, inner, seed)
    start = np.stack([log_rates(rows.rates)] * seeds)
    layers = _Layers.drawn(rows.x.shape[1], start, seed)
    _train(layers, _Fixed.of(rows, rows.x, np.ones((seeds, len(rows)))), epochs)
    return Networks({n: t.detach().numpy() for n, t in layers.named().items()}, predicted)


def _choose(rows: Rows, inner: Inner, seed: int) -> tuple[int, FloatArray]:
    """Best number of epochs, and what the inner networks say of their validation rows there."""
    splits = list(inner)
    start = np.stack([log_rates(rows.take(train).rates) for train, _ in splits])
    history: list[list[FloatArray]] = [[] for _ in splits]
    curves: list[list[float]] = [[] for _ in splits]
    weights = [float(rows.weight[held].sum()) for _, held in splits]

    def watch(margin: FloatArray) -> bool:
        for i, (_, held) in enumerate(splits):
            p = to_classes(margin[i][held])
            history[i].append(p)
            curves[i].append(float(np.average(row_loss(rows.y[held], p), weights=rows.weight[held])))
        return len(curves[0]) - 1 - lowest_round(curves, weights) >= PATIENCE

    layers = _Layers.drawn(rows.x.shape[1], start, seed)
    # Each split has columns of its own; where they are the same, one matrix serves all.
    x = np.stack(inner.matrices(rows)) if inner.x else rows.x
    _train(layers, _Fixed.of(rows, x, np.stack([train for train, _ in splits])), EPOCHS, watch)
    epochs = best_round(curves, weights)
    out = np.full((len(rows), rows.classes), np.nan)
    for i, (_, held) in enumerate(splits):
        out[held] = history[i][epochs]
    return epochs, out


@dataclass
class _Layers:
    """Parameters of several networks side by side."""

    hidden: Tensor
    hidden_bias: Tensor
    out: Tensor
    out_bias: Tensor

    @classmethod
    def drawn(cls, columns: int, start: FloatArray, seed: int) -> _Layers:
        count, margins = start.shape
        random = torch.Generator().manual_seed(seed)
        # A block's variance is 1 in all, so weights of deviation 1 give hidden units of order 1.
        hidden = torch.randn(count, columns, HIDDEN, generator=random, dtype=torch.float64)
        bias = 0.1 * torch.randn(count, 1, HIDDEN, generator=random, dtype=torch.float64)
        out = torch.zeros(count, HIDDEN, margins, dtype=torch.float64)
        return cls(hidden, bias, out, torch.from_numpy(start[:, None, :].copy()))

    def named(self) -> dict[str, Tensor]:
        return {"hidden": self.hidden, "hidden_bias": self.hidden_bias, "out": self.out, "out_bias": self.out_bias}

    def margin(self, x: Tensor) -> Tensor:
        """Margins (networks, n, m)."""
        return torch.nn.functional.gelu(x @ self.hidden + self.hidden_bias) @ self.out + self.out_bias


@dataclass(frozen=True)
class _Fixed:
    """What training leaves alone: columns (n, d) or (networks, n, d), labels (n,), weights that sum to 1 a network."""

    x: Tensor
    y: Tensor
    weight: Tensor

    @classmethod
    def of(cls, rows: Rows, x: Matrix, mask: npt.NDArray[np.float64 | np.bool_]) -> _Fixed:
        """Rows outside a network's `mask` (networks, n) do not count for it."""
        weight = torch.from_numpy(mask * rows.weight)
        x64 = torch.from_numpy(x.astype(np.float64))
        return cls(x64, torch.from_numpy(rows.y), weight / weight.sum(dim=1, keepdim=True))


def _train(layers: _Layers, rows: _Fixed, epochs: int, watch: Any = None) -> None:
    """Train in place for so many epochs; `watch` sees all rows' margins before each step and may end it."""
    decayed, free = [layers.hidden, layers.out], [layers.hidden_bias, layers.out_bias]
    for parameter in (*decayed, *free):
        parameter.requires_grad_(True)
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": free, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=LEARNING_RATE, eps=EPSILON, foreach=False)
    for _ in range(epochs):
        optimiser.zero_grad()
        margin = layers.margin(rows.x)
        if watch is not None and watch(margin.detach().numpy()):
            return
        # Networks share nothing, so the sum of their losses trains each by its own.
        (_losses(margin, rows.y) * rows.weight).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    if watch is not None:
        with torch.no_grad():
            watch(layers.margin(rows.x).numpy())


def _losses(margin: Tensor, y: Tensor) -> Tensor:
    """Log loss (networks, n)."""
    if margin.shape[-1] == 1:
        sign = 1.0 - 2.0 * y.to(margin.dtype)
        return torch.nn.functional.softplus(sign * margin[..., 0])
    return -torch.log_softmax(margin, dim=-1).gather(2, y.expand(margin.shape[0], -1)[..., None])[..., 0]
