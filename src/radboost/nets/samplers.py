"""Which examples a network sees next: each once a pass, or drawn by weight."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["batches", "draw_by_weight"]


def batches(count: int, size: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield `steps` batches of positions out of ``0..count - 1``, reshuffled after each pass.

    Within a pass no example comes twice; sizes differ by one at most.

    Parameters
    ----------
    count, size
        Examples, and the most of a batch.
    steps
        Batches in all, however many passes that takes.
    generator
        Decides the order.
    """
    waiting: list[Tensor] = []
    for _ in range(steps):
        if not waiting:
            order = torch.randperm(count, generator=generator)
            waiting = list(order.tensor_split(-(-count // size)))
        yield waiting.pop(0)


def draw_by_weight(weight: Tensor, size: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield `steps` batches drawn with replacement, each example with probability proportional to its weight.

    Parameters
    ----------
    weight
        Shape (count,): not negative, not all 0.
    size
        Of a batch.
    steps
        Batches in all.
    generator
        Draws.
    """
    for _ in range(steps):
        yield torch.multinomial(weight, size, replacement=True, generator=generator)
