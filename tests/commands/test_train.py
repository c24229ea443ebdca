"""`radboost train`, on the cohort that all commands are tested on."""

from __future__ import annotations

import json

from radboost.extractor import train as room


def test_a_config_file_and_options_make_a_training(radboost, cohort, tmp_path):
    config = tmp_path / "mine.toml"
    config.write_text(
        'size = 64\n[backbone]\nname = "test_resnet"\nrandom_init = 0\n[head]\nmetadata = true\n'
        '[learn]\nbatch_size = 16\n[[stage]]\nname = "all"\nepochs = 5\nrate = 0.001\n[augment]\nshear = 0.2\n'
    )
    schedule = tmp_path / "short.toml"
    schedule.write_text('[[stage]]\nname = "short"\nepochs = 1\nrate = 0.001\nlayers = "head"\n')
    words = ("--config", config, "--schedule", schedule, "--size", 32, "--fold", 0, "--workers", 1, "--device", "cpu")
    said = radboost("train", cohort, "--out", tmp_path / "training", *words).output
    assert "kept, fold 0: short epoch 1" in said
    assert "out of fold" in said
    content = json.loads((tmp_path / "training" / "training.json").read_text())["config"]
    assert content["backbone"]["size"] == 32
    assert [stage["name"] for stage in content["stages"]] == ["short"]
    assert (content["head"]["metadata"], content["learn"]["batch_size"]) == (True, 16)
    assert content["augment"]["shear"] == 0.2
    again = radboost("train", cohort, "--out", tmp_path / "training", *words, code=2)
    assert "already exists" in again.stderr


def test_unknown_settings_are_named(radboost, cohort, tmp_path):
    config = tmp_path / "mine.toml"
    config.write_text("[learn]\nlearning_rate = 0.1\n")
    told = radboost("train", cohort, "--out", tmp_path / "training", "--config", config, code=2).stderr
    assert "[learn]" in told
    assert "learning_rate" in told
    assert "batch_size" in told


def test_the_extra_is_named_where_it_is_absent(radboost, cohort, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "find_spec", lambda _: None)
    told = radboost("train", cohort, "--out", tmp_path / "training", code=2).stderr
    assert "radboost[train]" in told
