from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from radboost.data.store import EmbeddingStore
from radboost.errors import FormatError, MismatchError, UserError, WeightsError
from radboost.extractor.backbone import BackboneConfig, load_backbone
from radboost.extractor.config import ExtractConfig
from radboost.extractor.extract import extract

pytestmark = pytest.mark.usefixtures("inline")


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "SECRET-folder" / "mammo-v2.pth"
    path.parent.mkdir()
    torch.save(load_backbone(BackboneConfig("test_resnet", random_init=9, size=64)).model.state_dict(), path)
    return path


def from_file(config, weights):
    return config(backbone={"checkpoint": weights, "random_init": None, "pool": ("max", "avg")})


def test_a_store_tells_how_to_embed_new_exams_alike(cohort, config, tmp_path):
    asked = config(backbone={"pool": ("avg", "max")}, pixels={"mirror": True}, precision="bf16", dtype="float32")
    store = extract(cohort, tmp_path / "store", asked).store
    # Runs and blends keep the config as JSON.
    again = ExtractConfig.from_config(json.loads(json.dumps(store.config)))
    assert (again.backbone, again.pixels, again.precision) == (asked.backbone, asked.pixels, "bf16")
    other = extract(cohort, tmp_path / "other", again).store
    assert other.fingerprint_hash == store.fingerprint_hash
    assert np.allclose(other.read("max"), store.read("max"), rtol=1e-2, atol=1e-3)


def test_windows_survive_json(config, cohort, tmp_path, images, index):
    paths = [p for p in cohort.manifest["path"] if p.endswith(".dcm")]
    asked = config(pixels={"windows": ((40.0, 80.0), (80.0, 200.0))})
    store = extract(index(images, tmp_path / "ct", paths), tmp_path / "store", asked).store
    assert ExtractConfig.from_store(store).pixels == asked.pixels


def test_a_needed_weights_file_is_named(cohort, config, tmp_path, weights):
    store = extract(cohort, tmp_path / "store", from_file(config, weights)).store
    sha = store.config["weights"]["file_sha256"]
    with pytest.raises(WeightsError) as caught:
        ExtractConfig.from_store(store)
    assert "mammo-v2.pth" in str(caught.value)
    assert sha in str(caught.value)
    other = tmp_path / "other.pth"
    other.write_bytes(b"other")
    with pytest.raises(WeightsError, match=sha):
        ExtractConfig.from_store(store, other)
    with pytest.raises(WeightsError, match=r"none\.pth"):
        ExtractConfig.from_store(store, tmp_path / "none.pth")
    moved = weights.rename(tmp_path / "renamed.pth")
    again = extract(cohort, tmp_path / "again", ExtractConfig.from_store(store, moved)).store
    assert again.fingerprint_hash == store.fingerprint_hash
    assert "SECRET" not in (tmp_path / "store" / "store.json").read_text()


def test_a_checkpoint_is_told_by_its_bytes_and_its_tensors(cohort, config, tmp_path, weights):
    # Renamed: nothing to be done. Saved anew with other bytes: the tensors decide, and they are the same.
    extract(cohort, tmp_path / "store", from_file(config, weights))
    moved = weights.rename(tmp_path / "renamed.pth")
    assert extract(cohort, tmp_path / "store", from_file(config, moved)).new == 0
    resaved = tmp_path / "resaved.pt"
    torch.save({"state_dict": torch.load(moved, weights_only=True)}, resaved)
    assert extract(cohort, tmp_path / "store", from_file(config, resaved)).new == 0


def test_a_checkpoint_where_none_was_used_is_refused(cohort, config, tmp_path, weights):
    store = extract(cohort, tmp_path / "store", config()).store
    with pytest.raises(WeightsError, match="random init"):
        ExtractConfig.from_store(store, weights)


def test_weights_that_changed_under_the_same_name_are_refused(cohort, config, tmp_path):
    # The library may initialise otherwise some day, or a hub model be replaced.
    store = extract(cohort, tmp_path / "store", config()).store
    told = store.config
    told["fingerprint"]["backbone"]["weights_sha256"] = "0" * 64
    with pytest.raises(MismatchError, match="weights_sha256"):
        extract(cohort, tmp_path / "new", ExtractConfig.from_config(told))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("lacking", ["backbone", "weights", "pixels", "precision", "fingerprint"])
def test_a_damaged_config_is_one_error(cohort, config, tmp_path, lacking):
    told = extract(cohort, tmp_path / "store", config()).store.config
    del told[lacking]
    with pytest.raises(FormatError, match=lacking):
        ExtractConfig.from_config(told)


@pytest.mark.parametrize("changes", [{"batch_size": 0}, {"workers": -1}, {"shard_rows": 0}, {"dtype": "int8"}])
def test_values_out_of_range_are_refused(config, changes):
    with pytest.raises(UserError):
        config(**changes)


def test_one_size_and_at_most_three_channels(config):
    with pytest.raises(UserError, match="--size"):
        ExtractConfig(BackboneConfig("m", size=64), config().pixels.__class__(size=96))
    with pytest.raises(UserError, match="three"):
        config(pixels={"windows": ((1.0, 2.0),) * 4})


@pytest.mark.usefixtures("inline")
def test_a_mean_that_was_told_is_not_taken_for_the_network_s_own(cohort, config, tmp_path):
    told = config(backbone={"mean": (0.1, 0.1, 0.1), "std": (0.2, 0.2, 0.2)})
    extract(cohort, tmp_path / "store", told)
    with pytest.raises(MismatchError, match="mean"):
        extract(cohort, tmp_path / "store", config())
    assert extract(cohort, tmp_path / "store", told).forward_passes == 0
    again = ExtractConfig.from_store(EmbeddingStore.open(tmp_path / "store"))
    assert (again.backbone.mean, again.backbone.std) == ((0.1, 0.1, 0.1), (0.2, 0.2, 0.2))
