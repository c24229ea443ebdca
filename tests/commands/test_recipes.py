"""The public systems' recipes, by name: each takes a few steps on its task's phantom, in a small network's stead."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from radboost.data.cohort import Cohort
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
from radboost.data.phantom.cbis import CbisPhantom, write_cbis_ddsm
from radboost.data.phantom.ct import HeadPhantom, write_rsna_ich
from radboost.data.phantom.lumbar import LumbarPhantom, write_rsna_lumbar
from radboost.extractor.train.file import CONFIGS, config_names, read_config

PHANTOMS = {
    "rsna-breast": (write_rsna_breast, BreastPhantom(8, seed=3, pixels=96, prevalence=0.5), ()),
    "cbis-ddsm": (write_cbis_ddsm, CbisPhantom(6, seed=2, pixels=128), ("--patches", 1, "--size", 32)),
    "rsna-ich": (write_rsna_ich, HeadPhantom(10, seed=1, pixels=32, prevalence=1, slices=(20, 20)), ()),
    "rsna-lumbar": (write_rsna_lumbar, LumbarPhantom(3, seed=1, pixels=48), ()),
}
# A small network of the same family; untrained, since weights would have to be fetched.
RECIPES = {
    "rsna-breast-fusion": ("rsna-breast", "test_efficientnet", "tf_efficientnetv2_xl"),
    "rsna-breast-resnet50v2": ("rsna-breast", "test_resnet", "resnetv2_50"),
    "ich-base": ("rsna-ich", "test_resnet", "seresnext101_32x4d"),
    "cbis-s1": ("cbis-ddsm", "test_resnet", "resnet50"),
    "cbis-s1-big": ("cbis-ddsm", "test_resnet", "resnet50"),
    "cbis-s10": ("cbis-ddsm", "test_resnet", "resnet50"),
    "lumbar-edgenext": ("rsna-lumbar", "edgenext_xx_small", "edgenext_base"),
    "lumbar-convnextv2": ("rsna-lumbar", "test_convnext2", "convnextv2_tiny"),
}


@pytest.fixture(scope="module")
def cohorts(radboost, tmp_path_factory):
    made: dict[str, Path] = {}

    def of(task: str) -> Path:
        if task not in made:
            root = tmp_path_factory.mktemp(task)
            write, phantom, how = PHANTOMS[task]
            write(root / "data", phantom)
            words = ("--task", task, *how, "--folds", 2, "--workers", 1)
            radboost("index", root / "data", "--out", root / "cohort", *words)
            made[task] = root / "cohort"
        return made[task]

    return of


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_takes_a_few_steps(name, radboost, cohorts, tmp_path):
    task, small, whole = RECIPES[name]
    words = ("--config", name, "--backbone", small, "--random-init", 0, "--size", 32, "--epochs", 1, "--fold", 0)
    radboost("train", cohorts(task), "--out", tmp_path / "training", *words, "--workers", 1, "--device", "cpu")
    content = json.loads((tmp_path / "training" / "training.json").read_text())
    asked = read_config(Path(name))
    # What is small here is the network, the crop and the number of epochs; all else is the recipe's.
    assert asked.backbone["name"].split(".")[0] == whole
    made = content["config"]
    assert [s["layers"] for s in made["stages"]] == [s.layers for s in asked.stages]
    assert [s["rate"] for s in made["stages"]] == [s.rate for s in asked.stages]
    assert (made["head"]["kind"], made["learn"]["batch_size"]) == (asked.head.kind, asked.learn.batch_size)
    assert len(content["networks"][0]["stages"]) == len(asked.stages)
    # Whoever has a label is predicted, also where the image cannot be read (the heads have one such).
    cohort = Cohort.load(cohorts(task))
    labelled = set(cohort.targets["unit"]) & set(cohort.units.loc[cohort.units["fold"] == 0, "unit"])
    told = pd.read_parquet(tmp_path / "training" / "predictions.parquet")
    assert told["unit"].nunique() == len(labelled)


def test_every_recipe_is_tried_and_told_of(radboost, cohort, tmp_path):
    project = Path(__file__).resolve().parents[2]
    assert set(config_names()) - {n for n in config_names() if n.startswith("backbone-")} == set(RECIPES)
    assert sorted(p.name for p in (project / "configs").glob("*.toml")) == sorted(
        p.name for p in CONFIGS.glob("*.toml")
    )
    page = (project / "docs" / "recipes.md").read_text("utf-8")
    assert set(RECIPES) <= set(re.findall(r"--config ([\w-]+)", page))
    told = radboost("train", cohort, "--out", tmp_path / "training", "--config", "cbis-s11", code=2).stderr
    assert "cbis-s10" in told
