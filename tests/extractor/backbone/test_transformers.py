"""Models of the transformers library, tiny, at random weights, saved to a folder or a hub cache of our own making."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
import safetensors.torch
import torch
import transformers
from huggingface_hub import constants

from radboost.errors import UserError, WeightsError
from radboost.extractor.backbone import BackboneConfig, input_size, load_backbone

TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 56,
    "patch_size": 14,
}
READING = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
READING |= {"vocab_size": 100, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
SWIN = {"image_size": 56, "patch_size": 4, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": 7}
MODELS = {
    # RAD-DINO is a Dinov2, MedSigLIP the seeing half of a Siglip.
    "dinov2": lambda: transformers.Dinov2Config(**TINY),
    "registers": lambda: transformers.Dinov2WithRegistersConfig(**TINY),
    "siglip": lambda: transformers.SiglipConfig(text_config=READING, vision_config=TINY),
    "clip": lambda: transformers.CLIPConfig(text_config=READING, vision_config=TINY),
    "vit": lambda: transformers.ViTConfig(**TINY),
    "swin": lambda: transformers.SwinConfig(**SWIN),
    "convnext": lambda: transformers.ConvNextConfig(hidden_sizes=[8, 8, 16, 32], depths=[1, 1, 1, 1]),
}
PREFIX = {"dinov2": 1, "registers": 5, "siglip": 0, "clip": 1, "vit": 1}
SCALING = {"image_mean": [0.5307, 0.5307, 0.5307], "image_std": [0.2583, 0.2583, 0.2583]}
PROCESSOR = SCALING | {"crop_size": {"height": 56, "width": 56}, "do_center_crop": True, "size": {"shortest_edge": 70}}


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Folders as `save_pretrained` writes them, by kind."""
    root = tmp_path_factory.mktemp("models")
    level = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        for kind, settings in MODELS.items():
            transformers.AutoModel.from_config(settings(), dtype=torch.float32).save_pretrained(root / kind)
            (root / kind / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    transformers.utils.logging.set_verbosity(level)
    transformers.utils.logging.enable_progress_bar()
    return root


@pytest.fixture
def copied(saved, tmp_path):
    """One model's folder, to be changed."""

    def copy(kind):
        return shutil.copytree(saved / kind, tmp_path / f"private-{kind}")

    return copy


def backbone(folder, **asked):
    return load_backbone(BackboneConfig(f"transformers:{folder}", **({"size": 56} | asked)))


IMAGES = torch.randn(4, 3, 56, 56, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", MODELS)
def test_features_are_the_librarys_own(saved, kind):
    with_tokens = ("cls", "token-mean") if PREFIX.get(kind) else ()
    ours = backbone(saved / kind, pool=("avg", "max", "channelmax:4", *with_tokens))
    reference = transformers.AutoModel.from_pretrained(saved / kind, dtype=torch.float32).eval()
    reference = getattr(reference, "vision_model", reference)
    with torch.inference_mode():
        hidden = reference(pixel_values=IMAGES).last_hidden_state
        if kind == "clip":
            hidden = reference.post_layernorm(hidden)
        found = ours.embed(IMAGES)
    patches = hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden[:, PREFIX.get(kind, 0) :]
    torch.testing.assert_close(found["avg"], patches.mean(1))
    torch.testing.assert_close(found["max"], patches.amax(1))
    torch.testing.assert_close(found["channelmax-4"], patches.amax(1).reshape(4, -1, 4).amax(2))
    if with_tokens:
        torch.testing.assert_close(found["cls"], hidden[:, 0])
        torch.testing.assert_close(found["token-mean"], hidden.mean(1))
    assert ours.widths == {n: v.shape[1] for n, v in found.items()}
    assert not ours.model.training
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in ours.model.parameters())


@pytest.mark.parametrize("kind", MODELS)
def test_an_image_is_embedded_alike_whatever_lies_beside_it(saved, kind):
    ours = backbone(saved / kind)
    with torch.inference_mode():
        together, alone = ours.embed(IMAGES)["avg"][2], ours.embed(IMAGES[2:3])["avg"][0]
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", PREFIX)
def test_only_the_half_that_sees_is_kept_and_no_head(saved, kind):
    names = backbone(saved / kind).model.state_dict()
    assert not [n for n in names if "text" in n or "pooler" in n or ".head." in n or "logit" in n]


@pytest.mark.parametrize("kind", ["dinov2", "siglip", "vit", "clip"])
def test_position_embeddings_follow_the_size(saved, kind):
    larger = backbone(saved / kind, size=84)
    assert larger.layout.prefix == PREFIX[kind]
    assert larger.weights_sha256 == backbone(saved / kind).weights_sha256, "they are interpolated as images pass"


def test_a_size_that_would_leave_a_margin_unseen(saved):
    with pytest.raises(UserError, match="--size 56 or 70"):
        backbone(saved / "dinov2", size=60)


class TestInput:
    def test_scaling_and_size_are_the_image_processors(self, saved):
        ours = backbone(saved / "dinov2", size=None)
        assert (ours.mean, ours.std) == (tuple(SCALING["image_mean"]), tuple(SCALING["image_std"]))
        assert ours.config.size == 56, "what it crops to, not the 70 it scales to before"

    @pytest.mark.parametrize(
        ("processor", "size"),
        [
            ({"size": {"height": 70, "width": 70}}, 70),
            ({"size": {"shortest_edge": 70}, "crop_size": 28, "do_center_crop": True}, 28),
            ({"size": {"shortest_edge": 70}, "crop_size": 28}, 70),
            ({"size": 42}, 42),
            ({}, 56),
        ],
    )
    def test_each_way_of_writing_a_size(self, copied, processor, size):
        folder = copied("dinov2")
        (folder / "preprocessor_config.json").write_text(json.dumps(SCALING | processor))
        assert input_size(BackboneConfig(f"transformers:{folder}")) == size

    def test_a_processor_within_a_processor(self, copied):
        folder = copied("siglip")
        (folder / "preprocessor_config.json").unlink()
        (folder / "processor_config.json").write_text(json.dumps({"image_processor": SCALING | {"size": 70}}))
        ours = backbone(folder, size=None)
        assert (ours.config.size, ours.mean[0]) == (70, 0.5307)

    def test_another_rescaling_is_brought_to_pixels_in_0_to_1(self, copied):
        # The library computes (255 x f - mean) / std; ours is (x - mean') / std'.
        folder = copied("vit")
        (folder / "preprocessor_config.json").write_text(json.dumps(SCALING | {"rescale_factor": 1 / 127.5}))
        ours, x = backbone(folder), 0.3
        wanted = (x * 255 / 127.5 - 0.5307) / 0.2583
        assert (x - ours.mean[0]) / ours.std[0] == pytest.approx(wanted)

    def test_no_normalisation_is_none(self, copied):
        folder = copied("vit")
        (folder / "preprocessor_config.json").write_text(json.dumps(SCALING | {"do_normalize": False}))
        assert backbone(folder).mean + backbone(folder).std == (0, 0, 0, 1, 1, 1)

    def test_trained_weights_without_scaling_are_refused_unless_told(self, copied):
        folder = copied("dinov2")
        (folder / "preprocessor_config.json").unlink()
        with pytest.raises(UserError, match="how its input is scaled"):
            backbone(folder)
        assert backbone(folder, mean=(0, 0, 0), std=(1, 1, 1)).std == (1, 1, 1)
        assert backbone(folder, random_init=0).mean == (0.5, 0.5, 0.5)


class TestWeights:
    def test_no_path_is_kept(self, copied):
        # A store may be shared; where a hospital keeps its models is nobody's business.
        folder = copied("dinov2")
        for random_init in (None, 3):
            ours = backbone(folder, random_init=random_init)
            kept = json.dumps([ours.identifier(), ours.config.known(), ours.config.recipe(), ours.config.source()])
            assert not [part for part in folder.parts if part != "/" and part in kept]
            assert ours.config.name == "transformers:dinov2"

    def test_folder_and_hub_give_one_identifier(self, saved, hub):
        hub("microsoft/tiny", {p.name: p for p in (saved / "dinov2").iterdir()})
        name = "transformers:microsoft/tiny"
        cached = load_backbone(BackboneConfig(name, size=56))
        given = load_backbone(BackboneConfig(name, checkpoint=saved / "dinov2", size=56))
        assert cached.identifier() == given.identifier()
        assert cached.config.source() == {"kind": "pretrained", "name": name}
        assert given.config.source()["file"] == "dinov2"

    def test_a_revision_of_the_hub(self, saved, hub):
        files = {p.name: p for p in (saved / "dinov2").iterdir()}
        hub("lab/model", files, commit="1" * 40, ref="v1")
        assert load_backbone(BackboneConfig("transformers:lab/model@v1", size=56)).widths == {"avg": 32}
        with pytest.raises(WeightsError):
            load_backbone(BackboneConfig("transformers:lab/model", size=56))

    def test_a_seed_needs_the_config_alone_and_gives_the_same_weights(self, copied, hub):
        folder = copied("dinov2")
        hub("lab/bare", {"config.json": folder / "config.json"})
        (folder / "model.safetensors").unlink()
        state = torch.get_rng_state()
        ours = backbone(folder, random_init=5)
        assert torch.equal(torch.get_rng_state(), state), "building a backbone must not move the caller's generator"
        assert (
            load_backbone(BackboneConfig("transformers:lab/bare", random_init=5, size=56)).weights_sha256
            == ours.weights_sha256
        )
        assert backbone(folder, random_init=6).weights_sha256 != ours.weights_sha256
        with pytest.raises(WeightsError, match="holds no weights"):
            backbone(folder)

    @pytest.mark.parametrize("kind", ["dinov2", "siglip"])
    @pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
    def test_a_file_beside_the_hubs_config(self, saved, hub, tmp_path, kind, suffix):
        hub("lab/model", {n: saved / kind / n for n in ("config.json", "preprocessor_config.json")})
        state = safetensors.torch.load_file(saved / kind / "model.safetensors")
        path = tmp_path / f"w{suffix}"
        if suffix == ".pth":
            torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
        else:
            safetensors.torch.save_file(state, path)
        ours = load_backbone(BackboneConfig("transformers:lab/model", checkpoint=path, size=56))
        assert ours.weights_sha256 == backbone(saved / kind).weights_sha256

    def test_weights_that_torch_wrote(self, saved, copied):
        folder = copied("vit")
        state = safetensors.torch.load_file(folder / "model.safetensors")
        torch.save(state, folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
        assert backbone(folder).weights_sha256 == backbone(saved / "vit").weights_sha256

    def test_a_classifiers_checkpoint_gives_its_features(self, tmp_path):
        # It has a head that we do not want and lacks the pooler that the library would fill at random.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            model = transformers.ViTForImageClassification(transformers.ViTConfig(**TINY, num_labels=11))
        model.save_pretrained(tmp_path)
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
        ours = backbone(tmp_path)
        assert ours.widths == {"avg": 32}
        assert ours.weights_sha256 == backbone(tmp_path).weights_sha256
        with torch.inference_mode():
            hidden = model.eval().vit(pixel_values=IMAGES).last_hidden_state
            torch.testing.assert_close(ours.embed(IMAGES)["avg"], hidden[:, 1:].mean(1))

    def test_a_missing_tensor_is_named(self, copied):
        folder = copied("dinov2")
        state = safetensors.torch.load_file(folder / "model.safetensors")
        del state["layernorm.weight"]
        safetensors.torch.save_file(state, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(WeightsError, match="no layernorm.weight"):
            backbone(folder)

    def test_a_deeper_network_of_the_same_names_is_refused(self, saved, hub):
        # All that the backbone needs is there, and yet it is another network's.
        shallow = transformers.Dinov2Config(**TINY | {"num_hidden_layers": 1})
        hub("lab/model", {"config.json": shallow.to_dict()})
        path = saved / "dinov2" / "model.safetensors"
        with pytest.raises(WeightsError, match=r"unknown encoder\.layer"):
            load_backbone(BackboneConfig("transformers:lab/model", checkpoint=path, size=56))

    def test_a_damaged_file_is_one_error(self, copied):
        folder = copied("dinov2")
        (folder / "model.safetensors").write_bytes(b"garbage" * 99)
        with pytest.raises(WeightsError, match="cannot be loaded"):
            backbone(folder)


class TestRefusals:
    def test_without_the_extra_it_is_named(self, saved, monkeypatch):
        monkeypatch.setitem(sys.modules, "transformers", None)
        for ask in (load_backbone, input_size):
            with pytest.raises(UserError, match=r"radboost\[transformers\]"):
                ask(BackboneConfig(f"transformers:{saved / 'dinov2'}", size=56))

    @pytest.mark.parametrize("ask", [load_backbone, input_size])
    def test_without_cache_and_network_the_three_ways_out_are_named(self, monkeypatch, ask):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr("radboost.extractor.backbone.hub._answers", lambda endpoint: False)
        with pytest.raises(WeightsError) as caught:
            ask(BackboneConfig("transformers:microsoft/rad-dino", size=56))
        for way in ("--checkpoint FILE", "hub cache", "--random-init SEED"):
            assert way in str(caught.value)

    def test_code_that_comes_with_a_model_is_never_run(self, copied, tmp_path):
        folder = copied("dinov2")
        sprung = tmp_path / "sprung"
        (folder / "trap.py").write_text(f"open({str(sprung)!r}, 'w')\n")
        config = json.loads((folder / "config.json").read_text())
        config |= {"model_type": "never-heard-of", "auto_map": {"AutoConfig": "trap.C", "AutoModel": "trap.M"}}
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(UserError, match="never run"):
            backbone(folder)
        # Of a type that the library knows, its own code is taken.
        (folder / "config.json").write_text(json.dumps(config | {"model_type": "dinov2"}))
        assert backbone(folder).widths == {"avg": 32}
        assert not sprung.exists()

    def test_a_model_that_reads_is_no_backbone(self, tmp_path):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", **READING}))
        with pytest.raises(UserError, match="no vision model"):
            backbone(tmp_path, random_init=0)

    def test_features_that_cannot_be_told_apart(self, tmp_path):
        # Its first token is a pooled one, which nothing in the model says: a mean would count it as a patch.
        config = transformers.DINOv3ConvNextConfig(hidden_sizes=[8, 8, 16, 32], depths=[1, 1, 1, 1])
        (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
        with pytest.raises(UserError, match="no square of patches"):
            backbone(tmp_path, random_init=0, size=64)

    def test_a_network_that_hides_patches_at_random(self, tmp_path):
        (tmp_path / "config.json").write_text(json.dumps(transformers.ViTMAEConfig(**TINY).to_dict()))
        with pytest.raises(UserError, match="no square of patches"):
            backbone(tmp_path, random_init=0)

    def test_a_network_that_wants_more_than_pixels(self, tmp_path):
        settings = {k: v for k, v in TINY.items() if k != "image_size"}
        (tmp_path / "config.json").write_text(json.dumps(transformers.Siglip2VisionConfig(**settings).to_dict()))
        with pytest.raises(UserError, match="pixel_attention_mask"):
            backbone(tmp_path, random_init=0)

    def test_a_folder_that_is_none(self, tmp_path):
        for folder in (tmp_path, tmp_path / "absent"):
            with pytest.raises(WeightsError, match=r"no config\.json"):
                BackboneConfig(f"transformers:{folder}")

    def test_stages_are_timms(self, saved):
        with pytest.raises(UserError, match="--stage 1"):
            backbone(saved / "dinov2", stage=1)

    def test_two_places_for_one_model(self, saved, tmp_path):
        with pytest.raises(UserError, match="Leave --checkpoint out"):
            BackboneConfig(f"transformers:{saved / 'vit'}", checkpoint=tmp_path / "w.pth")

    def test_the_library_talks_as_before(self, saved):
        talk = transformers.utils.logging
        before = talk.get_verbosity(), talk.is_progress_bar_enabled()
        backbone(saved / "dinov2")
        assert (talk.get_verbosity(), talk.is_progress_bar_enabled()) == before
