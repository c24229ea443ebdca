"""What a trained network's own head says of a crop, as features: one probability a class of each target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from radboost.data.task import Task
from radboost.errors import UserError
from radboost.extractor.backbone.pooling import Layout, feature_map, pooled

__all__ = ["HEAD", "TrainedHead"]

HEAD = "head"
"""Name of the pooling that stands for them."""


class TrainedHead(nn.Module):
    """The head of one network of a training, from the backbone's features to probabilities.

    Parameters
    ----------
    content
        Header of the training.
    state
        The network's tensors.
    layout
        Of the backbone's features.

    Raises
    ------
    UserError
        The head sees metadata, which no crop has.
    """

    def __init__(self, content: Mapping[str, Any], state: Mapping[str, torch.Tensor], layout: Layout) -> None:
        super().__init__()
        made = content["config"]
        if made["head"]["metadata"]:
            do = "Leave --pool head out, or train without --metadata"
            raise UserError("this training's heads see metadata, which a crop has not", where="--pool head", do=do)
        self._layout, self._pool = layout, (str(made["backbone"]["pool"][0]),)
        self._widths = [1 if t.binary else len(t.classes) for t in Task.from_dict(content["task"]).targets]
        if "convolution.0.weight" in state:
            self.convolution = _convolution(state)
        if "hidden.1.weight" in state:
            self.hidden = _linear(state, "hidden.1")
        self.last = _linear(state, "last")
        self.eval().requires_grad_(False)

    @property
    def width(self) -> int:
        """Probabilities a crop: one of two classes, else one a class."""
        return sum(self._widths)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Give (batch, width) float32 in 0..1."""
        if hasattr(self, "convolution"):
            vectors = self.convolution(feature_map(features, self._layout)).mean((2, 3))
        else:
            (vectors,) = pooled(features, self._layout, self._pool).values()
        if hasattr(self, "hidden"):
            vectors = self.hidden(vectors).relu()
        parts = self.last(vectors).float().split(self._widths, dim=1)
        return torch.cat([p.sigmoid() if p.shape[1] == 1 else p.softmax(1) for p in parts], dim=1)


def _linear(state: Mapping[str, torch.Tensor], name: str) -> nn.Linear:
    rows, columns = state[f"{name}.weight"].shape
    layer = nn.Linear(columns, rows)
    layer.load_state_dict({part: state[f"{name}.{part}"] for part in ("weight", "bias")})
    return layer


def _convolution(state: Mapping[str, torch.Tensor]) -> nn.Sequential:
    given = {n.removeprefix("convolution."): t for n, t in state.items() if n.startswith("convolution.")}
    out, deep = given["0.weight"].shape[:2]
    module = nn.Sequential(nn.Conv2d(deep, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU())
    module.load_state_dict(given)
    return module
