from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
from huggingface_hub import constants

from radboost.extractor.backbone import BackboneConfig, load_backbone


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty hub cache; no test may see the machine's own."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return folder


@pytest.fixture
def hub(cache):
    """Fill the cache as a download would: files by content, and links to them from the snapshot of a commit."""

    def fill(repository, files, commit="0" * 40, ref="main"):
        root = cache / f"models--{repository.replace('/', '--')}"
        snapshot = root / "snapshots" / commit
        for folder in (root / "refs", root / "blobs", snapshot):
            folder.mkdir(parents=True, exist_ok=True)
        (root / "refs" / ref).write_text(commit)
        for name, content in files.items():
            blob = root / "blobs" / f"{commit[:4]}-{name}"
            if isinstance(content, Path):
                blob.write_bytes(content.read_bytes())
            elif name.endswith(".json"):
                blob.write_text(json.dumps(content))
            else:
                safetensors.torch.save_file(content, blob)
            (snapshot / name).symlink_to(Path("../../blobs") / blob.name)
        return snapshot

    return fill


@pytest.fixture(scope="session")
def trained():
    """Stands for trained weights: any that are not those of another seed."""
    return load_backbone(BackboneConfig("test_resnet", random_init=77, size=64))
