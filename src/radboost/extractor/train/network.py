"""The network that is trained: a backbone, a head, and metadata that joins behind the backbone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from radboost.extractor.backbone import Backbone, feature_map, parameter_blocks, window_parameters
from radboost.extractor.backbone.pooling import pooled
from radboost.extractor.train.config import HeadConfig

__all__ = ["Classifier"]


class Classifier(nn.Module):
    """From pixels and metadata to the margins of all targets.

    Parameters
    ----------
    backbone
        Where training starts; its own weights are trained, no copy.
    head
        What stands on it.
    margins
        Numbers given, all targets side by side.
    metadata
        Encoded columns; 0 leaves metadata out.
    channels
        Of a crop. Channel k of the network sees channel k of the crop, and grey is seen three times.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, head: HeadConfig, margins: int, metadata: int, channels: int) -> None:
        super().__init__()
        self.model = backbone.model
        self._backbone, self._kind = backbone, head.kind
        pool = backbone.config.pool[0]
        width = backbone.widths[pool]
        if head.kind == "conv":
            deep = _depth(backbone)
            self.convolution = nn.Sequential(
                nn.Conv2d(deep, head.hidden, 3, padding=1, bias=False), nn.BatchNorm2d(head.hidden), nn.ReLU()
            )
            width = head.hidden
        if metadata:
            self.join = nn.Sequential(nn.Linear(metadata, head.hidden), nn.ReLU())
            width += head.hidden
        if head.kind == "mlp":
            self.hidden = nn.Sequential(nn.Dropout(head.dropout), nn.Linear(width, head.hidden), nn.ReLU())
            width = head.hidden
        self.drop = nn.Dropout(head.dropout)
        self.last = nn.Linear(width, margins)
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1), persistent=False)
        self._channels = [k % channels for k in range(3)]
        self.blocks = [[f"model.{name}" for name in block] for block in parameter_blocks(backbone.model)]
        self.windows = [f"model.{name}" for name in window_parameters(backbone.model)]

    @property
    def head_parameters(self) -> list[str]:
        """Names of the parameters that are not the backbone's."""
        return [name for name, _ in self.named_parameters() if not name.startswith("model.")]

    def start_at(self, margins: Sequence[float]) -> None:
        """Let an untrained head say the base rates, as margins, whatever it sees."""
        with torch.no_grad():
            self.last.weight.mul_(0.1)
            self.last.bias.copy_(torch.tensor(margins))

    def forward(self, pixels: Tensor, metadata: Tensor) -> Tensor:
        """Give margins, (batch, margins) float32.

        Parameters
        ----------
        pixels
            (batch, channels, side, side) in 0..1, as the crop is shown.
        metadata
            (batch, columns) encoded.
        """
        images = (pixels[:, self._channels] - self.mean) / self.std
        features = self._backbone.features(images.contiguous(memory_format=torch.channels_last))
        if self._kind == "conv":
            vectors = self.convolution(feature_map(features, self._backbone.layout)).mean((2, 3))
        else:
            (vectors,) = pooled(features, self._backbone.layout, self._backbone.config.pool[:1]).values()
        if hasattr(self, "join"):
            vectors = torch.cat([vectors, self.join(metadata)], dim=1)
        if hasattr(self, "hidden"):
            vectors = self.hidden(vectors)
        margins: Tensor = self.last(self.drop(vectors)).float()
        return margins

    def let_learn(self, rates: Sequence[float], window: float = 0.0) -> list[dict[str, object]]:
        """Switch blocks on and off, and give the optimiser's groups.

        Parameters
        ----------
        rates
            Of each block and then of the head; what has 0 neither learns nor keeps statistics of batches.
        window
            Of the window layer, where there is one.

        Returns
        -------
        list
            One group a rate above 0, with ``params`` and ``lr``; the head's is the last.
        """
        named = dict(self.named_parameters())
        groups: list[dict[str, object]] = []
        frozen: set[str] = set()
        parts = [(self.windows, window)] if self.windows else []
        parts += zip([*self.blocks, self.head_parameters], rates, strict=True)
        for names, rate in parts:
            for name in names:
                named[name].requires_grad_(rate > 0)
            if rate > 0:
                groups.append({"params": [named[name] for name in names], "lr": rate})
            else:
                frozen.update(names)
        self._still = _modules_of(self, frozen)
        return groups

    def train(self, mode: bool = True) -> Classifier:
        """Set the mode; what does not learn stays in evaluation, so that its batch statistics do not move."""
        super().train(mode)
        for module in getattr(self, "_still", ()):
            module.eval()
        return self


def _modules_of(network: nn.Module, names: Iterable[str]) -> list[nn.Module]:
    """Modules that own some of these parameters."""
    owners = {name.rpartition(".")[0] for name in names}
    return [module for name, module in network.named_modules() if name in owners]


def _depth(backbone: Backbone) -> int:
    """Channels of the backbone's last map, found with one blank image."""
    side = backbone.config.size or 224
    with torch.inference_mode():
        return int(feature_map(backbone.features(torch.zeros(1, 3, side, side)), backbone.layout).shape[1])
