"""From what a network gives, whatever its layout, to one vector an image."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from radboost.errors import UserError

__all__ = ["POOLS", "Layout", "canonical_pools", "feature_map", "map_shape", "pooled", "pooled_without"]

POOLS = ("avg", "avgmax", "cls", "head", "max", "token-mean", "channelmax:K")
"""Ways from features to one vector.

- ``avg``: mean over space, class token and registers left out.
- ``head``: no pooling of features, but what the head of a trained network says: a probability a class of each target.
- ``max``: maximum over space.
- ``avgmax``: half of their sum.
- ``cls``: class token.
- ``token-mean``: mean over all tokens, class token and registers among them.
- ``channelmax:K``: maximum over space, then over groups of K adjacent channels; a K-th of the width. Written
  ``channelmax-K`` wherever it names a matrix, since a colon cannot stand in every file name.
"""

_CHANNELMAX = re.compile(r"channelmax[:-](\d{1,6})")


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


def canonical_pools(pools: tuple[str, ...]) -> tuple[str, ...]:
    """Check names of poolings; give them in their one spelling, sorted and without repeats.

    Raises
    ------
    UserError
        There are none, one is unknown, or a K is below 2.

    >>> canonical_pools(("max", "channelmax:04", "avg", "max"))
    ('avg', 'channelmax-4', 'max')
    """
    names = {_canonical(pool) for pool in pools}
    if not names:
        raise UserError("no pooling", where="--pool", do=f"Give some of {', '.join(POOLS)}")
    return tuple(sorted(names))


def _canonical(pool: str) -> str:
    if pool in POOLS[:-1]:
        return pool
    matched = _CHANNELMAX.fullmatch(pool)
    if matched is None:
        raise UserError("unknown pooling", where="--pool", got=pool, do=f"Give some of {', '.join(POOLS)}")
    if int(matched[1]) < 2:
        raise UserError("groups have two channels at least", where="--pool", got=pool, do="Give max for no groups")
    return f"channelmax-{int(matched[1])}"


def pooled(features: torch.Tensor, layout: Layout, pools: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Pool features in float32, whatever precision they come in.

    Parameters
    ----------
    features
        (batch, channels, height, width), (batch, height, width, channels) or (batch, tokens, channels).
    layout
        Which of them, and which tokens are no patches.
    pools
        Names as `canonical_pools` gives them.

    Returns
    -------
    dict
        Pool name to (batch, channels) float32; (batch, channels / K) for ``channelmax-K``.

    Raises
    ------
    UserError
        ``cls`` is asked of a network without a class token, ``token-mean`` of one without tokens, or a K does not
        divide the channels.
    """
    tokens = _tokens(features.float(), layout)
    patches = tokens[:, layout.prefix :]
    vectors: dict[str, torch.Tensor] = {}
    mean = patches.mean(1) if {"avg", "avgmax"} & set(pools) else None
    # Only cls, avg and token-mean can do without the maximum.
    maximum = patches.amax(1) if set(pools) - {"avg", "cls", "head", "token-mean"} else None
    for name in pools:
        if name == "head":
            do = "Give it beside --training"
            raise UserError("only networks of a training have a head", where="--pool", got=name, do=do)
        if name == "cls":
            vectors[name] = _class_token(tokens, layout)
        elif name == "token-mean":
            vectors[name] = _token_mean(features, tokens)
        elif name == "avg" and mean is not None:
            vectors[name] = mean
        elif name == "avgmax" and mean is not None and maximum is not None:
            vectors[name] = (mean + maximum) / 2
        elif maximum is not None:
            vectors[name] = maximum if name == "max" else _channel_max(maximum, int(name.rpartition("-")[2]))
    return vectors


def feature_map(features: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Bring features to a map, (batch, channels, height, width); tokens of a square grid, prefix left out.

    Raises
    ------
    UserError
        The tokens are no square grid.
    """
    if features.ndim == 4:
        return features.permute(0, 3, 1, 2) if layout.channels_last else features
    patches = features[:, layout.prefix :].transpose(1, 2)
    side = math.isqrt(patches.shape[2])
    if side * side != patches.shape[2]:
        raise UserError("gives tokens that are no square grid", where="--head", got=patches.shape[2], do="Give linear")
    return patches.reshape(*patches.shape[:2], side, side)


def map_shape(features: torch.Tensor, layout: Layout) -> tuple[int, int]:
    """Give rows and columns of the map; raises UserError where tokens are no square grid."""
    shape = feature_map(features[:1], layout).shape
    return int(shape[2]), int(shape[3])


def pooled_without(
    features: torch.Tensor, layout: Layout, pools: tuple[str, ...], windows: Sequence[tuple[int, int, int, int]]
) -> dict[str, torch.Tensor]:
    """Pool features as if the positions of a window were not there, for each of several windows.

    Parameters
    ----------
    features, layout, pools
        As `pooled` takes them.
    windows
        (left, top, right, bottom) in positions of the map, right and bottom exclusive; none covers all of it.

    Returns
    -------
    dict
        Pool name to (batch, windows, width) float32. A class token stays as it is: patches left out of the last layer
        have had their say in it.

    Raises
    ------
    UserError
        The tokens are no square grid, or nothing is left to pool.
    """
    rows, columns = map_shape(features, layout)
    tokens = _tokens(features.float(), layout)
    prefix, patches = tokens[:, : layout.prefix], tokens[:, layout.prefix :]
    found: dict[str, list[torch.Tensor]] = {name: [] for name in pools}
    for left, top, right, bottom in windows:
        kept = torch.ones(rows, columns, dtype=torch.bool, device=tokens.device)
        kept[top:bottom, left:right] = False
        if not kept.any():
            raise UserError("leaves nothing to pool", where="window", got=f"all of {rows} x {columns} positions")
        left_over = torch.cat([prefix, patches[:, kept.flatten()]], dim=1)
        for name, vectors in pooled(left_over, replace(layout, channels_last=False), pools).items():
            found[name].append(vectors)
    return {name: torch.stack(vectors, dim=1) for name, vectors in found.items()}


def _class_token(tokens: torch.Tensor, layout: Layout) -> torch.Tensor:
    if not layout.has_cls:
        raise UserError("has no class token", where="--pool", got="cls", do="Give avg, max or avgmax")
    return tokens[:, 0]


def _token_mean(features: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    if features.ndim != 3:
        raise UserError("gives a map, no tokens", where="--pool", got="token-mean", do="Give avg, the mean of the map")
    return tokens.mean(1)


def _channel_max(maximum: torch.Tensor, group: int) -> torch.Tensor:
    channels = maximum.shape[1]
    if channels % group:
        divisors = [k for k in range(2, channels + 1) if channels % k == 0]
        near = sorted(sorted(divisors, key=lambda k: abs(k - group))[:3])
        do = f"Give a K that divides them: {', '.join(map(str, near))}"
        raise UserError(f"does not divide {channels} channels", where="--pool", got=f"channelmax:{group}", do=do)
    return maximum.view(len(maximum), -1, group).amax(2)


def _tokens(features: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Bring features to (batch, tokens, channels)."""
    if features.ndim == 3:
        return features
    return features.flatten(1, 2) if layout.channels_last else features.flatten(2).transpose(1, 2)
