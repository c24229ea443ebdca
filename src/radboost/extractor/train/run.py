"""`train`: a network for each outer fold, which predicts the units of that fold and has never seen their groups."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from radboost.data.cohort import Cohort
from radboost.data.folder import alone_in, refuse_existing
from radboost.data.progress import Progress, Silent
from radboost.errors import RadboostError, UserError
from radboost.extractor.backbone import BackboneConfig, parameter_blocks, weights_sha256
from radboost.extractor.train.batches import ExampleSet, stream_seed
from radboost.extractor.train.config import TrainConfig
from radboost.extractor.train.crop_file import CropFile
from radboost.extractor.train.examples import Examples, encode_metadata, read_examples, split_examples
from radboost.extractor.train.fit import fit_network
from radboost.extractor.train.learning import Material
from radboost.extractor.train.log import LOG, Logged
from radboost.extractor.train.network import Classifier
from radboost.extractor.train.objective import Goal, base_margins, base_rates
from radboost.extractor.train.place import Made, Place, Result, write_training
from radboost.extractor.train.predict import UnitMeans
from radboost.extractor.train.start import begin_at, refuse_known
from radboost.extractor.train.training import KIND, Training
from radboost.metrics.platt import map_out_of_fold
from radboost.nets.device import resolve_device, resolve_precision

__all__ = ["train"]


def train(
    cohort: Cohort, out: Path, config: TrainConfig, progress: Progress | None = None, *, overwrite: bool = False
) -> Training:
    """Train a fresh network for each outer fold.

    Work in progress lies beside `out` as ``.<name>.training``: crops, checkpoints and logs. A call that was ended goes
    on there; it is deleted once the training is written.

    Parameters
    ----------
    cohort
        With a task, labels and folds.
    out
        Folder of the training.
    config, progress
        How, and who listens.
    overwrite
        Whether an existing training gives way.

    Raises
    ------
    ExistsError
        `out` is there and `overwrite` is off.
    UserError
        The cohort has no labels, folds or files, or the network does not take such crops.
    RadboostError
        No crop could be decoded, or the loss became infinite.
    """
    progress = progress or Silent()
    refuse_existing(out, KIND, overwrite)
    cohort.need_files()
    examples = read_examples(cohort, config.only, config.weights)
    folds = sorted(set(examples.fold.tolist()))
    chosen = sorted(set(config.folds)) or folds
    unknown = [fold for fold in chosen if fold not in folds]
    if unknown:
        raise UserError("the cohort has no such fold", where="--fold", got=unknown, do=f"It has {folds}")
    refuse_known(config.backbone, cohort, examples, chosen)
    device = resolve_device(config.device)
    if device.type == "cpu" and resolve_precision(config.precision, device) == "fp16":
        raise UserError("nothing learns in fp16 on a CPU", where="--precision", got="fp16", do="Give bf16 or fp32")
    # Before crops are decoded, which may take hours: weights or layers that cannot be had are told at once.
    blocks = parameter_blocks(begin_at(config.backbone, chosen[0]).model)
    for stage in config.stages:
        stage.rates(blocks)
    folder = out.with_name(f".{out.name}.training")
    with alone_in(folder):
        place = Place(folder, cohort, config, examples)
        progress = Logged(progress, place.folder / LOG)
        crops = CropFile(place.folder / "crops", cohort, np.unique(examples.crop), config)
        crops.fill(progress)
        examples = examples.without(crops.failed)
        made = [_train_fold(place, examples, crops, fold, progress) for fold in chosen]
        _refuse_stale(config.backbone, made)
        result = Result(examples, *_calibrated(examples, made))
        found = write_training(out, place, result, overwrite=overwrite)
        shutil.rmtree(place.folder)
    return found


def _train_fold(place: Place, examples: Examples, crops: CropFile, fold: int, progress: Progress) -> Made:
    config = place.config
    split = split_examples(examples, fold, config.learn.inner, config.seed)
    encoder, metadata = encode_metadata(examples, split)
    columns = metadata.shape[1] if config.head.metadata else 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(config.seed, "head", fold))
        backbone = begin_at(config.backbone, fold)
        start = weights_sha256(backbone.model.state_dict())
        network = Classifier(backbone, config.head, sum(examples.widths), columns, config.pixels.channels)
        weight = np.where(split.train[:, None], examples.weight, 0.0)
        network.start_at(base_margins(examples.task, examples.label[split.train], examples.weight[split.train]))
        # Rows of no weight are dropped before anything is learnt; they are predicted all the same.
        train, inner = (examples.of_units(mask & (examples.target_weight > 0)) for mask in (split.train, split.inner))
        for what, own in (("learn from", train), ("choose epochs by", inner)):
            if not len(own):
                do = "Give more patients, files that can be read, or weights above 0"
                raise UserError(f"fold {fold} has no crop to {what}", where=place.cohort.folder, do=do)
        owner = examples.owner[train]
        goal = Goal.of(examples.task, examples.label[owner], weight[owner], config.learn)
        ids = place.cohort.manifest["crop_id"].to_numpy(object)
        shelf = ExampleSet(examples, crops, ids, metadata[:, :columns] if columns else metadata[:, :0])
        first = examples.label[:, examples.learnt[0]][examples.owner]
        material = Material(examples.task, shelf, train, inner, first, goal)
        progress.start(f"train fold {fold}", sum(stage.epochs for stage in config.stages))
        best = fit_network(network, material, config, place.folder / f"fold{fold}", progress)
    means = UnitMeans(examples, config)
    means.add(network, shelf, examples.of_units(split.outer))
    return Made(split, start, network.state_dict(), encoder, best, means.means(), means.seen)


def _refuse_stale(backbone: BackboneConfig, made: Sequence[Made]) -> None:
    """Make sure that no fold went on from what another one had learnt: that would be a leak nobody sees."""
    if backbone.training is None and len({each.start for each in made}) > 1:
        raise RadboostError("the folds' networks did not begin with the same weights", do="Tell us: this is a bug")


def _calibrated(examples: Examples, made: Sequence[Made]) -> tuple[list[Made], dict[str, dict[str, Any]]]:
    """Calibrate each fold's predictions by the other folds', and give the maps for new exams by target.

    Units none of whose crops could be read get the base rates of the other folds, as new exams do: a member of a blend
    predicts the units that the others predict.
    """
    found, maps = list(made), dict[str, dict[str, Any]]()
    for t in examples.learnt:
        target = examples.task.targets[t]
        rows = np.concatenate([np.flatnonzero(each.seen) for each in made])
        p = np.concatenate([each.p[t][each.seen] for each in made])
        facts = examples.label[rows, t], examples.weight[rows, t], examples.fold[rows]
        mapped, platt = map_out_of_fold(p, *facts)
        if platt is not None:
            maps[target.name] = platt.to_dict()
        for k, each in enumerate(made):
            own = np.zeros_like(each.p[t])
            own[each.seen] = mapped[facts[2] == each.split.fold]
            learnt = each.split.train | each.split.inner
            rates = base_rates(examples.task, examples.label[learnt], examples.weight[learnt])
            own[each.split.outer & ~each.seen] = rates[target.name]
            found[k] = replace(found[k], p=[*found[k].p[:t], own, *found[k].p[t + 1 :]])
    return [replace(each, seen=each.split.outer) for each in found], maps
