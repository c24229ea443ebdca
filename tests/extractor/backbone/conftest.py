from __future__ import annotations

import pytest
from huggingface_hub import constants

from radboost.extractor.backbone import BackboneConfig, load_backbone


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty hub cache; no test may see the machine's own."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def trained():
    """Stands for trained weights: any that are not those of another seed."""
    return load_backbone(BackboneConfig("test_resnet", random_init=77, size=64))
