"""A patch network on synthetic films: three stages beat the head alone on patients that neither has seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from radboost.data.crop import PixelPolicy
from radboost.data.index import IndexConfig, index
from radboost.data.phantom.cbis import CbisPhantom, write_cbis_ddsm
from radboost.data.regions import Patches
from radboost.data.roi.rows import patch_task
from radboost.data.splits import FoldSpec
from radboost.data.tasks import get_task
from radboost.extractor.backbone import BackboneConfig, load_backbone
from radboost.extractor.train.config import LearnConfig, TrainConfig
from radboost.extractor.train.run import train
from radboost.extractor.train.stages import Stage
from radboost.extractor.views import ViewConfig
from radboost.metrics import Scored, accuracy, clustered_difference, clustered_interval, log_loss

SIDE = 48
START = BackboneConfig("test_resnet", random_init=0, size=SIDE)
# The recipe's rates are for pretrained weights; from random ones all layers need larger ones.
THREE = (Stage("head", 2, 1e-3, "head"), Stage("top", 6, 3e-3, "top:3"), Stage("all", 18, 2e-3, "all"))
HEAD = (Stage("head", 26, 1e-3, "head"),)


def wide(training):
    """Probabilities (units, classes), labels and groups of the out-of-fold predictions."""
    table = training.predictions.table
    p = table.pivot(index="unit", columns="class", values="p")
    y = table.pivot(index="unit", columns="class", values="y").to_numpy().argmax(axis=1)
    groups = table.drop_duplicates("unit").set_index("unit").loc[p.index, "group"].to_numpy()
    return p.to_numpy(), y, groups


@pytest.mark.proof
def test_three_stages_beat_the_head_alone_on_held_out_patients(tmp_path):
    write_cbis_ddsm(tmp_path / "data", CbisPhantom(84, seed=5, pixels=384), workers=1)
    task = patch_task(get_task("cbis-ddsm"), Patches.parse("3", 72))
    how = IndexConfig(folds=FoldSpec(3), workers=1)
    cohort = index(tmp_path / "data", task, how).cohort.save(tmp_path / "cohort")
    learn = LearnConfig(batch_size=16, rate="cosine", patience=0)
    views = ViewConfig(rotate=25, shear=0.2)
    box = PixelPolicy.of("box", SIDE)
    plain = TrainConfig(START, box, THREE, learn=learn, augment=views, folds=(0,), workers=1)
    whole = train(cohort, tmp_path / "three", plain)
    alone = train(cohort, tmp_path / "head", TrainConfig(**{**plain.__dict__, "stages": HEAD}))
    (ours, y, groups), (theirs, same, _) = wide(whole), wide(alone)
    assert (y == same).all()
    scored = Scored(y, ours, np.ones(len(y)), groups)
    print(f"\n{len(y)} patches of {len(set(groups))} patients, held out; {sum(s.epochs for s in THREE)} epochs each")
    for name, p in (("head alone", theirs), ("three stages", ours)):
        rows = Scored(y, p, np.ones(len(y)), groups)
        told = [f"{what} {f(y, p):.3f} [{low:.3f}, {high:.3f}]" for what, f, (low, high) in spans(rows)]
        print(f"{name:<14} {', '.join(told)}")
    print(f"{'class':<26}{'patches':>8}{'head alone':>12}{'three stages':>14}   (share told rightly)")
    for number, word in enumerate(task.targets[0].classes):
        own = y == number
        told = [(p[own].argmax(axis=1) == number).mean() for p in (theirs, ours)]
        print(f"{word:<26}{own.sum():>8}{told[0]:>12.3f}{told[1]:>14.3f}")
    gain = clustered_difference(log_loss, scored, theirs)
    more = clustered_difference(accuracy, scored, theirs)
    for what, found in (("log loss", gain), ("accuracy", more)):
        print(f"{what}, three stages less head alone: {found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]")
    assert gain.high < 0 < more.low
    # The head alone has left its trunk as it was, statistics of batch normalisation included.
    before = load_backbone(START).model.state_dict()
    after = load_file(alone.folder / "fold0" / "network.safetensors")
    assert all(torch.equal(after[f"model.{name}"], value) for name, value in before.items())


def spans(rows):
    return [(what, f, clustered_interval(f, rows)) for what, f in (("log loss", log_loss), ("accuracy", accuracy))]
