"""Six families at random weights: width, pooling, stages, and that a classifier never gets through."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from radboost.errors import UserError
from radboost.extractor.backbone import BackboneConfig, load_backbone

EVERYWHERE = ("avg", "max", "avgmax", "channelmax:4")
FAMILIES = {
    # name: size, width, what else its layout allows
    "convnextv2_atto": (64, 320, ()),
    "tf_efficientnetv2_b0": (64, 1280, ()),
    "test_efficientnet": (64, 256, ()),
    "seresnext26d_32x4d": (64, 2048, ()),
    "resnetv2_18d": (64, 512, ()),
    "edgenext_xx_small": (64, 168, ()),
    "test_vit": (64, 64, ("cls", "token-mean")),
    "vit_small_patch14_reg4_dinov2": (70, 384, ("cls", "token-mean")),
    "vit_base_patch16_siglip_224": (64, 768, ("token-mean",)),
    "swin_tiny_patch4_window7_224": (64, 768, ()),
}
CLASSES = 11
"""Of the heads that are to be left behind; no width above is a multiple of it."""


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def backbone(family, tmp_path_factory):
    """Weights from a file that has a classifier, every pooling that the family allows."""
    size, _, more = FAMILIES[family]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sized = {"img_size": size} if timm.models.get_pretrained_cfg(family).fixed_input_size else {}
        trained = timm.create_model(family, num_classes=CLASSES, **sized)
    path = tmp_path_factory.mktemp("weights") / "w.pth"
    torch.save(trained.state_dict(), path)
    loaded = load_backbone(BackboneConfig(family, checkpoint=path, size=size, pool=EVERYWHERE + more))
    path.unlink()
    return loaded


@pytest.fixture(scope="module")
def images(backbone):
    size = backbone.config.size
    return torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def vectors(backbone, images):
    with torch.inference_mode():
        return {name: v.numpy() for name, v in backbone.embed(images).items()}


def test_width_is_that_of_the_features_though_the_file_has_a_head(backbone, family, vectors):
    _, width, more = FAMILIES[family]
    assert backbone.widths == {name: width for name in ("avg", "avgmax", "max", *more)} | {"channelmax-4": width // 4}
    assert {name: v.shape for name, v in vectors.items()} == {n: (4, w) for n, w in backbone.widths.items()}
    assert not [n for n, t in backbone.model.state_dict().items() if t.ndim and t.shape[0] == CLASSES]
    assert not backbone.model.training
    assert not any(p.requires_grad for p in backbone.model.parameters())


def test_poolings_stand_to_each_other_as_mean_and_maximum_do(vectors):
    assert all(v.dtype == np.float32 and np.isfinite(v).all() for v in vectors.values())
    # A mean over the wrong axis would not lie below the maximum over the right one.
    assert (vectors["avg"] <= vectors["max"] + 1e-6).all()
    assert np.allclose(vectors["avgmax"], (vectors["avg"] + vectors["max"]) / 2, atol=1e-5)
    grouped = vectors["max"].reshape(4, -1, 4).max(2)
    assert np.array_equal(vectors["channelmax-4"], grouped)
    assert np.ptp(vectors["avg"], axis=0).max() > 1e-3, "different images must have different embeddings"


def test_an_image_is_embedded_alike_whatever_lies_beside_it(backbone, images, vectors):
    with torch.inference_mode():
        alone = backbone.embed(images[2:3])
        again = backbone.embed(images)
    for name, vector in vectors.items():
        assert np.array_equal(again[name].numpy(), vector), "the same batch must give the same bits"
        np.testing.assert_allclose(alone[name].numpy()[0], vector[2], rtol=1e-3, atol=1e-4)


def test_a_pooling_that_the_layout_lacks_is_refused(family):
    size, _, more = FAMILIES[family]
    for pool, message in (("cls", "no class token"), ("token-mean", "a map, no tokens")):
        if pool not in more:
            with pytest.raises(UserError, match=message):
                load_backbone(BackboneConfig(family, random_init=0, size=size, pool=(pool,)))


def test_a_group_that_does_not_divide_the_channels_is_refused(family):
    size, width, _ = FAMILIES[family]
    with pytest.raises(UserError, match=rf"does not divide {width} channels .*channelmax:{CLASSES}"):
        load_backbone(BackboneConfig(family, random_init=0, size=size, pool=(f"channelmax:{CLASSES}",)))


def test_a_stage_gives_fewer_channels_from_fewer_weights(family, backbone):
    size, width, _ = FAMILIES[family]
    early = load_backbone(BackboneConfig(family, random_init=0, size=size, stage=1, pool=("avg", "channelmax:4")))
    weights = [sum(p.numel() for p in b.model.parameters()) for b in (early, backbone)]
    assert weights[0] < weights[1]
    assert early.widths["avg"] <= width
    assert early.widths["channelmax-4"] * 4 == early.widths["avg"]
    with torch.inference_mode():
        assert torch.isfinite(early.embed(torch.zeros(1, 3, size, size))["avg"]).all()
