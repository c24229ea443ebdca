"""From a crop's pixels to what a network is shown."""

from __future__ import annotations

import torch

from radboost.extractor.backbone import Backbone

__all__ = ["Shown"]


class Shown:
    """The normalisation of a backbone, on its device.

    Parameters
    ----------
    backbone
        Whose mean and deviation.
    channels
        Of a crop; channel k of the network sees channel k of the crop, and grey is seen three times.
    device
        Where.
    """

    def __init__(self, backbone: Backbone, channels: int, device: torch.device) -> None:
        mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (backbone.mean, backbone.std))
        # (pixel / 65535 - mean) / std as one product and one sum; augmented views see pixels in 0..1 first.
        self._mean, self._std = mean, std
        self._scale, self._shift = 1 / (65535 * std), -mean / std
        self._channels = torch.tensor([k % channels for k in range(3)], device=device)

    def grey(self, sent: torch.Tensor) -> torch.Tensor:
        """Read crops sent as int16, which carries the bits of uint16; 0 to 65535 as float32."""
        return (sent.to(torch.int32) & 0xFFFF).to(torch.float32)

    def clean(self, grey: torch.Tensor) -> torch.Tensor:
        """Normalise crops (batch, channels, size, size) of values 0 to 65535."""
        return self._laid(grey[:, self._channels] * self._scale + self._shift)

    def augmented(self, shown: torch.Tensor) -> torch.Tensor:
        """Normalise views (batch, channels, size, size) of values 0 to 1."""
        return self._laid((shown[:, self._channels] - self._mean) / self._std)

    @staticmethod
    def _laid(images: torch.Tensor) -> torch.Tensor:
        return images.contiguous(memory_format=torch.channels_last)
