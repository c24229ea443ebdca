"""The two heads of the 12th place of RSNA's haemorrhage challenge, as functions of their parameters.

Both begin at zero logits, to which the training's base rates are added: before the first step a head is the prior.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import conv1d, relu

__all__ = ["HEADS", "Parameters", "Shape", "draw", "logits", "receptive_field"]

Parameters: TypeAlias = dict[str, Tensor]

HEADS = ("pooled-res", "residual")
FIRST = 9
"""Pooled-Res: slices that the first convolution sees, on each view."""
DENSE = (7, 5, 3)
"""Pooled-Res: then these, each reading all that came before it."""
BLOCKS, KERNEL = 6, 5
"""Residual: blocks of one convolution over so many slices."""


@dataclass(frozen=True)
class Shape:
    """Size of a head.

    Attributes
    ----------
    head
        One of `HEADS`.
    columns
        Of the rows.
    channels
        Of every layer.
    logits
        Of all targets together.
    """

    head: str
    columns: int
    channels: int
    logits: int


def receptive_field(head: str) -> int:
    """Slices that have a say in one: 21 for Pooled-Res, 25 for Residual."""
    return FIRST + sum(k - 1 for k in DENSE) if head == "pooled-res" else 1 + BLOCKS * (KERNEL - 1)


def draw(shape: Shape, generator: torch.Generator) -> Parameters:
    """Draw a head's parameters.

    Blocks of columns have a total variance of 1 (see `radboost.booster.prepare`), whatever their width, so first
    weights of deviation 1 give channels of order 1. Those of Pooled-Res begin smaller, as in a mean over its nine
    slices, since most of the nine tell nothing of the middle one: measured 2 to 3 % less loss on synthetic scans.
    """
    c = shape.channels
    sizes: dict[str, tuple[int, int, float]] = {}
    if shape.head == "pooled-res":
        sizes["first"] = (shape.columns + 1, FIRST, 1 / FIRST)
        for i, kernel in enumerate(DENSE):
            sizes[f"dense{i}"] = ((i + 1) * c, kernel, math.sqrt(2 / ((i + 1) * c * kernel)))
    else:
        sizes["first"] = (shape.columns + 1, 1, 1.0)
        for i in range(BLOCKS):
            sizes[f"block{i}"] = (c, KERNEL, math.sqrt(2 / (c * KERNEL * BLOCKS)))
    out: Parameters = {}
    for name, (inputs, kernel, deviation) in sizes.items():
        out[f"{name}.weight"] = deviation * torch.randn(c, inputs, kernel, generator=generator)
        out[f"{name}.bias"] = torch.zeros(c)
    read = c * (1 + len(DENSE)) if shape.head == "pooled-res" else c
    out["last.weight"], out["last.bias"] = torch.zeros(shape.logits, read, 1), torch.zeros(shape.logits)
    return out


def logits(head: str, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Logits (series, places, logits) of columns (series, views, d + 1, places).

    Right where at least half a receptive field of places lies on either side; see `Patch`.
    """
    if head == "pooled-res":
        return _pooled_res(p, x)
    h = _conv(p, "first", x.mean(dim=1))
    for i in range(BLOCKS):
        h = h + relu(_conv(p, f"block{i}", h))
    return _conv(p, "last", relu(h)).transpose(1, 2)


def _pooled_res(p: Mapping[str, Tensor], x: Tensor) -> Tensor:
    series, views, columns, places = x.shape
    each = _conv(p, "first", x.reshape(series * views, columns, places))
    h = relu(each).reshape(series, views, -1, places).amax(dim=1)
    for i in range(len(DENSE)):
        h = torch.cat([h, relu(_conv(p, f"dense{i}", h))], dim=1)
    return _conv(p, "last", h).transpose(1, 2)


def _conv(p: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    return conv1d(x, p[f"{name}.weight"], p[f"{name}.bias"], padding="same")
