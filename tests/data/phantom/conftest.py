"""A small network for proofs that made-up findings can be learnt."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import timm
import torch
from torch import Tensor

EPOCHS, BATCH, RATE = 12, 32, 3e-3


@pytest.fixture
def learnt() -> Callable[..., Callable[[np.ndarray], np.ndarray]]:
    """Train a network on crops, and give what it says of others."""

    def learn(
        crops: np.ndarray, found: np.ndarray, change: Callable[[Tensor], Tensor]
    ) -> Callable[[np.ndarray], np.ndarray]:
        images, labels = torch.from_numpy(crops)[:, None], torch.from_numpy(found).float()
        torch.manual_seed(0)
        network = timm.create_model("test_resnet", pretrained=False, num_classes=1, in_chans=1)
        optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.05)
        steps = EPOCHS * -(-len(labels) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(labels)).split(BATCH):
                margins = network(change(images[rows]) * 2 - 1)[:, 0]
                loss = torch.nn.functional.binary_cross_entropy_with_logits(margins, labels[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
        network.eval()

        def told(others: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return network(torch.from_numpy(others)[:, None] * 2 - 1)[:, 0].numpy()

        return told

    return learn
