"""A training as a whole: nobody is predicted by a network that saw them, and a kill changes nothing."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from radboost.data.progress import Silent
from radboost.errors import RadboostError, UserError
from radboost.extractor.train import averaging, panel
from radboost.extractor.train.batches import ExampleSet
from radboost.extractor.train.config import HeadConfig, LearnConfig
from radboost.extractor.train.crop_file import CropFile
from radboost.extractor.train.examples import read_examples, split_examples
from radboost.extractor.train.fit import numbered
from radboost.extractor.train.keeper import Keeper, Spot
from radboost.extractor.train.predict import predict_units, training_config
from radboost.extractor.train.run import train
from radboost.extractor.train.stages import Stage
from radboost.extractor.train.training import Training
from radboost.nets.device import one_thread


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def trained(breasts, asked, tmp_path_factory):
    return train(breasts, tmp_path_factory.mktemp("trained") / "training", asked(head=HeadConfig(metadata=True)))


def test_units_are_predicted_by_a_network_that_never_saw_their_group(trained, breasts):
    table = trained.predictions.table
    units = breasts.units.set_index("unit_id")
    (network,) = trained.content["networks"]
    assert set(table["unit"]) == set(units.index[units["fold"] == 0])
    assert not set(table["group"]) & set(network["saw"])
    assert set(network["saw"]) == set(units.loc[units["fold"] != 0, "group_id"])
    assert table["p"].between(0, 1).all()
    assert table["fold_hash"].unique().tolist() == [breasts.fold_hash]


def test_logs_are_read_back_by_their_library(trained):
    events = EventAccumulator(str(trained.folder / "fold0" / "tensorboard" / "0-top"))
    events.Reload()
    assert {
        "train/objective",
        "train/loss",
        "inner/loss",
        "inner/auc",
        "inner/metric",
        "inner/balanced_accuracy",
    } <= set(events.Tags()["scalars"])
    assert {"rate/0", "rate/1"} <= set(events.Tags()["scalars"])
    assert {"crops/clean", "crops/augmented", "confusion/cancer"} <= set(events.Tags()["images"])
    # Of the network itself, not of a wrapper: its layers have nodes.
    assert any("layer4" in node.name for node in events.Graph().node)
    shown = [each.value for each in events.Scalars("inner/loss")]
    table = pd.read_csv(trained.folder / "epochs.csv")
    assert shown == pytest.approx(table.loc[table["stage"] == "top", "inner_loss"].tolist())
    assert table.groupby("stage", sort=False)["epoch"].count().to_dict() == {"top": 2, "head": 2}


def test_the_network_on_disk_says_what_was_predicted(trained, breasts, asked, tmp_path):
    """New exams go through the very chain that the out-of-fold units went through."""
    config = replace(training_config(trained), workers=1)
    found = predict_units(trained, breasts, config, tmp_path)
    table = trained.predictions.table.set_index("unit")["p"]
    p = pd.Series(found.p["cancer"][:, 1], breasts.units["unit_id"])
    assert p[table.index].to_numpy() == pytest.approx(table.to_numpy(), abs=1e-6)
    assert found.unseen == 0


def test_who_asks_again_need_not_decode_again(trained, breasts, tmp_path, monkeypatch):
    config = replace(training_config(trained), workers=1)
    monkeypatch.setattr(panel, "_CROPS_BYTES", 20 * 2 * 32 * 32)
    first = predict_units(trained, breasts, config, tmp_path).p["cancer"]
    # Portions of twenty crops, none of which lies there any more.
    said = sorted(tmp_path.iterdir())
    assert len(said) == -(-len(breasts.manifest) // 20)
    assert all(path.name.startswith("said-") for path in said)
    said[0].unlink()
    decoded = []
    fill = CropFile.fill
    monkeypatch.setattr(CropFile, "fill", lambda self, *a, **k: decoded.append(len(self.rows)) or fill(self, *a, **k))
    assert np.array_equal(predict_units(trained, breasts, config, tmp_path).p["cancer"], first)
    assert len(decoded) == 1
    assert decoded[0] <= 20
    # Other networks, or other crops, are asked anew.
    other = Training(trained.folder, {**trained.content, "networks": [{**trained.content["networks"][0], "saw": []}]})
    predict_units(other, breasts, config, tmp_path)
    assert len(decoded) == 1 + len(said)


def test_the_folder_holds_no_identifier_and_no_pickle(trained, breasts):
    secret = [*breasts.manifest["path"], *breasts.folds["group"], str(breasts.root)]
    for path in (p for p in trained.folder.rglob("*") if p.is_file()):
        assert path.suffix in (".json", ".safetensors", ".parquet", ".csv", ".txt") or "tfevents" in path.name
        content = path.read_bytes()
        assert not [s for s in secret if len(s) > 5 and s.encode() in content], path


def test_frozen_blocks_come_out_as_they_went_in(trained):
    from radboost.extractor.backbone import BackboneConfig, load_backbone

    before = load_backbone(BackboneConfig("test_resnet", random_init=0, size=32)).model.state_dict()
    after = load_file(trained.folder / "fold0" / "network.safetensors")
    moved = {name for name, value in before.items() if not torch.equal(after[f"model.{name}"], value)}
    assert moved
    assert all(name.startswith("layer4") for name in moved)


@pytest.mark.parametrize(
    "learn", [{}, {"ema": 0.5, "rate": "cosine", "warm_up": 0.2, "accumulate": 2, "mixup": 0.4, "keep": 2}]
)
def test_a_killed_training_goes_on_bit_for_bit(breasts, asked, tmp_path, monkeypatch, learn):
    config = asked(
        stages=(Stage("all", 3, 1e-2),),
        head=HeadConfig("mlp", hidden=4, dropout=0.5),
        learn=LearnConfig(batch_size=8, inner=0.3, **learn),
    )
    whole = train(breasts, tmp_path / "whole", config)
    keep = Keeper.on_train_epoch_end

    def kill(self, trainer, learning):
        keep(self, trainer, learning)
        if trainer.current_epoch == 1:
            raise Killed

    monkeypatch.setattr(Keeper, "on_train_epoch_end", kill)
    with pytest.raises(Killed):
        train(breasts, tmp_path / "cut", config)
    monkeypatch.setattr(Keeper, "on_train_epoch_end", keep)
    cut = train(breasts, tmp_path / "cut", config)
    one, two = (load_file(each.folder / "fold0" / "network.safetensors") for each in (whole, cut))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert whole.predictions.table["p"].tolist() == cut.predictions.table["p"].tolist()
    # Also the epochs that were not kept.
    assert pd.read_csv(whole.folder / "epochs.csv").equals(pd.read_csv(cut.folder / "epochs.csv"))
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_the_mean_of_the_best_epochs_has_statistics_of_its_own(breasts, asked, tmp_path, monkeypatch):
    # Whatever comes later counts as better: the last epochs are averaged, and the mean is kept.
    monkeypatch.setattr("radboost.extractor.train.fit.better", lambda *_: True)
    states = []
    average = averaging.average_states
    monkeypatch.setattr(averaging, "average_states", lambda found: states.append(average(found)) or states[-1])
    learn = LearnConfig(batch_size=8, inner=0.3, keep=2, monitor="metric")
    training = train(breasts, tmp_path / "training", asked(stages=(Stage("top", 3, 1e-2, "top:1"),), learn=learn))
    (stage,) = training.content["networks"][0]["stages"]
    assert stage["averaged"] == [2, 1]
    (mean,) = states
    kept = load_file(training.folder / "fold0" / "network.safetensors")
    moved = {name for name, value in mean.items() if not torch.equal(value, kept[name])}
    # Statistics of layers that learnt belong to the mean's own weights; all else is the mean, frozen layers included.
    assert any("running_mean" in name for name in moved)
    assert all(name.startswith("model.layer4") and ("running" in name or "batches" in name) for name in moved)


def test_the_running_mean_follows_steps_and_not_batches(tmp_path):
    # Where gradients of two batches make one step, every second batch leaves the weights where they are. A mean that
    # took them in again would forget the older ones the faster.
    layer = torch.nn.Linear(1, 1, bias=False)
    spot = Spot(Stage("head", 1, 1e-3, "head"), tmp_path, {})
    keeper = Keeper(spot, LearnConfig(ema=0.5, accumulate=2), lambda *_: True, Silent())
    module = SimpleNamespace(network=layer)
    for step, value in ((0, 7.0), (1, 4.0), (1, 4.0), (2, 8.0), (2, 8.0)):
        torch.nn.init.constant_(layer.weight, value)
        keeper.on_train_batch_end(SimpleNamespace(global_step=step), module, torch.tensor(0.0), None, 0)
    keeper.on_validation_start(None, module)
    assert layer.weight.item() == 0.5 * 4.0 + 0.5 * 8.0


def test_half_the_bits_learn_nearly_the_same(breasts, asked, tmp_path):
    stages = (Stage("all", 2, 1e-3),)
    half, whole = (train(breasts, tmp_path / name, asked(stages=stages, precision=name)) for name in ("bf16", "fp32"))
    assert [each.content["environment"]["precision"] for each in (half, whole)] == ["bf16", "fp32"]
    p, q = (each.predictions.table["p"].to_numpy() for each in (half, whole))
    assert not np.array_equal(p, q)
    assert np.abs(p - q).max() < 0.05
    state = load_file(half.folder / "fold0" / "network.safetensors")
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}


def test_a_stage_that_only_loses_changes_nothing(breasts, asked, tmp_path):
    stages = (Stage("head", 1, 1e-3, "head"), Stage("all", 1, 0.9, "all"))
    training = train(breasts, tmp_path / "training", asked(stages=stages))
    (network,) = training.content["networks"]
    first, second = network["stages"]
    assert second["epoch"] == -1
    assert second["scores"] == first["scores"]


def test_a_loss_that_is_not_finite_ends_the_run(breasts, asked, tmp_path, monkeypatch):
    monkeypatch.setattr("radboost.extractor.train.objective.label_losses", lambda m, *_: m.sum(1) * float("nan"))
    with pytest.raises(RadboostError, match="the loss is not finite"):
        train(breasts, tmp_path / "training", asked())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"class_weight": "balanced", "sampler": "weighted"}, "weighed and drawn"),
        ({"warm_up": 0.1}, "warm-up needs rate"),
        ({"warm_up": 0.1, "rate": "restarts"}, "warm-up needs rate"),
        ({"soft_positive": 1.0}, "out of range"),
        ({"keep": 0}, "out of range"),
        ({"monitor": "accuracy"}, "unknown monitor"),
    ],
)
def test_settings_that_collide_are_refused(settings, said):
    with pytest.raises(UserError, match=said):
        LearnConfig(**settings)


def test_epochs_that_nothing_can_choose_between_are_told(breasts, asked, tmp_path):
    # Among inner units of one class there is no AUC, and of none at all no loss.
    examples = read_examples(breasts)
    split = split_examples(examples, 0, 0.3, seed=0)
    positive = set(examples.unit[split.inner & (examples.label[:, 0] == 1)].tolist())
    every = set(examples.unit[split.inner].tolist())
    learn = LearnConfig(batch_size=8, inner=0.3, monitor="auc")
    for without, said in ((positive, "do not define what epochs are chosen by .got auc"), (every, "no crop to choose")):
        weights = {unit: float(unit not in without) for unit in breasts.units["unit_id"]}
        config = asked(learn=learn, weights=weights, stages=(Stage("head", 1, 1e-3, "head"),))
        with pytest.raises(UserError, match=said):
            train(breasts, tmp_path / "training", config)


def test_a_fold_that_is_named_twice_is_trained_once(breasts, asked, tmp_path):
    config = asked(folds=(0, 0), stages=(Stage("head", 1, 1e-3, "head"),))
    table = train(breasts, tmp_path / "training", config).predictions.table
    assert not table.duplicated(["unit", "target", "class"]).any()


def test_what_cannot_be_trained_is_told(breasts, asked, tmp_path):
    with pytest.raises(UserError, match="has no such fold"):
        train(breasts, tmp_path / "training", asked(folds=(7,)))
    with pytest.raises(UserError, match="Give bf16 or fp32"):
        train(breasts, tmp_path / "training", asked(device="cpu", precision="fp16"))
    with pytest.raises(UserError, match="no such layer.*layer4"):
        train(breasts, tmp_path / "training", asked(stages=(Stage("top", 1, 1e-3, "from:layer5"),)))
    assert not list(tmp_path.glob(".training.training/crops*"))
    with pytest.raises(UserError, match="unknown head"):
        HeadConfig("transformer")
    with pytest.raises(UserError, match="is not a radboost training"):
        Training.load(tmp_path)


def two_and_one(breasts, asked, tmp_path, batch):
    """Two processes, and one with batches of twice the size at twice the rate."""
    made = []
    for devices in (2, 1):
        stages = (Stage("head", 2, 2e-2 / devices, "head"),)
        learn = LearnConfig(batch_size=batch // devices, inner=0.3)
        made.append(train(breasts, tmp_path / f"{devices}", asked(stages=stages, devices=devices, learn=learn)))
    return made


@pytest.mark.parametrize(
    ("name", "count", "given"), [("cpu", 2, 2), ("cuda", 2, 2), ("cuda:1", 1, [1]), ("cuda:2", 2, [2, 3])]
)
def test_a_device_that_is_named_is_the_one_that_is_used(name, count, given):
    assert numbered(torch.device(name), count) == given


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_two_processes_learn_what_one_does(breasts, asked, tmp_path, monkeypatch):
    # Forked, since processes that are begun afresh import torch first; the proof below begins them so. A copy of a
    # process must not want the threads that the original has.
    monkeypatch.setattr("radboost.extractor.train.fit._SEVERAL", "ddp_fork")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    examples = read_examples(breasts)
    count = len(examples.of_units(split_examples(examples, 0, 0.3, 0).train))
    # Two batches an epoch that two processes can share without seeing an example twice.
    batch = count // 2
    assert batch % 2 == count % 2 == 0
    with one_thread():
        pair, alone = two_and_one(breasts, asked, tmp_path, batch)
    one, two = (load_file(each.folder / "fold0" / "network.safetensors") for each in (pair, alone))
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], atol=1e-5, rtol=1e-4)
    logs = [pd.read_csv(each.folder / "epochs.csv").drop(columns=["stage"]) for each in (pair, alone)]
    np.testing.assert_allclose(logs[0], logs[1], atol=1e-4)
    assert len(logs[0]) == 2
    moved = one["last.weight"].abs().max()
    assert moved > 0.01
    assert json.dumps(pair.content["config"]["devices"]) == "2"


def test_examples_travel_to_another_process_without_their_pixels(trained, breasts, tmp_path):
    config = replace(training_config(trained), workers=1)
    examples = read_examples(breasts)
    crops = CropFile(tmp_path, breasts, np.unique(examples.crop), config)
    crops.fill(Silent())
    ids = breasts.manifest["crop_id"].to_numpy(object)
    shelf = ExampleSet(examples, crops, ids, np.zeros((len(examples.unit), 0), np.float32))
    sent = pickle.dumps(crops)
    assert len(sent) < crops.read(crops.rows).nbytes / 4
    there = pickle.loads(pickle.dumps(shelf))
    assert torch.equal(there[[3, 1]].pixels, shelf[[3, 1]].pixels)


@pytest.mark.proof
def test_two_processes_begun_afresh_train_as_one_does(breasts, asked, tmp_path):
    one, two = (each.predictions.table["p"].to_numpy() for each in two_and_one(breasts, asked, tmp_path, 8))
    assert np.abs(one - two).max() < 0.02
