"""A training on disk: one network a fold, their out-of-fold predictions, and how they came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from radboost.data.predictions import Predictions
from radboost.data.task import Task
from radboost.errors import FormatError
from radboost.extractor.backbone import training_content

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

    @cached_property
    def predictions(self) -> Predictions:
        """Out-of-fold predictions of the labelled units of those folds."""
        return Predictions.read(self.folder / "predictions.parquet")
