"""The network that comes with radboost: small, whole, known by name, and not trained on what the demos judge it on."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from radboost.data.phantom.breast import BreastPhantom, draw_patient
from radboost.data.phantom.cbis import CbisPhantom, draw_film_patient
from radboost.errors import UserError, WeightsError
from radboost.extractor.backbone import BackboneConfig, input_size, load_backbone, read_card, shipped_names
from radboost.extractor.backbone import shipped as module

NAME = "radboost:phantom"


def test_it_is_loaded_by_name_and_told_by_its_weights():
    found = load_backbone(BackboneConfig(NAME, size=None, pool=("avg", "max")))
    card = read_card(NAME)
    assert found.weights_sha256 == card.weights_sha256 == found.identifier()["weights_sha256"]
    assert (found.config.size, found.mean) == (card.size, card.mean) == (input_size(BackboneConfig(NAME)), card.mean)
    untrained = load_backbone(BackboneConfig(NAME, random_init=0, size=64))
    assert untrained.weights_sha256 != found.weights_sha256
    images = torch.randn(2, 3, 64, 64)
    assert torch.isfinite(found.embed(images)["max"]).all()
    # The same architecture: what was trained from it, as a file, fits.
    assert untrained.model.state_dict().keys() == found.model.state_dict().keys()


def test_it_is_small_and_in_what_is_installed():
    project = Path(__file__).resolve().parents[3]
    patterns = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["radboost"]
    inside = {path for pattern in patterns for path in (project / "src" / "radboost").glob(pattern)}
    files = [path for path in module.FOLDER.iterdir() if path.is_file()]
    assert set(files) <= inside
    assert {f"radboost:{path.stem}" for path in files} == set(shipped_names())
    assert sum(path.stat().st_size for path in files) < 4 << 20


def test_an_unknown_name_tells_those_there_are():
    with pytest.raises(UserError, match=r"no such network.*radboost:nothing.*radboost:phantom"):
        load_backbone(BackboneConfig("radboost:nothing", size=64))


def test_weights_that_are_not_the_cards_are_refused(tmp_path, monkeypatch):
    for path in module.FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    weights = tmp_path / "phantom.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(WeightsError, match="not the weights that the network's card names"):
        load_backbone(BackboneConfig(NAME, size=64))
    weights.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        load_backbone(BackboneConfig(NAME, size=64))


def test_no_patient_of_a_demo_is_one_that_it_was_trained_on():
    """Patients are drawn by seed and number; a view's own seed, 63 bits, stands for what it shows."""
    trained = read_card(NAME).seeds
    films, screening = trained

    def breasts(seed):
        drawn = (draw_patient(replace(BreastPhantom(), seed=seed), k) for k in range(400))
        return {view.seed for patient in drawn for view in patient.views}

    def outlined(seed):
        drawn = (draw_film_patient(replace(CbisPhantom(), seed=seed), k) for k in range(400))
        return {view.seed for patient in drawn for view in patient.views}

    known = breasts(screening) | outlined(films)
    assert len(known) > 1000
    for seed in (0, 1):
        assert seed not in trained
        assert not known & (breasts(seed) | outlined(seed))
