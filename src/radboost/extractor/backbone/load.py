"""Build a backbone by name and give it its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from radboost.errors import UserError
from radboost.extractor.backbone.config import TRANSFORMERS, BackboneConfig
from radboost.extractor.backbone.network import Network, size_error
from radboost.extractor.backbone.pooling import Layout, pooled
from radboost.extractor.backbone.timm_network import timm_network, timm_size
from radboost.extractor.backbone.transformers_network import transformers_network, transformers_size
from radboost.extractor.backbone.weights import weights_sha256
from radboost.extractor.backbone.window import Windowed

__all__ = ["Backbone", "input_size", "load_one"]


@dataclass(frozen=True)
class Backbone:
    """A frozen network: the weights, how its input is scaled, and what tells it from any other.

    Attributes
    ----------
    config
        What was asked for; its size is never None.
    model
        In evaluation mode, without gradients, without head.
    mean, std
        Of the three input channels, on pixels scaled to 0..1.
    layout
        Of its features.
    widths
        Pool name to length of the vector.
    weights_sha256
        Over the tensors that the forward pass uses.
    """

    config: BackboneConfig
    model: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layout: Layout
    widths: dict[str, int]
    weights_sha256: str

    def identifier(self) -> dict[str, object]:
        """Tell it from any other backbone, JSON-able, for the fingerprint of a store."""
        return {
            "name": self.config.name,
            "weights_sha256": self.weights_sha256,
            "size": self.config.size,
            "mean": list(self.mean),
            "std": list(self.std),
            "pools": list(self.config.pool),
            "stage": self.config.stage,
            **self.config.windowed(),
        }

    def embed(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Embed normalised images; all poolings from one forward pass.

        Parameters
        ----------
        images
            (batch, 3, size, size) float32, already scaled by `mean` and `std`, on the model's device.

        Returns
        -------
        dict
            Pool name to (batch, width) float32.
        """
        return pooled(self.features(images), self.layout, self.config.pool)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Give the features of normalised images before pooling, laid out as `layout` says."""
        return _features(self.model, images)


def input_size(config: BackboneConfig) -> int:
    """Give the side of the images that a backbone was made for, whatever `config.size`, without building it; pixels.

    Raises
    ------
    UserError
        There is no such model, or it does not say.
    WeightsError
        It lies on the hub and cannot be had.
    """
    return transformers_size(config) if config.name.startswith(TRANSFORMERS) else timm_size(config)


def load_one(config: BackboneConfig) -> Backbone:
    """Build a backbone of one network on the CPU.

    Raises
    ------
    UserError
        There is no such model, or it does not take images of this size, or it lacks a pooling, or the extra for it is
        not installed.
    WeightsError
        Its weights cannot be had, or do not fit it.
    """
    size = config.size or input_size(config)
    config = replace(config, size=size)
    network = transformers_network(config) if config.name.startswith(TRANSFORMERS) else timm_network(config)
    mean, std = config.mean or network.mean, config.std or network.std
    if mean is None or std is None:
        do = "Give mean and std, of pixels scaled to 0..1"
        raise UserError("does not say how its input is scaled", where=config.name, do=do)
    if config.windows:
        # The layer norms what it gives, by image and channel.
        network, mean, std = replace(network, model=Windowed(network.model, config.windows)), (0.0,) * 3, (1.0,) * 3
    network.model.eval().requires_grad_(False)
    layout, widths = _probe(network, config, size)
    sha256 = weights_sha256(network.model.state_dict())
    return Backbone(config, network.model, mean, std, layout, widths, sha256)


def _features(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    features: torch.Tensor = model(images)
    if features.ndim == 2:  # a network that pools on its own, whatever it is told
        run: Callable[..., torch.Tensor] = model.forward_features  # type: ignore[assignment]
        features = run(images)
    return features


def _probe(network: Network, config: BackboneConfig, size: int) -> tuple[Layout, dict[str, int]]:
    """Find layout and widths with one blank image."""
    if network.patch is not None and size % network.patch:
        # The network would leave the last columns and rows unseen.
        fits = size // network.patch * network.patch
        do = f"Give --size {fits or network.patch} or {fits + network.patch}"
        raise UserError(f"sees patches of {network.patch} pixels", where=config.name, got=f"--size {size}", do=do)
    try:
        with torch.inference_mode():
            features = _features(network.model, torch.zeros(1, 3, size, size))
    except (AssertionError, ValueError, RuntimeError, TypeError) as error:
        raise size_error(config.name, size, error) from error
    if not torch.is_tensor(features) or features.ndim not in (3, 4):
        raise UserError("gives no feature map to pool", where=config.name, do="Choose another --backbone")
    layout = network.layout(features)
    vectors = pooled(features, layout, config.pool)
    return layout, {name: int(vector.shape[1]) for name, vector in vectors.items()}
