from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from radboost.errors import UserError
from radboost.extractor.backbone import BackboneConfig, load_backbone, parameter_blocks
from radboost.extractor.train.config import HeadConfig, LearnConfig
from radboost.extractor.train.learning import falling
from radboost.extractor.train.network import Classifier
from radboost.extractor.train.stages import SCHEDULES, Stage, read_schedule


@pytest.mark.parametrize("name", ["resnet18", "test_convnext", "test_efficientnet", "test_vit"])
def test_every_parameter_stands_in_one_block(name):
    model = timm.create_model(name, num_classes=0)
    found = [name for block in parameter_blocks(model) for name in block]
    assert sorted(found) == sorted(name for name, _ in model.named_parameters())


def test_the_three_stages_leave_stem_and_first_block_of_a_resnet():
    stem, first, *rest = parameter_blocks(timm.create_model("resnet18", num_classes=0))
    assert all(name.startswith(("conv1", "bn1")) for name in stem)
    assert all(name.startswith("layer1") for name in first)
    rates = SCHEDULES["three-stage"][1].rates([stem, first, *rest])
    assert rates == [0.0, 0.0, 1e-4, 1e-4, 1e-4, 1e-4]
    assert Stage("top", 10, 1e-4, "from:layer2").rates([stem, first, *rest]) == rates
    assert [(s.epochs, s.rate) for s in SCHEDULES["three-stage"]] == [(3, 1e-3), (10, 1e-4), (37, 1e-5)]


def test_a_schedule_is_read_from_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[[stage]]\nname = "all"\nepochs = 2\nrate = 0.001\ngrowth = 2.0\n')
    assert read_schedule(str(path)) == (Stage("all", 2, 1e-3, "all", 2.0),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no stage"),
        ('[[stage]]\nname = "a"\nepochs = 2\nrate = 0.1\nlayers = "layer4"', "unknown layers"),
        ('[[stage]]\nname = "a"\nepochs = 0\nrate = 0.1', "epochs out of range"),
        ('[[stage]]\nname = "a"\nepoch = 2', "unknown settings"),
        ('[[stage]]\nname = "a"\nepochs = 2', "does not describe"),
        ("[[stage", "cannot be read"),
    ],
)
def test_what_is_no_schedule_is_told(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read_schedule(str(path))


def test_an_unknown_schedule_names_those_there_are():
    with pytest.raises(UserError, match="head, three-stage, layerwise"):
        read_schedule("two-stage")


def _rates(rate, steps, epochs, resume=None):
    """Rates of two groups at each step; begun anew from a checkpoint's state before step `resume`."""

    def made():
        groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in (1e-2, 1e-4)]
        optimiser = torch.optim.Adam(groups)
        return optimiser, falling(optimiser, LearnConfig(rate=rate), steps, epochs)

    (optimiser, scheduler), out = made(), []
    for step in range(steps):
        if step == resume:
            states = optimiser.state_dict(), scheduler.state_dict()
            optimiser, scheduler = made()
            optimiser.load_state_dict(states[0])
            scheduler.load_state_dict(states[1])
        out.append([group["lr"] for group in optimiser.param_groups])
        optimiser.step()
        scheduler.step()
    return np.array(out)


@pytest.mark.parametrize(("rate", "falls"), [("cosine", 1), ("restarts", 3), ("constant", 0)])
def test_rates_fall_as_they_are_said_to(rate, falls):
    found = _rates(rate, 12, 3)
    # All layers' rates keep their proportion.
    np.testing.assert_allclose(found[:, 0], 100 * found[:, 1])
    one = 12 // max(falls, 1)
    expected = 0.5 * (1 + np.cos(np.pi * np.arange(one) / one)) if falls else np.ones(12)
    np.testing.assert_allclose(found[:, 0], 1e-2 * np.tile(expected, max(falls, 1)))
    np.testing.assert_array_equal(_rates(rate, 12, 3, resume=5), found)


@pytest.mark.parametrize(
    ("name", "layer", "frozen"),
    [("test_convnext", "stages.1", 2), ("test_vit", "blocks.1", 2), ("resnet18", "conv1", 0)],
)
def test_a_layer_is_known_by_its_name(name, layer, frozen):
    blocks = parameter_blocks(timm.create_model(name, num_classes=0))
    rates = Stage("top", 1, 1e-3, f"from:{layer}").rates([[f"model.{name}" for name in block] for block in blocks])
    assert rates == [0.0] * frozen + [1e-3] * (len(blocks) + 1 - frozen)
    with pytest.raises(UserError, match="no such layer.*The network has"):
        Stage("top", 1, 1e-3, "from:layer9").rates(blocks)


@pytest.mark.parametrize("kind", ["linear", "mlp", "conv"])
def test_what_does_not_learn_does_not_move(kind):
    backbone = load_backbone(BackboneConfig("test_resnet", random_init=0, size=32))
    network = Classifier(backbone, HeadConfig(kind, hidden=4, dropout=0.2), 2, metadata=3, channels=1)
    groups = network.let_learn([0.0] * (len(network.blocks) - 1) + [1e-2, 1e-2])
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.Adam(groups, weight_decay=0.1)
    network.train()
    for _ in range(2):
        optimiser.zero_grad()
        network(torch.rand(4, 1, 32, 32), torch.randn(4, 3)).square().sum().backward()
        optimiser.step()
    learning = set(network.blocks[-1]) | set(network.head_parameters)
    owners = {name.rpartition(".")[0] for name in learning}
    for name, value in network.state_dict().items():
        # A frozen batch norm keeps its statistics, too.
        moves = name in learning or (name.rpartition(".")[0] in owners and "running" in name)
        if not moves and "num_batches" not in name:
            assert torch.equal(value, before[name]), name
    assert all(not torch.equal(network.state_dict()[name], before[name]) for name in learning)
    frozen = [name for name in before if "running_mean" in name and name.rpartition(".")[0] not in owners]
    assert frozen
