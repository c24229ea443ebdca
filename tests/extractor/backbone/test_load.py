from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import timm
import torch

from radboost.errors import UserError, WeightsError
from radboost.extractor.backbone import BackboneConfig, input_size, load_backbone


def embed(backbone, seed=0):
    images = torch.randn(
        2, 3, backbone.config.size, backbone.config.size, generator=torch.Generator().manual_seed(seed)
    )
    with torch.inference_mode():
        return {name: v.numpy() for name, v in backbone.embed(images).items()}


def test_average_is_what_timm_itself_pools():
    # For a network that pools by plain averaging, timm's own headless output is the reference.
    backbone = load_backbone(BackboneConfig("test_resnet", random_init=3, size=64))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        reference = timm.create_model("test_resnet", num_classes=0).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(backbone.embed(images)["avg"], reference(images), atol=1e-5)


@pytest.mark.parametrize("name", ["test_vit", "swin_tiny_patch4_window7_224"])
def test_tokens_are_patches_only(name):
    backbone = load_backbone(BackboneConfig(name, random_init=0, size=64))
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        features = backbone.model(images)
        patches = features[:, 1:] if name == "test_vit" else features.flatten(1, 2)
        assert torch.allclose(backbone.embed(images)["avg"], patches.mean(1), atol=1e-5)


def test_class_token_where_there_is_one():
    backbone = load_backbone(BackboneConfig("test_vit", random_init=0, size=64, pool=("cls",)))
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(backbone.embed(images)["cls"], backbone.model(images)[:, 0])
    for name in ("test_resnet", "vit_base_patch16_siglip_224"):
        with pytest.raises(UserError, match="no class token"):
            load_backbone(BackboneConfig(name, random_init=0, size=64, pool=("cls",)))


def test_a_seed_gives_the_same_weights_whatever_was_drawn_before():
    config = BackboneConfig("test_resnet", random_init=5, size=64)
    torch.manual_seed(123)
    here = load_backbone(config)
    state = torch.get_rng_state()
    assert load_backbone(config).weights_sha256 == here.weights_sha256
    assert torch.equal(torch.get_rng_state(), state), "building a backbone must not move the caller's generator"
    assert load_backbone(BackboneConfig("test_resnet", random_init=6, size=64)).weights_sha256 != here.weights_sha256


class TestCheckpoint:
    @pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
    @pytest.mark.parametrize("wrapped", ["plain", "state_dict", "module.", "model.module.", "head"])
    def test_weights_come_back_whatever_the_file(self, trained, tmp_path, suffix, wrapped):
        state = {k: v.contiguous() for k, v in trained.model.state_dict().items()}
        if wrapped.endswith("."):
            state = {wrapped + k: v for k, v in state.items()}
        if wrapped == "head":
            state |= {"fc.weight": torch.zeros(7, 96), "fc.bias": torch.zeros(7)}
        path = tmp_path / f"weights{suffix}"
        if suffix == ".safetensors":
            safetensors.torch.save_file(state, path)
        else:
            torch.save({"state_dict": state, "epoch": 3} if wrapped == "state_dict" else state, path)
        loaded = load_backbone(BackboneConfig("test_resnet", checkpoint=path, size=64))
        # One hash whatever the file: stores made from either belong together.
        assert loaded.weights_sha256 == trained.weights_sha256
        assert np.array_equal(embed(loaded)["avg"], embed(trained)["avg"])

    def test_position_embeddings_follow_the_size(self, tmp_path):
        small = load_backbone(BackboneConfig("test_vit", random_init=1, size=64))
        torch.save(small.model.state_dict(), tmp_path / "vit.pth")
        large = load_backbone(BackboneConfig("test_vit", checkpoint=tmp_path / "vit.pth", size=96))
        assert large.model.pos_embed.shape[1] == 37
        assert torch.equal(large.model.blocks[0].mlp.fc1.weight, small.model.blocks[0].mlp.fc1.weight)

    def test_another_architecture_is_refused(self, trained, tmp_path):
        torch.save(trained.model.state_dict(), tmp_path / "w.pth")
        with pytest.raises(WeightsError, match=r"w\.pth"):
            load_backbone(BackboneConfig("test_efficientnet", checkpoint=tmp_path / "w.pth", size=64))

    def test_a_missing_tensor_is_named(self, trained, tmp_path):
        state = trained.model.state_dict()
        del state["layer1.0.conv1.weight"]
        torch.save(state, tmp_path / "w.pth")
        with pytest.raises(WeightsError, match=r"no layer1\.0\.conv1\.weight"):
            load_backbone(BackboneConfig("test_resnet", checkpoint=tmp_path / "w.pth", size=64))

    def test_a_deeper_network_of_the_same_names_is_refused(self, trained, tmp_path):
        # All that the backbone needs is there, and yet it is another network's.
        state = trained.model.state_dict() | {"layer4.7.conv1.weight": torch.zeros(1)}
        torch.save(state, tmp_path / "w.pth")
        with pytest.raises(WeightsError, match=r"unknown layer4\.7"):
            load_backbone(BackboneConfig("test_resnet", checkpoint=tmp_path / "w.pth", size=64))

    @pytest.mark.parametrize("content", [b"", b"garbage" * 99])
    @pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
    def test_a_damaged_file_is_one_error(self, tmp_path, content, suffix):
        path = tmp_path / f"w{suffix}"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="cannot be read as weights"):
            load_backbone(BackboneConfig("test_resnet", checkpoint=path, size=64))

    def test_a_missing_file_is_one_error(self, tmp_path):
        config = BackboneConfig("test_resnet", checkpoint=tmp_path / "none.pth", size=64)
        for ask in (config.source, lambda: load_backbone(config)):
            with pytest.raises(WeightsError, match=r"none\.pth"):
                ask()

    def test_code_in_a_checkpoint_is_never_run(self, tmp_path):
        torch.save({"state_dict": _Trap(tmp_path / "sprung")}, tmp_path / "w.pth")
        with pytest.raises(WeightsError):
            load_backbone(BackboneConfig("test_resnet", checkpoint=tmp_path / "w.pth", size=64))
        assert not (tmp_path / "sprung").exists()


class _Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


class TestPretrained:
    def test_without_cache_and_network_the_three_ways_out_are_named(self):
        with pytest.raises(WeightsError) as caught:
            load_backbone(BackboneConfig("test_resnet.r160_in1k", size=64))
        for way in ("--checkpoint FILE", "hub cache", "--random-init SEED"):
            assert way in str(caught.value)

    def test_an_unreachable_hub_is_not_waited_for(self, monkeypatch):
        from huggingface_hub import constants

        asked = []
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr("radboost.extractor.backbone.hub._answers", lambda endpoint: asked.append(endpoint))
        with pytest.raises(WeightsError, match="--random-init SEED"):
            load_backbone(BackboneConfig("test_resnet.r160_in1k", size=64))
        assert len(asked) == 1
        assert constants.HF_HUB_OFFLINE is False, "the caller's setting must come back"

    def test_a_filled_cache_needs_no_network(self, trained, hub):
        state = {k: v.contiguous() for k, v in trained.model.state_dict().items()}
        state |= {"fc.weight": torch.zeros(1000, 96), "fc.bias": torch.zeros(1000)}
        hub("timm/test_resnet.r160_in1k", {"model.safetensors": state})
        loaded = load_backbone(BackboneConfig("test_resnet.r160_in1k", size=64))
        assert loaded.weights_sha256 == trained.weights_sha256

    def test_a_hub_model_in_the_cache_needs_no_network(self, trained, hub):
        config = {
            "architecture": "test_resnet",
            "num_classes": 7,
            "pretrained_cfg": {
                "input_size": [3, 96, 96],
                "test_input_size": [3, 128, 128],
                "mean": [0.1, 0.2, 0.3],
                "std": [0.4, 0.5, 0.6],
                "classifier": "fc",
            },
        }
        state = {k: v.contiguous() for k, v in trained.model.state_dict().items()}
        state |= {"fc.weight": torch.zeros(7, 96), "fc.bias": torch.zeros(7)}
        hub("lab/mammo", {"config.json": config, "model.safetensors": state})
        loaded = load_backbone(BackboneConfig("hf_hub:lab/mammo", size=None))
        assert loaded.weights_sha256 == trained.weights_sha256
        assert loaded.widths == {"avg": 96}, "the head of seven classes is gone"
        assert (loaded.mean, loaded.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
        assert loaded.config.size == 128, "tested at 128, trained at 96"
        assert loaded.identifier()["name"] == "hf-hub:lab/mammo"
        untrained = load_backbone(BackboneConfig("hf-hub:lab/mammo", random_init=77, size=64))
        assert untrained.weights_sha256 == trained.weights_sha256, (
            "the architecture is the hub's, the weights are the seed's"
        )

    def test_a_hub_model_without_network_is_one_error(self):
        with pytest.raises(WeightsError, match="hub cache"):
            load_backbone(BackboneConfig("hf-hub:nobody/nothing", random_init=0, size=64))


class TestRequests:
    def test_an_unknown_model_names_close_ones(self):
        with pytest.raises(UserError, match="resnet50"):
            load_backbone(BackboneConfig("resnet_50", random_init=0, size=64))

    def test_an_unknown_tag_names_the_tags(self):
        with pytest.raises(UserError, match="r160_in1k"):
            load_backbone(BackboneConfig("test_resnet.nope", random_init=0, size=64))

    def test_a_size_that_would_leave_a_margin_unseen(self):
        # timm drops what does not fill a patch, without a word.
        with pytest.raises(UserError, match="--size 96 or 112"):
            load_backbone(BackboneConfig("vit_tiny_patch16_224", random_init=0, size=100))

    def test_a_size_that_the_network_cannot_take(self):
        with pytest.raises(UserError, match="images of 2 pixels"):
            load_backbone(BackboneConfig("densenet121", random_init=0, size=2))

    def test_unknown_pools_and_two_sources_are_refused(self, tmp_path):
        with pytest.raises(UserError, match="avgmax"):
            BackboneConfig("test_resnet", pool=("gem",))
        with pytest.raises(UserError):
            BackboneConfig("test_resnet", pool=())
        with pytest.raises(UserError, match="one place"):
            BackboneConfig("test_resnet", checkpoint=tmp_path / "w.pt", random_init=0)

    def test_a_folder_is_no_name(self):
        # Its path would end in the store.
        with pytest.raises(UserError, match="--checkpoint"):
            BackboneConfig("local-dir:/models/mine")

    @pytest.mark.parametrize("field", ["mean", "std"])
    @pytest.mark.parametrize("values", [(0.5,), (0.5, 0.5, float("nan")), (0.5, 0.5, float("inf"))])
    def test_a_scaling_is_three_numbers(self, field, values):
        with pytest.raises(UserError, match=f"--{field}"):
            BackboneConfig("m", **{field: values})

    def test_a_deviation_of_zero_divides_nothing(self):
        with pytest.raises(UserError, match="--std"):
            BackboneConfig("m", std=(0.1, 0.0, 0.1))

    def test_a_recipe_asks_for_the_same_again(self):
        config = BackboneConfig(
            "m", random_init=1, size=96, pool=("channelmax:4", "avg"), mean=(0, 0, 0), std=(1, 1, 1)
        )
        again = json.loads(json.dumps(config.recipe()))
        assert BackboneConfig(**again, random_init=1) == config

    def test_pools_in_any_order_are_one_request(self):
        assert BackboneConfig("m", pool=("max", "avg", "max")) == BackboneConfig("m", pool=("avg", "max"))


class TestInput:
    """Mean, deviation and size are the model's own unless told; all three are part of the identifier."""

    def test_the_models_own(self):
        own = load_backbone(BackboneConfig("test_vit", random_init=0, size=None))
        settings = timm.models.get_pretrained_cfg("test_vit")
        assert (own.mean, own.std) == (settings.mean, settings.std)
        assert own.config.size == input_size(own.config) == 160

    def test_the_size_it_was_tested_with_goes_before_the_one_it_was_trained_with(self):
        settings = timm.models.get_pretrained_cfg("convnextv2_tiny.fcmae_ft_in22k_in1k")
        assert (settings.input_size[1], settings.test_input_size[1]) == (224, 288)
        assert input_size(BackboneConfig(f"{settings.architecture}.{settings.tag}")) == 288

    def test_what_is_told_wins_and_shows(self):
        plain = BackboneConfig("test_resnet", random_init=0, size=64)
        told = replace(plain, mean=(0, 0.1, 0.2), std=(1, 2, 3))
        own, other = load_backbone(plain), load_backbone(told)
        assert (other.mean, other.std) == ((0.0, 0.1, 0.2), (1.0, 2.0, 3.0))
        assert {k for k, v in own.identifier().items() if v != other.identifier()[k]} == {"mean", "std"}
        larger = load_backbone(replace(plain, size=96))
        assert {k for k, v in own.identifier().items() if v != larger.identifier()[k]} == {"size"}

    def test_what_is_known_beforehand_is_what_comes(self):
        config = BackboneConfig("test_resnet", random_init=0, size=64, pool=("max", "avg"), std=(1, 2, 3))
        assert config.known().items() <= load_backbone(config).identifier().items()


@pytest.mark.parametrize("name", ["resnet10t", "convnext_atto", "vit_tiny_patch16_224"])
def test_a_stage_is_the_whole_network_cut_there(name):
    # What follows the stage must be gone, not merely unused: it would be hashed, moved and run for nothing.
    whole = load_backbone(BackboneConfig(name, random_init=0, size=224))
    early = load_backbone(BackboneConfig(name, random_init=0, size=224, stage=1))
    assert sum(p.numel() for p in early.model.parameters()) < sum(p.numel() for p in whole.model.parameters())
    assert early.weights_sha256 != whole.weights_sha256
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    run = whole.model.forward_intermediates  # the reference: nothing cut away
    with torch.inference_mode():
        expected = run(images, indices=[1], intermediates_only=True)[0].mean((2, 3))
        torch.testing.assert_close(early.embed(images)["avg"], expected)


def test_a_stage_that_is_not_there_is_named():
    with pytest.raises(UserError, match="no such stage.*99"):
        load_backbone(BackboneConfig("resnet10t", random_init=0, size=64, stage=99))
