"""Networks that come with radboost: small, trained on synthetic images, for trials without a network connection.

``shipped/<name>.json`` is a network's card (what it is, how it was made), ``shipped/<name>.safetensors`` its weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from radboost.data.folder import read_json
from radboost.errors import UserError, WeightsError
from radboost.extractor.backbone.weights import weights_sha256

__all__ = ["SHIPPED", "ShippedCard", "read_card", "shipped_names", "shipped_state"]

SHIPPED = "radboost:"
"""Before the name of a network that comes with radboost."""
FOLDER = Path(__file__).parent / "shipped"


@dataclass(frozen=True)
class ShippedCard:
    """What comes with a network of ours.

    Attributes
    ----------
    architecture, arguments
        A model of timm, and how it differs from what timm builds under that name.
    size
        Side of the images that it was made for, pixels; it takes others.
    mean, std
        Of the three input channels, on pixels scaled to 0..1.
    weights_sha256
        Over its tensors in float32.
    seeds
        Of the synthetic patients that it was trained on: what they show must not be judged by it.
    made
        How: commands, settings, versions, scores.
    """

    architecture: str
    arguments: Mapping[str, Any]
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights_sha256: str
    seeds: tuple[int, ...]
    made: Mapping[str, Any]


def shipped_names() -> list[str]:
    """Names of the networks, as `--backbone` takes them."""
    return [f"{SHIPPED}{path.stem}" for path in sorted(FOLDER.glob("*.json"))]


def read_card(name: str) -> ShippedCard:
    """Read the card of a network named ``radboost:NAME``.

    Raises
    ------
    UserError
        There is none of that name.
    """
    if name not in shipped_names():
        do = f"Give {', '.join(shipped_names())}"
        raise UserError("no such network comes with radboost", where="--backbone", got=name, do=do)
    content: dict[str, Any] = read_json(FOLDER / f"{name.removeprefix(SHIPPED)}.json")
    given: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in content.items()}
    return ShippedCard(**given)


def shipped_state(name: str) -> dict[str, torch.Tensor]:
    """Read a network's tensors, in float32; on disk they are in half precision.

    Raises
    ------
    WeightsError
        The file is missing, or not the one that the card names.
    """
    path = FOLDER / f"{name.removeprefix(SHIPPED)}.safetensors"
    do = "Install radboost anew"
    try:
        state = {n: t.float() if t.is_floating_point() else t for n, t in safetensors.torch.load_file(path).items()}
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError("the network's weights cannot be read", where=path.name, got=str(error), do=do) from error
    found = weights_sha256(state)
    if found != read_card(name).weights_sha256:
        raise WeightsError("are not the weights that the network's card names", where=path.name, got=found, do=do)
    return state
