"""How many images go through a network at once."""

from __future__ import annotations

import torch

from radboost.extractor.backbone import Backbone
from radboost.nets.device import autocast

__all__ = ["CPU_BATCH", "choose_batch", "fitting"]

CPU_BATCH = 16
"""On the CPU larger batches gain nothing."""
LARGEST = 256
STEP = 8
"""Batches are multiples of this: matrix units like multiples of 8, and a little more or less free memory must not
change the results' last digits from run to run."""
SHARE = 0.6
"""Of the free memory: fragments and the allocator's rounding need the rest."""


def choose_batch(backbone: Backbone, device: torch.device, precision: str, channels: int) -> int:
    """Choose a batch size from the device's free memory; what then does not fit is halved while it runs.

    Parameters
    ----------
    backbone
        On `device`.
    device, precision
        Where and how it computes.
    channels
        Of a crop, which waits on the device as 16-bit integers.
    """
    if device.type != "cuda":
        return CPU_BATCH
    size = int(backbone.config.size or 0)
    needed = []
    for count in (1, 1 + STEP):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        with torch.inference_mode(), autocast(device, precision):
            images = torch.zeros(count, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
            backbone.embed(images)
        torch.cuda.synchronize(device)
        needed.append(torch.cuda.max_memory_allocated(device) - before)
        del images
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    free, _ = torch.cuda.mem_get_info(device)
    # Beside the network's own: two batches as they came, and one as 32-bit integers and floats.
    image = (needed[1] - needed[0]) // STEP + size * size * (2 * 2 * channels + 4 * channels + 2 * 4 * 3)
    return fitting(free, image)


def fitting(free: int, image: int) -> int:
    """Give the largest batch that fits in a share of the free bytes, a multiple of 8 of at most 256.

    >>> fitting(free=80 << 30, image=100 << 20), fitting(free=8 << 30, image=100 << 20), fitting(free=1, image=1 << 30)
    (256, 48, 8)
    """
    return max(STEP, min(LARGEST, int(SHARE * free / max(image, 1))) // STEP * STEP)
