"""A config file is written by hand: whatever stands in it, the answer is one line that names file, key and type."""

from __future__ import annotations

import pytest

from radboost.errors import UserError
from radboost.extractor.train.file import read_config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('size = "large"', "size is of another type .got 'large'.. Give a whole number"),
        ("size = 0", "size is out of range"),
        ("stack = true", "stack is of another type"),
        ("schedule = 3", "schedule is of another type .got 3.. Give text"),
        ("stage = 3", "names no stage"),
        ("stage = [3]", r"\[\[stage\]\]: must be a table"),
        ('[[stage]]\nname = "all"\nepochs = 1.5\nrate = 0.1', "epochs is of another type"),
        ('[[stage]]\nname = "all"\nepochs = 1\nrate = nan', "rate is of another type .got nan.. Give a number"),
        ('[[stage]]\nname = "all"\nepochs = 1\nrate = 0.1\nlayers = 3', "layers is of another type"),
        ('[[stage]]\nname = "../../all"\nepochs = 1\nrate = 0.1', "is no name of a stage"),
        ('backbone = "resnet18"', r"\[backbone\]: must be a table"),
        ('[backbone]\nname = "resnet18"\nrandom_init = "yes"', "random_init is of another type"),
        ('[backbone]\npool = "avg"', "pool is of another type .got 'avg'.. Give a list, each text"),
        ("[backbone]\nwindows = [[40, 80], [40]]", "windows is of another type"),
        ("head = 3", r"\[head\]: must be a table"),
        ("[head]\nhidden = 1.5", "hidden is of another type"),
        ("[learn]\nema = nan", "ema is of another type"),
        ("[learn]\nrates = 3", "unknown settings .got rates"),
        ("[augment]\nflip_vertical = 1", "flip_vertical is of another type .got 1.. Give true or false"),
        # Text is a sequence of letters: "cancer" would be six targets.
        ('[only]\ntargets = "cancer"', "targets is of another type"),
        ("[", "cannot be read as a config"),
    ],
)
def test_a_value_of_another_type_is_told(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as told:
        read_config(path)
    assert str(path) in str(told.value) or "stage" in str(told.value)


@pytest.mark.parametrize("text", ["[]", "3", "null", '{"head": []}', '{"size": null}'])
def test_json_that_holds_no_config_is_told(tmp_path, text):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"must be a table of keys|of another type"):
        read_config(path)


def test_whole_numbers_stand_where_numbers_are_asked_for(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[backbone]\nmean = [0, 0.5, 1]\nwindows = [[40, 80]]\n[augment]\nrotate = 10\nintensity = [0.1]\n")
    asked = read_config(path)
    assert asked.backbone == {"mean": (0, 0.5, 1), "windows": ((40, 80),)}
    assert (asked.augment.rotate, asked.augment.intensity) == (10, (0.1,))
