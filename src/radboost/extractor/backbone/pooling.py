"""From what a network gives, whatever its layout, to one vector an image."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from radboost.errors import UserError

__all__ = ["Layout", "pooled"]


@dataclass(frozen=True)
class Layout:
    """How a network lays out its features.

    Attributes
    ----------
    channels_last
        A map is (batch, height, width, channels) instead of (batch, channels, height, width).
    prefix
        Tokens before the patches: class token, registers.
    has_cls
        Whether the first of them is a class token.
    """

    channels_last: bool = False
    prefix: int = 0
    has_cls: bool = False


def pooled(features: torch.Tensor, layout: Layout, pools: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Pool features in float32, whatever precision they come in.

    Parameters
    ----------
    features
        (batch, channels, height, width), (batch, height, width, channels) or (batch, tokens, channels).
    layout
        Which of them, and which tokens are no patches: those are left out of mean and maximum.
    pools
        Names from `POOLS`.

    Returns
    -------
    dict
        Pool name to (batch, channels) float32.

    Raises
    ------
    UserError
        ``cls`` is asked of a network without a class token.
    """
    tokens = _tokens(features.float(), layout)
    patches = tokens[:, layout.prefix :]
    mean, maximum = patches.mean(1), patches.amax(1)
    vectors = {"avg": mean, "max": maximum, "avgmax": (mean + maximum) / 2}
    if layout.has_cls:
        vectors["cls"] = tokens[:, 0]
    elif "cls" in pools:
        raise UserError("has no class token", where="--pool", got="cls", do="Give avg, max or avgmax")
    return {name: vectors[name] for name in pools}


def _tokens(features: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Bring features to (batch, tokens, channels)."""
    if features.ndim == 3:
        return features
    return features.flatten(1, 2) if layout.channels_last else features.flatten(2).transpose(1, 2)
