"""A small cohort of breasts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from radboost.data.crop import PixelPolicy
from radboost.data.index import IndexConfig, index
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
from radboost.data.splits import FoldSpec
from radboost.data.tasks import get_task
from radboost.extractor.backbone import BackboneConfig
from radboost.extractor.train.config import LearnConfig, TrainConfig
from radboost.extractor.train.stages import Stage

SIDE = 32


@pytest.fixture(scope="session")
def breasts(tmp_path_factory):
    root = tmp_path_factory.mktemp("breasts")
    write_rsna_breast(root / "data", BreastPhantom(patients=14, seed=3, pixels=96, prevalence=0.5))
    config = IndexConfig(folds=FoldSpec.parse("2"), workers=1)
    return index(root / "data", get_task("rsna-breast"), config).cohort.save(root / "cohort")


@pytest.fixture(scope="session")
def asked():
    """A training of two short stages, with changes."""
    learn = LearnConfig(batch_size=8, inner=0.3)
    pixels = PixelPolicy.of("breast", SIDE)
    # The first stage always has a best epoch; a later one may only lose.
    stages = (Stage("top", 2, 1e-2, "top:1"), Stage("head", 2, 1e-3, "head"))
    whole = TrainConfig(
        BackboneConfig("test_resnet", random_init=0, size=SIDE), pixels, stages, learn=learn, folds=(0,), workers=1
    )

    def make(**changes) -> TrainConfig:
        return replace(whole, **changes)

    return make
