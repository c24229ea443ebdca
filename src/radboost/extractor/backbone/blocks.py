"""The blocks of a network, from stem to last, as its library groups them: what stages of training switch on and off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from timm.models import group_parameters
from torch import nn

from radboost.extractor.backbone.window import Windowed

__all__ = ["parameter_blocks"]


def parameter_blocks(model: nn.Module) -> list[list[str]]:
    """Group a network's parameters by depth.

    Parameters
    ----------
    model
        Of timm, grouped as timm does it for layer-wise rates, coarsely; of any other make, by its children in order.

    Returns
    -------
    list
        Names of the parameters of each block, stem first; every parameter stands in one block, but for those of a
        window layer, which have a rate of their own: see `radboost.extractor.backbone.window`.
    """
    if isinstance(model, Windowed):
        return [[f"network.{name}" for name in block] for block in parameter_blocks(model.network)]
    matcher: Callable[..., Any] | None = getattr(model, "group_matcher", None)
    if matcher is None:
        found: dict[str, list[str]] = {}
        for name, _ in model.named_parameters():
            found.setdefault(name.partition(".")[0], []).append(name)
        # One child that holds everything is a wrapper.
        if len(found) == 1:
            (child,) = found
            return [[f"{child}.{name}" for name in block] for block in parameter_blocks(getattr(model, child))]
        return list(found.values())
    groups: dict[int, list[str]] = group_parameters(model, matcher(coarse=True))
    blocks = [groups[number] for number in sorted(groups)]
    # A final normalisation, a scale and an offset, belongs to the block that it follows.
    if len(blocks) > 1 and len(blocks[-1]) <= 2:
        blocks[-2:] = [blocks[-2] + blocks[-1]]
    return blocks
