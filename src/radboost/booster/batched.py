"""Small networks trained side by side: those that read the same matrix are columns of one matrix product.

Written out by hand, a few hundred rows at a time, since on a CPU the products are not what such networks wait for: an
automatic gradient passes over every hidden activation about ten times, each time through main memory, and the library's
GELU of 64-bit numbers takes ten times as long as that of 32-bit ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from radboost.booster.objective import Loss
from radboost.booster.rows import FloatArray, IntArray, Matrix
from radboost.nets.losses import label_losses

__all__ = ["Adam", "Lesson", "Stack"]

AT_ONCE = 2**18
"""Hidden activations held at a time: they stay in the processor's cache."""

BETAS = (0.9, 0.999)


@dataclass(frozen=True)
class Adam:
    """AdamW with decay of weights, not of biases.

    Attributes
    ----------
    rate, decay
        Learning rate and decay; a step takes ``rate x decay`` of a weight away.
    epsilon
        Added to the denominator.
    """

    rate: float
    decay: float
    epsilon: float


@dataclass(frozen=True)
class Lesson:
    """What one network is to learn from the rows of its matrix.

    Attributes
    ----------
    loss
        Bound to its training rows.
    y
        Shape (n,).
    weight
        Shape (n,): 0 for rows that it must not learn from.
    """

    loss: Loss
    y: IntArray
    weight: FloatArray

    @property
    def shares(self) -> FloatArray:
        """Training weights (n,), summing to 1."""
        weight = self.loss.weights(self.y, self.weight)
        return np.asarray(weight / weight.sum(), dtype=np.float64)


class Stack:
    """Networks of one hidden layer on one matrix, with as many margins each.

    Parameters
    ----------
    x
        Shape (n, d).
    lessons
        One a network; the same gamma for all.
    hidden, bias
        First weights (networks, d, h) and biases (networks, h). The last layer begins at zero and its bias at the start
        margin of the lesson.
    """

    def __init__(self, x: Matrix, lessons: Sequence[Lesson], hidden: Tensor, bias: Tensor) -> None:
        count, columns, width = hidden.shape
        shares = np.stack([lesson.shares for lesson in lessons], axis=1)
        # Rows that all networks hold out come last: they are only judged.
        self._order = np.argsort(~shares.any(axis=1), kind="stable")
        self._learned = int(shares.any(axis=1).sum())
        rows = torch.from_numpy(np.asarray(x, dtype=np.float32)[self._order])
        # The bias is the weight of a column of ones.
        self._x = torch.cat([rows, torch.ones(len(x), 1)], dim=1)
        self._first = torch.cat([hidden, bias[:, None]], dim=1).transpose(0, 1).reshape(columns + 1, -1).float()
        start = np.stack([lesson.loss.start for lesson in lessons])
        self._out = torch.zeros(count, width, start.shape[1])
        self._shift = torch.from_numpy(start)
        # By row, so that a few rows are one piece of memory.
        labels = np.stack([lesson.loss.labels(lesson.y[self._order]) for lesson in lessons], axis=1)
        self._label, self._weight = torch.from_numpy(labels), torch.from_numpy(shares[self._order])
        self._focal = lessons[0].loss.focal
        self._state = [(torch.zeros_like(p), torch.zeros_like(p)) for p in self._parameters]
        self._steps = 0

    @property
    def _parameters(self) -> tuple[Tensor, Tensor, Tensor]:
        return self._first, self._out, self._shift

    def __len__(self) -> int:
        return len(self._out)

    def margins(self) -> npt.NDArray[np.float64]:
        """Margins (n, networks, m) of all rows."""
        return self._pass(None)

    def step(self, adam: Adam) -> npt.NDArray[np.float64]:
        """Train one epoch on all rows together; give the margins (n, networks, m) from before it."""
        gradients = [torch.zeros_like(p) for p in self._parameters]
        margins = self._pass(gradients)
        self._steps += 1
        first, second = (1 - b**self._steps for b in BETAS)
        decays = (self._first[:-1], self._out)
        for parameter in decays:
            parameter.mul_(1 - adam.rate * adam.decay)
        for parameter, gradient, (mean, square) in zip(self._parameters, gradients, self._state, strict=True):
            mean.lerp_(gradient, 1 - BETAS[0])
            square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            parameter.addcdiv_(mean, square.sqrt().div_(math.sqrt(second)).add_(adam.epsilon), value=-adam.rate / first)
        return margins

    def _pass(self, gradients: list[Tensor] | None) -> npt.NDArray[np.float64]:
        count, width, margins = self._out.shape
        size = max(1, min(len(self._x), AT_ONCE // (count * width)))
        buffers = [torch.empty(size, count * width) for _ in range(3)]
        found = torch.empty(len(self._x), count, margins, dtype=torch.float64)
        edges = [*range(0, self._learned, size), *range(self._learned, len(self._x), size), len(self._x)]
        for start, stop in pairwise(edges):
            part = slice(start, stop)
            before, after, change = (b[: len(self._x[part])] for b in buffers)
            torch.mm(self._x[part], self._first, out=before)
            torch.ops.aten.gelu.out(before, out=after)
            hidden = after.view(-1, count, width)
            for m in range(margins):
                found[part, :, m] = (hidden * self._out[:, :, m]).sum(dim=2).double() + self._shift[:, m]
            if gradients is None or start >= self._learned:
                continue
            slope = self._slope(found[part], part)
            gradients[2] += slope.sum(dim=0)
            own = slope.float()
            for m in range(margins):
                gradients[1][:, :, m] += torch.bmm(own[:, :, m].T[:, None], hidden.transpose(0, 1))[:, 0]
            spread = change.view(-1, count, width)
            torch.mul(own[:, :, :1], self._out[:, :, 0], out=spread)
            for m in range(1, margins):
                spread.addcmul_(own[:, :, m : m + 1], self._out[:, :, m])
            torch.ops.aten.gelu_backward.grad_input(change, before, grad_input=after)
            gradients[0].addmm_(self._x[part].T, after)
        out = np.empty(found.shape)
        out[self._order] = found.numpy()
        return out

    def _slope(self, margin: Tensor, part: slice) -> Tensor:
        """Derivative of the training loss by the margins."""
        label, weight = self._label[part], self._weight[part][..., None]
        if self._focal == 0:
            if margin.shape[2] == 1:
                return (torch.sigmoid(margin) - label[..., 1:]) * weight
            return (torch.softmax(margin, dim=2) - label) * weight
        with torch.enable_grad():
            leaf = margin.clone().requires_grad_(True)
            (label_losses(leaf, label, self._focal) * weight[..., 0]).sum().backward()  # type: ignore[no-untyped-call]
        return leaf.grad if leaf.grad is not None else torch.zeros_like(margin)

    def keep(self, networks: Sequence[int]) -> None:
        """Train only some of the networks from now on."""
        index = torch.as_tensor(list(networks), dtype=torch.long)
        width = self._out.shape[1]

        def first(p: Tensor) -> Tensor:
            return p.view(len(p), -1, width)[:, index].reshape(len(p), -1)

        def others(p: Tensor) -> Tensor:
            return p[index]

        cuts = (first, others, others)
        self._first, self._out, self._shift = (cut(p) for cut, p in zip(cuts, self._parameters, strict=True))
        self._state = [(cut(a), cut(b)) for cut, (a, b) in zip(cuts, self._state, strict=True)]
        self._label, self._weight = self._label[:, index], self._weight[:, index]

    def arrays(self, networks: Sequence[int]) -> dict[str, npt.NDArray[np.float32]]:
        """Give ``hidden`` (s, d, h), ``hidden_bias`` (s, 1, h), ``out`` (s, h, m), ``out_bias`` (s, 1, m) of some."""
        width, index = self._out.shape[1], list(networks)
        first = self._first.view(len(self._first), -1, width).transpose(0, 1)[index]
        named = {
            "hidden": first[:, :-1],
            "hidden_bias": first[:, -1:],
            "out": self._out[index],
            "out_bias": self._shift[index][:, None].float(),
        }
        return {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in named.items()}
