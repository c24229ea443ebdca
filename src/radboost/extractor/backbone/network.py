"""What both libraries' models come down to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from radboost.errors import UserError
from radboost.extractor.backbone.pooling import Layout

__all__ = ["Network", "size_error"]


@dataclass(frozen=True)
class Network:
    """A model that gives features, and what its own config says of its input.

    Attributes
    ----------
    model
        Gives a map or tokens, final normalisation included, no logits.
    mean, std
        Of the three input channels, on pixels scaled to 0..1; None where the model does not say.
    patch
        Side of a patch, pixels; None where images are not cut into patches.
    layout
        Given features, how they are laid out.
    """

    model: nn.Module
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    patch: int | None
    layout: Callable[[torch.Tensor], Layout]


def size_error(name: str, size: int | None, error: Exception) -> UserError:
    """Say that a network does not take images of this size, in the library's words."""
    got = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
    do = "Give --size a multiple of the network's patch, or another backbone"
    return UserError(f"cannot be built for images of {size} pixels", where=name, got=got, do=do)
