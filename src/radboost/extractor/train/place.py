"""A training in progress as a folder beside its place, and what is written when it is done."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from safetensors.torch import save_file

from radboost.data.cohort import Cohort
from radboost.data.folder import digest, environment, new_folder, read_json, write_header, write_json
from radboost.data.metadata import MetadataEncoder
from radboost.data.networks import TRAINING_FORMAT
from radboost.data.predictions import PART, Predictions, class_rows
from radboost.errors import UserError
from radboost.extractor.backbone import weights_sha256
from radboost.extractor.train.config import TrainConfig
from radboost.extractor.train.examples import Examples, Split
from radboost.extractor.train.keeper import Best
from radboost.extractor.train.log import LOG
from radboost.extractor.train.objective import base_rates
from radboost.extractor.train.start import seen_before
from radboost.extractor.train.training import KIND, Training
from radboost.metrics import confusion
from radboost.nets.device import device_kind, resolve_device, resolve_precision

__all__ = ["Made", "Place", "Result", "write_training"]

FloatArray = npt.NDArray[np.float64]


class Place:
    """Where a training in progress lies; one of another recipe or cohort is begun anew.

    Parameters
    ----------
    folder
        Of what is kept meanwhile.
    cohort, config, examples
        What it is a training of. Its random `id` stays when it is gone on with.
    """

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
            (folder / LOG).unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        known = read_json(header) if header.is_file() else {}
        self.id = (
            str(known["id"]) if known.get("fingerprint") == fingerprint and "id" in known else secrets.token_hex(8)
        )
        write_json(header, {"fingerprint": fingerprint, "id": self.id})


@dataclass(frozen=True)
class Made:
    """A fold's network and what it says of the units that it never saw.

    Attributes
    ----------
    split
        Who was what.
    start
        Sha256 of the backbone's weights before the first step.
    state
        Its weights.
    encoder
        Of the metadata.
    best
        What was kept of each stage.
    p
        Probabilities by target, (units, classes).
    seen
        Units of the outer fold that are predicted, (units,): those that had a crop, and in a result all of them.
    """

    split: Split
    start: str
    state: Mapping[str, torch.Tensor]
    encoder: MetadataEncoder
    best: Sequence[Best]
    p: Sequence[FloatArray]
    seen: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Result:
    """All folds' networks, and the maps that calibrate new exams' probabilities, by target."""

    examples: Examples
    made: Sequence[Made]
    maps: Mapping[str, Any]


def write_training(out: Path, place: Place, result: Result, *, overwrite: bool) -> Training:
    """Write networks, predictions and logs, and the header that says how they came about."""
    config, examples, made = place.config, result.examples, result.made
    member = f"train/{config.backbone.name.partition(':')[2] or config.backbone.name}"
    rates = base_rates(examples.task, examples.label, examples.weight)
    kind = "regular" if config.weights is None else "weighted"
    tables = [_predictions(examples, each, member, kind) for each in made]
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
        pd.DataFrame(_confusion(examples, made)).to_csv(folder / "confusion.csv", index=False)
        shutil.copyfile(place.folder / LOG, folder / LOG)
        content = {
            "id": place.id,
            "task": examples.task.as_dict(),
            "fold_hash": examples.fold_hash,
            "inputs": {"cohort": place.cohort.fingerprint, "key_id": place.cohort.key_id},
            "config": place.recipe,
            "member": member,
            "member_kind": kind,
            "calibration": result.maps,
            "base_rates": {name: rates[name] for name in (examples.task.targets[t].name for t in examples.learnt)},
            "folds": [each.split.fold for each in made],
            "networks": [_network(examples, each, seen_before(config.backbone, each.split.fold)) for each in made],
            "environment": _environment(config),
        }
        write_header(folder, KIND, TRAINING_FORMAT, json.loads(json.dumps(content)))
    return Training.load(out)


def _environment(config: TrainConfig) -> dict[str, str]:
    device = resolve_device(config.device)
    more = {name: version(name) for name in ("lightning", "tensorboard", "safetensors")}
    precision = resolve_precision(config.precision, device)
    return {**environment(), **more, "device": device_kind(device), "precision": precision}


def _confusion(examples: Examples, made: Sequence[Made]) -> Iterator[dict[str, Any]]:
    """Weights of units out of fold, by fold, target, true class and called class."""
    for each in made:
        for t in examples.learnt:
            target = examples.task.targets[t]
            rows = np.flatnonzero(each.seen & (examples.label[:, t] >= 0))
            shown = each.p[t][rows, 1] if target.binary else each.p[t][rows]
            table = confusion(examples.label[rows, t], shown, examples.weight[rows, t])
            for (true, called), weight in np.ndenumerate(table):
                classes = {"true": target.classes[true], "called": target.classes[called]}
                yield {"fold": each.split.fold, "target": target.name, **classes, "weight": weight}


def _network(examples: Examples, made: Made, before: Sequence[str]) -> dict[str, Any]:
    """What a header says of one network: what tells it from others, how it came about, and whose images it saw."""
    seen = made.split.train | made.split.inner
    return {
        "fold": made.split.fold,
        "began_with": made.start,
        "weights_sha256": weights_sha256(made.state),
        "stages": [{n: v for n, v in asdict(best).items() if n != "history"} for best in made.best],
        "saw": sorted({*before, *examples.group[seen].tolist()}),
    }


def _predictions(examples: Examples, made: Made, member: str, kind: str) -> pd.DataFrame:
    tables, part = [], examples.part
    for t in examples.learnt:
        target = examples.task.targets[t]
        rows = np.flatnonzero(made.seen & (examples.label[:, t] >= 0))
        others = {
            "unit": examples.unit[rows],
            "task_weight": examples.task_weight[rows, t],
            "target_weight": examples.target_weight[rows],
            "group": examples.group[rows],
            "fold_hash": examples.fold_hash,
            "member": member,
            "kind": kind,
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
