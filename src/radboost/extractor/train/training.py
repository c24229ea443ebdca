"""A training on disk: one network a fold, their out-of-fold predictions, and how they came about."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from radboost.data.folder import read_json, write_header
from radboost.data.metadata import MetadataEncoder
from radboost.data.networks import TRAINING_FORMAT, training_content
from radboost.data.predictions import Predictions
from radboost.data.task import Task
from radboost.errors import FormatError

__all__ = ["KIND", "Training"]

KIND = "training"


@dataclass(frozen=True)
class Training:
    """What `radboost train` wrote.

    Attributes
    ----------
    folder
        Where. ``fold<k>/network.safetensors`` and ``fold<k>/metadata.json`` are a fold's network and the encoder of
        its metadata; ``predictions.parquet`` the out-of-fold predictions of all of them; ``epochs.csv`` and
        ``fold<k>/tensorboard`` what happened meanwhile.
    content
        The header: task, fold hash, inputs, recipe, folds with the kept epoch of each stage and the groups that the
        network saw, widths and versions.
    """

    folder: Path
    content: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Training:
        """Read a training folder.

        Raises
        ------
        UserError
            It is none.
        FormatError
            It is damaged.
        """
        content = training_content(folder)
        lost = [f"fold{k}" for k in content["folds"] if not (folder / f"fold{k}" / "network.safetensors").is_file()]
        if lost:
            raise FormatError("lacks networks that its header names", where=folder, got=", ".join(lost))
        return cls(folder, content)

    @property
    def task(self) -> Task:
        """The task that was learnt."""
        return Task.from_dict(self.content["task"])

    @property
    def folds(self) -> list[int]:
        """Outer folds that have a network."""
        return [int(k) for k in self.content["folds"]]

    @property
    def fold_hash(self) -> str:
        """Hash of the fold assignment that the predictions are out of."""
        return str(self.content["fold_hash"])

    @property
    def members(self) -> list[tuple[str, str]]:
        """Its one member, as a pair (member, kind); see `radboost.data.predictions.Predictions`."""
        return [(str(self.content["member"]), str(self.content["member_kind"]))]

    @property
    def base_rates(self) -> dict[str, list[float]]:
        """Weighted class frequencies of the labelled units, by target."""
        return {str(name): [float(v) for v in rates] for name, rates in self.content["base_rates"].items()}

    def calibration(self, target: str) -> Mapping[str, Any] | None:
        """Give the map of new exams' probabilities, see `radboost.metrics.platt.Platt`; None where there is none."""
        found: Mapping[str, Any] | None = self.content["calibration"].get(target)
        return found

    def network(self, fold: int) -> Mapping[str, Any]:
        """Give what the header says of a fold's network."""
        found: Mapping[str, Any] = next(each for each in self.content["networks"] if each["fold"] == fold)
        return found

    def encoder(self, fold: int) -> MetadataEncoder | None:
        """Give the encoder of metadata that a fold's network saw; None where metadata did not join."""
        content = read_json(self.folder / f"fold{fold}" / "metadata.json")
        return MetadataEncoder.from_dict(content) if content else None

    def copy_networks(self, out: Path) -> None:
        """Write what predicting new exams needs: the networks, and their scores by epoch; no predictions, no logs."""
        out.mkdir(parents=True)
        for fold in self.folds:
            for name in ("network.safetensors", "metadata.json"):
                (out / f"fold{fold}").mkdir(exist_ok=True)
                shutil.copyfile(self.folder / f"fold{fold}" / name, out / f"fold{fold}" / name)
        if (self.folder / "epochs.csv").is_file():
            shutil.copyfile(self.folder / "epochs.csv", out / "epochs.csv")
        kept = {n: v for n, v in self.content.items() if n not in ("kind", "format", "radboost", "created")}
        write_header(out, KIND, TRAINING_FORMAT, kept)

    @cached_property
    def predictions(self) -> Predictions:
        """Out-of-fold predictions of the labelled units of those folds."""
        return Predictions.read(self.folder / "predictions.parquet")
