"""A small cohort on disk, whose every id and path can be searched for."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from radboost.data.cohort import NO_BOX, Cohort
from radboost.data.crop import PixelPolicy
from radboost.data.dicom.write import DicomImage, write_dicom
from radboost.data.identity import keyed_hash
from radboost.data.pool import Done, Failed
from radboost.errors import PixelError
from radboost.extractor.backbone import BackboneConfig
from radboost.extractor.config import ExtractConfig

KEY = bytes(range(32))
PATIENTS = 6
IMAGES = 4
"""A patient."""


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    """No test may reach the hub, whatever the machine's network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def write_images(root: Path) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:80, :64]
    for patient in range(PATIENTS):
        folder = root / f"patient-{patient:02d}-SECRET"
        folder.mkdir(parents=True)
        for image in range(IMAGES):
            blob = 3000 * np.exp(-((y - rng.integers(20, 60)) ** 2 + (x - rng.integers(16, 48)) ** 2) / 90)
            pixels = np.clip(blob + rng.normal(300, 60, y.shape), 0, 4095).astype(np.uint16)
            if image == IMAGES - 1:
                cv2.imwrite(str(folder / f"image-{image}.png"), (pixels >> 4).astype(np.uint8))
                continue
            names = {"PatientID": f"NAME^{patient}^SECRET", "SOPInstanceUID": f"1.2.826.0.{patient}.{image}.7777"}
            write_dicom(folder / f"image-{image}.dcm", DicomImage(pixels, 12, attributes=names))


def build_cohort(root: Path, out: Path, paths: list[str]) -> Cohort:
    groups = [p.split("/")[0] for p in paths]
    manifest = pd.DataFrame(
        {
            "crop_id": [keyed_hash(KEY, "crop", p, -1) for p in paths],
            "path": paths,
            "frame": -1,
            "group": groups,
            "study": "",
            "series": "",
            "instance": paths,
            "order": 0,
            "laterality": "",
            "view": "",
            **NO_BOX,
        }
    )
    links = pd.DataFrame({"unit": paths, "crop_id": manifest["crop_id"], "slot": "image", "order": 0})
    targets = pd.DataFrame({c: [] for c in ("unit", "group", "target", "label", "task_weight")})
    folds = pd.DataFrame({"group": sorted(set(groups)), "fold": 0, "split": "train"})
    return Cohort(root, None, manifest, links, targets, folds, KEY).save(out, overwrite=True)


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("SECRET-hospital")
    write_images(root)
    return root


@pytest.fixture
def cohort(images, tmp_path) -> Cohort:
    paths = sorted(p.relative_to(images).as_posix() for p in images.rglob("*.*"))
    return build_cohort(images, tmp_path / "cohort", paths)


def make_config(**changes) -> ExtractConfig:
    """24 crops become three shards of 8, in batches of 4."""
    backbone = {"name": "test_resnet", "random_init": 0, "size": 64, **changes.pop("backbone", {})}
    pixels = PixelPolicy(size=backbone["size"], **changes.pop("pixels", {}))
    settings = {"batch_size": 4, "workers": 1, "shard_rows": 8, "device": "cpu", **changes}
    return ExtractConfig(BackboneConfig(**backbone), pixels, **settings)


@pytest.fixture
def config():
    return make_config


@pytest.fixture
def index():
    return build_cohort


class InlinePool:
    """The pool's contract without processes: one buffer, so pixels are gone once the next result is asked for."""

    def __init__(self, workers, limits=None, slot_shape=None, ahead=None):
        self.slot = np.zeros(slot_shape, np.uint16)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def map(self, function, jobs):
        for job in jobs:
            self.slot[:] = 0xFFFF
            try:
                value = function(job, out=self.slot)
            except PixelError as error:
                yield Failed(job, error.what, "unreadable")
            else:
                yield Done(job, value, self.slot, 0.0)


@pytest.fixture
def inline(monkeypatch):
    """Decode in this process: starting workers costs a second each time, and the pool has its own tests."""
    monkeypatch.setattr("radboost.extractor.work.Pool", InlinePool)
