"""`train`: a network for each outer fold, which predicts the units of that fold and has never seen their groups."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from safetensors.torch import save_file

from radboost.data.cohort import Cohort
from radboost.data.folder import (
    digest,
    environment,
    new_folder,
    read_json,
    refuse_existing,
    write_header,
    write_json,
)
from radboost.data.metadata import MetadataEncoder
from radboost.data.networks import TRAINING_FORMAT
from radboost.data.predictions import PART, Predictions, class_rows
from radboost.data.progress import Progress, Silent
from radboost.errors import UserError
from radboost.extractor.backbone import weights_sha256
from radboost.extractor.train.batches import ExampleSet, stream_seed
from radboost.extractor.train.config import TrainConfig
from radboost.extractor.train.crop_file import CropFile
from radboost.extractor.train.examples import Examples, Split, encode_metadata, read_examples, split_examples
from radboost.extractor.train.fit import fit_network
from radboost.extractor.train.keeper import Best
from radboost.extractor.train.learning import Material
from radboost.extractor.train.network import Classifier
from radboost.extractor.train.objective import Goal, base_margins, base_rates
from radboost.extractor.train.predict import UnitMeans
from radboost.extractor.train.start import begin_at, refuse_known, seen_before
from radboost.extractor.train.training import KIND, Training
from radboost.metrics.platt import map_out_of_fold

__all__ = ["train"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


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
    examples = read_examples(cohort)
    folds = sorted(set(examples.fold.tolist()))
    chosen = sorted(config.folds) or folds
    unknown = [fold for fold in chosen if fold not in folds]
    if unknown:
        raise UserError("the cohort has no such fold", where="--fold", got=unknown, do=f"It has {folds}")
    refuse_known(config.backbone, cohort, examples, chosen)
    place = _Place(out.with_name(f".{out.name}.training"), cohort, config, examples)
    crops = CropFile(place.folder / "crops", cohort, np.unique(examples.crop), config)
    crops.fill(progress)
    examples = examples.without(crops.failed)
    made = [_train_fold(place, examples, crops, fold, progress) for fold in chosen]
    found = _write(out, place, examples, made, overwrite=overwrite)
    shutil.rmtree(place.folder)
    return found


class _Place:
    """Where a training in progress lies; one of another recipe or cohort is begun anew."""

    def __init__(self, folder: Path, cohort: Cohort, config: TrainConfig, examples: Examples) -> None:
        self.folder, self.cohort, self.config = folder, cohort, config
        self.recipe = config.recipe()
        rows = [examples.unit.tolist(), examples.label.tolist(), examples.weight.tolist(), cohort.fold_hash]
        fingerprint = digest([self.recipe, digest(rows), cohort.fingerprint, environment()])
        header = folder / "training.json"
        if folder.is_dir() and any(folder.iterdir()) and not header.is_file():
            raise UserError("holds something else than a training", where=folder, do="Move it away")
        if header.is_file() and read_json(header).get("fingerprint") != fingerprint:
            for fold in folder.glob("fold*"):
                shutil.rmtree(fold)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(header, {"fingerprint": fingerprint})


@dataclass(frozen=True)
class _Made:
    """A fold's network and what it says of the units that it never saw."""

    split: Split
    state: Mapping[str, torch.Tensor]
    encoder: MetadataEncoder
    best: Sequence[Best]
    p: Sequence[FloatArray]
    seen: npt.NDArray[np.bool_]


def _train_fold(place: _Place, examples: Examples, crops: CropFile, fold: int, progress: Progress) -> _Made:
    config = place.config
    split = split_examples(examples, fold, config.learn.inner, config.seed)
    encoder, metadata = encode_metadata(examples, split)
    columns = metadata.shape[1] if config.head.metadata else 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(config.seed, "head", fold))
        backbone = begin_at(config.backbone, fold)
        network = Classifier(backbone, config.head, sum(examples.widths), columns, config.pixels.channels)
        weight = np.where(split.train[:, None], examples.weight, 0.0)
        network.start_at(base_margins(examples.task, examples.label[split.train], examples.weight[split.train]))
        train, inner = examples.of_units(split.train), examples.of_units(split.inner)
        owner = examples.owner[train]
        goal = Goal.of(examples.task, examples.label[owner], weight[owner], config.learn)
        ids = place.cohort.manifest["crop_id"].to_numpy(object)
        shelf = ExampleSet(examples, crops, ids, metadata[:, :columns] if columns else metadata[:, :0])
        first = examples.label[:, 0][examples.owner]
        material = Material(examples.task, shelf, train, inner, first, goal)
        progress.start(f"train fold {fold}", sum(stage.epochs for stage in config.stages))
        best = fit_network(network, material, config, place.folder / f"fold{fold}", progress)
    means = UnitMeans(examples, config)
    means.add(network, shelf, examples.of_units(split.outer))
    return _Made(split, network.state_dict(), encoder, best, means.means(), means.seen)


def _calibrated(examples: Examples, made: Sequence[_Made]) -> tuple[list[_Made], dict[str, dict[str, Any]]]:
    """Calibrate each fold's predictions by the other folds', and give the maps for new exams by target."""
    found, maps = list(made), dict[str, dict[str, Any]]()
    for t, target in enumerate(examples.task.targets):
        rows = np.concatenate([np.flatnonzero(each.seen) for each in made])
        p = np.concatenate([each.p[t][each.seen] for each in made])
        facts = examples.label[rows, t], examples.weight[rows, t], examples.fold[rows]
        mapped, platt = map_out_of_fold(p, *facts)
        if platt is not None:
            maps[target.name] = platt.to_dict()
        for k, each in enumerate(made):
            own = np.zeros_like(each.p[t])
            own[each.seen] = mapped[facts[2] == each.split.fold]
            found[k] = replace(found[k], p=[*found[k].p[:t], own, *found[k].p[t + 1 :]])
    return found, maps


def _write(out: Path, place: _Place, examples: Examples, made: Sequence[_Made], *, overwrite: bool) -> Training:
    config = place.config
    member = f"train/{config.backbone.name.partition(':')[2] or config.backbone.name}"
    made, maps = _calibrated(examples, made)
    tables = [_predictions(examples, each, member) for each in made]
    with new_folder(out, KIND, overwrite=overwrite) as folder:
        Predictions(pd.concat(tables, ignore_index=True)).write(folder / "predictions.parquet")
        epochs: list[dict[str, Any]] = []
        for each in made:
            own = folder / f"fold{each.split.fold}"
            own.mkdir()
            save_file({n: t.contiguous() for n, t in each.state.items()}, own / "network.safetensors")
            write_json(own / "metadata.json", each.encoder.to_dict() if config.head.metadata else {})
            _copy_events(place.folder / own.name, own)
            for best in each.best:
                epochs += [{"fold": each.split.fold, "stage": best.stage, **row} for row in best.history]
        pd.DataFrame(epochs).astype({"epoch": int}).to_csv(folder / "epochs.csv", index=False)
        content = {
            "task": examples.task.as_dict(),
            "fold_hash": examples.fold_hash,
            "inputs": {"cohort": place.cohort.fingerprint, "key_id": place.cohort.key_id},
            "config": place.recipe,
            "member": member,
            "member_kind": "regular",
            "calibration": maps,
            "base_rates": base_rates(examples.task, examples.label, examples.weight),
            "folds": [each.split.fold for each in made],
            "networks": [_network(examples, each, seen_before(config.backbone, each.split.fold)) for each in made],
            "environment": environment(),
        }
        write_header(folder, KIND, TRAINING_FORMAT, json.loads(json.dumps(content)))
    return Training.load(out)


def _network(examples: Examples, made: _Made, before: Sequence[str]) -> dict[str, Any]:
    """What a header says of one network: what tells it from others, how it came about, and whose images it saw."""
    seen = made.split.train | made.split.inner
    return {
        "fold": made.split.fold,
        "weights_sha256": weights_sha256(made.state),
        "stages": [{n: v for n, v in asdict(best).items() if n != "history"} for best in made.best],
        "saw": sorted({*before, *examples.group[seen].tolist()}),
    }


def _predictions(examples: Examples, made: _Made, member: str) -> pd.DataFrame:
    tables, part = [], examples.part
    for t, target in enumerate(examples.task.targets):
        rows = np.flatnonzero(made.seen & (examples.label[:, t] >= 0))
        others = {
            "unit": examples.unit[rows],
            "task_weight": examples.weight[rows, t],
            "target_weight": 1.0,
            "group": examples.group[rows],
            "fold_hash": examples.fold_hash,
            "member": member,
            "kind": "regular",
            "fold": made.split.fold,
            PART: None if part is None else part[rows],
        }
        tables.append(class_rows(target, examples.label[rows, t], made.p[t][rows], others))
    return pd.concat(tables, ignore_index=True)


def _copy_events(source: Path, goal: Path) -> None:
    """Bring TensorBoard's files along; their names, which hold the machine's name, are replaced."""
    for stage in sorted(source.iterdir()):
        for number, events in enumerate(sorted((stage / "tensorboard").glob("events.out.tfevents.*"))):
            own = goal / "tensorboard" / stage.name
            own.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(events, own / f"events.out.tfevents.{number}")
