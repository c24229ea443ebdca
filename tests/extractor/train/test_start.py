"""A training that goes on from another one: fold by fold, and never from weights that have seen who is predicted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from radboost.errors import LeakError, MismatchError, UserError
from radboost.extractor.backbone import BackboneConfig, load_backbone
from radboost.extractor.backbone.heads import TrainedHead
from radboost.extractor.train.config import HeadConfig
from radboost.extractor.train.network import Classifier
from radboost.extractor.train.run import train
from radboost.extractor.train.stages import Stage

HEAD_ONLY = (Stage("head", 1, 1e-3, "head"),)


@pytest.fixture(scope="module")
def first(breasts, asked, tmp_path_factory):
    whole = asked(stages=(Stage("all", 1, 1e-2),), folds=())
    return train(breasts, tmp_path_factory.mktemp("first") / "training", whole)


def goes_on(asked, checkpoint, **changes):
    start = BackboneConfig("test_resnet", checkpoint, size=32)
    return asked(backbone=start, stages=HEAD_ONLY, **changes)


def trunk(training, fold):
    state = load_file(training.folder / f"fold{fold}" / "network.safetensors")
    return {name: value for name, value in state.items() if name.startswith("model.")}


def test_each_fold_begins_at_its_own_network_and_says_whom_both_saw(breasts, asked, first, tmp_path):
    second = train(breasts, tmp_path / "training", goes_on(asked, first.folder, folds=()))
    for fold in (0, 1):
        # Heads alone learn in the second, so that its trunks are what the first one left.
        for name, value in trunk(second, fold).items():
            assert torch.equal(value, trunk(first, fold)[name]), name
    assert any(not torch.equal(value, trunk(first, 1)[name]) for name, value in trunk(second, 0).items())
    seen = {network["fold"]: set(network["saw"]) for network in second.content["networks"]}
    for network in first.content["networks"]:
        assert set(network["saw"]) <= seen[network["fold"]]


def test_weights_that_have_seen_who_is_predicted_are_refused(breasts, asked, first, tmp_path):
    swapped = replace(breasts, folds=breasts.folds.assign(fold=1 - breasts.folds["fold"]))
    for checkpoint in (first.folder, first.folder / "fold0" / "network.safetensors"):
        with pytest.raises(LeakError, match="have seen patients who are to be predicted"):
            train(swapped, tmp_path / "training", goes_on(asked, checkpoint, folds=()))
    table = breasts.folds.copy()
    table.loc[table.index[:2], ["fold", "split"]] = [-1, "holdout"]
    with pytest.raises(LeakError):
        train(replace(breasts, folds=table), tmp_path / "training", goes_on(asked, first.folder, folds=()))
    with pytest.raises(MismatchError, match="other hashed names"):
        train(replace(breasts, key=bytes(32)), tmp_path / "training", goes_on(asked, first.folder, folds=()))
    assert not (tmp_path / "training").exists()


@pytest.mark.parametrize("kind", ["linear", "mlp", "conv"])
def test_a_head_says_in_a_store_what_it_says_in_training(kind, first):
    backbone = load_backbone(BackboneConfig("test_resnet", random_init=0, size=32))
    network = Classifier(backbone, HeadConfig(kind, hidden=4, dropout=0.3), 1, metadata=0, channels=1).eval()
    made = {**first.content["config"], "head": {"metadata": False}}
    head = TrainedHead({**first.content, "config": made}, network.state_dict(), backbone.layout)
    pixels = torch.rand(3, 1, 32, 32)
    images = (pixels[:, [0, 0, 0]] - network.mean) / network.std
    with torch.inference_mode():
        expected = network(pixels, torch.zeros(3, 0)).sigmoid()
        assert torch.allclose(head(backbone.features(images)), expected, atol=1e-6)
    assert head.width == 1


def test_heads_are_asked_only_of_networks_that_have_one_and_see_pixels_alone(first):
    asked = BackboneConfig("test_resnet", first.folder, size=32, pool=("avg", "head"))
    found = load_backbone(asked)
    assert list(found.widths) == ["avg@fold0", "head@fold0", "avg@fold1", "head@fold1"]
    vectors = found.embed(torch.rand(2, 3, 32, 32))
    assert {name: v.shape[1] for name, v in vectors.items()} == found.widths
    assert not torch.equal(vectors["head@fold0"], vectors["head@fold1"])
    with pytest.raises(UserError, match="only networks of a training have a head"):
        load_backbone(BackboneConfig("test_resnet", random_init=0, size=32, pool=("head",)))
    blind = {**first.content, "config": {**first.content["config"], "head": {"metadata": True}}}
    with pytest.raises(UserError, match="heads see metadata"):
        TrainedHead(blind, {}, found.layout)
