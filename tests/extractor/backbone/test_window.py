"""Windows as a layer of a network: the recipe's values at first, then what training makes of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from radboost.data.crop import PixelPolicy
from radboost.data.dicom import Presentation, Window, display
from radboost.errors import UserError
from radboost.extractor.backbone import HOUNSFIELD, BackboneConfig, load_backbone, parameter_blocks, window_parameters
from radboost.extractor.backbone.window import WindowLayer
from radboost.extractor.config import ExtractConfig
from radboost.extractor.train.config import HeadConfig
from radboost.extractor.train.network import Classifier
from radboost.extractor.train.stages import SCHEDULES, Stage

CT = Presentation()
WINDOWS = ((40.0, 80.0), (80.0, 200.0), (40.0, 400.0))


def config(**changes) -> BackboneConfig:
    return BackboneConfig("test_resnet", random_init=0, size=32, windows=WINDOWS, **changes)


def shown(hounsfield: np.ndarray) -> torch.Tensor:
    """Images as crops are cut, 0 to 1: one channel, under the one window."""
    cut = [display(image.astype(np.int16), CT, (0, 1), Window(*HOUNSFIELD)) for image in hounsfield]
    return torch.from_numpy(np.stack(cut).astype(np.float32) / 65535)[:, None].repeat(1, 3, 1, 1)


def test_at_first_each_channel_is_the_recipes_window_of_the_hounsfield_units():
    hounsfield = np.random.default_rng(0).uniform(-1024, 3072, (2, 8, 8)).round()
    hounsfield[:, 0, :2] = -1024, 3072
    found = WindowLayer(WINDOWS)(shown(hounsfield)).detach().numpy()
    for channel, (centre, width) in enumerate(WINDOWS):
        plain = 1 / (1 + np.exp(-(hounsfield / width + 0.5 - centre / width)))
        mean, variance = plain.mean((1, 2), keepdims=True), plain.var((1, 2), keepdims=True)
        np.testing.assert_allclose(found[:, channel], (plain - mean) / np.sqrt(variance + 1e-5), atol=2e-3)
    # A single window is seen by all three channels.
    one = WindowLayer(WINDOWS[:1])(shown(hounsfield))
    assert torch.equal(one[:, 0], one[:, 2])


def test_crops_for_it_keep_every_hounsfield_unit_apart():
    cut = display(np.arange(-1024, 3073, dtype=np.int16)[None], CT, (0, 1), Window(*HOUNSFIELD))[0].astype(int)
    assert (cut[0], cut[-1]) == (0, 65535)
    assert (np.diff(cut) >= 15).all()


def test_a_store_of_such_a_network_is_another_store():
    plain, layered = (
        load_backbone(BackboneConfig("test_resnet", random_init=0, size=32, windows=w)) for w in ((), WINDOWS)
    )
    assert "windows" not in plain.identifier()
    assert layered.identifier()["windows"] == [list(window) for window in WINDOWS]
    assert layered.identifier()["weights_sha256"] != plain.identifier()["weights_sha256"]
    # What is asked again is asked with the layer.
    again = BackboneConfig(**layered.config.recipe(), random_init=0)
    assert again == config()
    with pytest.raises(UserError, match="a window layer sees Hounsfield units"):
        ExtractConfig(config(), PixelPolicy.of("frame", 32, WINDOWS))


def test_only_a_rate_of_its_own_moves_it():
    assert SCHEDULES["layerwise"][0].window == 5e-6
    backbone = load_backbone(config())
    network = Classifier(backbone, HeadConfig(), 2, metadata=0, channels=1)
    assert network.windows == [f"model.{name}" for name in window_parameters(backbone.model)]
    # Blocks are those of the network behind it, so that stages count as they do without a layer.
    bare = load_backbone(BackboneConfig("test_resnet", random_init=0, size=32)).model
    assert [len(block) for block in parameter_blocks(backbone.model)] == [len(b) for b in parameter_blocks(bare)]
    images = shown(np.random.default_rng(1).uniform(-200, 300, (4, 32, 32)))[:, :1]
    for stage, moves in ((Stage("all", 1, 1e-3), False), (Stage("all", 1, 1e-3, window=1e-4), True)):
        before = backbone.model.windows.weight.detach().clone()
        groups = network.let_learn(stage.rates(network.blocks), stage.window)
        assert groups[-1]["lr"] == 1e-3
        network.train()
        optimiser = torch.optim.Adam(groups)
        network(images, torch.zeros(4, 0)).square().sum().backward()
        optimiser.step()
        assert bool((backbone.model.windows.weight != before).all()) is moves
        optimiser.zero_grad()
