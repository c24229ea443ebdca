"""Windows of a CT image as the first layer of a network, so that they can be learnt.

Source: the haemorrhage recipe of 2019. A window of centre c and width w is a 1x1 convolution of Hounsfield units with
weight 1/w and bias 0.5 - c/w, 0 and 1 at the window's edges; a sigmoid in the place of a cut, and instance norm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from radboost.data.crop import PixelPolicy
from radboost.errors import UserError
from radboost.extractor.backbone.config import BackboneConfig

__all__ = ["HOUNSFIELD", "WindowLayer", "Windowed", "layered", "window_parameters"]

HOUNSFIELD = (1024.5, 4097.0)
"""Centre and width of the one window under which crops are cut for such a layer: black is -1024 HU, white 3072 HU.

A window of DICOM is 0 at centre - 0.5 - (width - 1) / 2 (PS3.3 C.11.2.1.2). Crops have 16 bits, so that a step is
1/16 HU.
"""
_BLACK, _RANGE = -1024.0, 4096.0


class WindowLayer(nn.Module):
    """Windows with weights of their own.

    Parameters
    ----------
    windows
        (centre, width) in Hounsfield units, one to three.
    """

    channels: Tensor

    def __init__(self, windows: Sequence[tuple[float, float]]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1 / width for _, width in windows]))
        self.bias = nn.Parameter(torch.tensor([0.5 - centre / width for centre, width in windows]))
        # Channel k of the network sees window k, and a single one is seen three times.
        self.register_buffer("channels", torch.arange(3) % len(windows), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Give (batch, 3, height, width) of mean 0 and deviation 1 each.

        Parameters
        ----------
        images
            (batch, any, height, width) float32 in 0..1, cut under `HOUNSFIELD`; the first channel counts.
        """
        hounsfield = images[:, :1].float() * _RANGE + _BLACK
        # By product and sum, not as a convolution: autocast would give those the eight bits of bfloat16.
        shown = torch.sigmoid(hounsfield * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1))
        return functional.instance_norm(shown)[:, self.channels]


class Windowed(nn.Module):
    """A network behind a window layer; its input is neither shifted nor scaled before.

    Parameters
    ----------
    network
        Of three channels.
    windows
        See `WindowLayer`.
    """

    def __init__(self, network: nn.Module, windows: Sequence[tuple[float, float]]) -> None:
        super().__init__()
        self.windows, self.network = WindowLayer(windows), network

    def forward(self, images: Tensor) -> Tensor:
        """Give what the network gives."""
        found: Tensor = self.network(self.windows(images))
        return found

    def forward_features(self, images: Tensor) -> Tensor:
        """Give what the network gives before it pools."""
        run: Callable[[Tensor], Tensor] = self.network.forward_features  # type: ignore[assignment]
        return run(self.windows(images))


def window_parameters(model: nn.Module) -> list[str]:
    """Name the parameters of a network's window layer; none where it has none."""
    if not isinstance(model, Windowed):
        return []
    return [f"windows.{name}" for name, _ in model.windows.named_parameters()]


def layered(network: BackboneConfig, pixels: PixelPolicy) -> tuple[BackboneConfig, PixelPolicy]:
    """Put the windows of the pixels before the network, as a layer; crops are then cut under one for all.

    Raises
    ------
    UserError
        There are no windows, or a crop is a stack of slices.
    """
    if not pixels.windows:
        raise UserError("needs windows to begin with", where="--window-layer", do="Give --window CENTRE,WIDTH")
    if pixels.stack > 1:
        raise UserError("sees one slice", where="--window-layer", got=f"--stack {pixels.stack}")
    return replace(network, windows=pixels.windows), replace(pixels, windows=(HOUNSFIELD,))
