"""Trained networks at work: on the units of the fold that a network never saw, and on new exams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.cohort import Cohort
from radboost.data.folder import digest
from radboost.data.progress import Progress, Silent
from radboost.errors import FormatError, WeightsError, offenders
from radboost.extractor.backbone import fit_weights, load_backbone, trained_state
from radboost.extractor.train.batches import ExampleSet
from radboost.extractor.train.config import TrainConfig
from radboost.extractor.train.examples import Examples, read_units
from radboost.extractor.train.network import Classifier
from radboost.extractor.train.objective import to_probabilities
from radboost.extractor.train.panel import Panel, margins_of
from radboost.extractor.train.training import Training
from radboost.metrics.platt import Platt

__all__ = ["Foreseen", "UnitMeans", "load_network", "predict_units", "training_config"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class UnitMeans:
    """Probabilities of units: the means over their crops, which may come in any portions.

    Parameters
    ----------
    examples
        Units and their crops.
    config
        Where the network runs, how precisely, and in batches of what size.
    """

    def __init__(self, examples: Examples, config: TrainConfig) -> None:
        self._examples, self._config = examples, config
        self._sums = [np.zeros((len(examples.unit), len(target.classes))) for target in examples.task.targets]
        self._count = np.zeros(len(examples.unit), dtype=np.int64)

    def add(self, network: Classifier, shelf: ExampleSet, numbers: IntArray) -> None:
        """Let a network see some examples."""
        self.told(numbers, margins_of(network, shelf, numbers, self._config))

    def told(self, numbers: IntArray, margins: FloatArray) -> None:
        """Take what a network said of some examples: margins of all targets side by side (n, margins)."""
        found = self._examples
        for total, p in zip(self._sums, to_probabilities(found.task, margins), strict=True):
            np.add.at(total, found.owner[numbers], p)
        self._count += np.bincount(found.owner[numbers], minlength=len(found.unit))

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """Which units had a crop, (units,)."""
        return self._count > 0

    def means(self) -> list[FloatArray]:
        """Probabilities by target, (units, classes); 0 for units without a crop."""
        return [total / np.maximum(self._count, 1)[:, None] for total in self._sums]


@dataclass(frozen=True)
class Foreseen:
    """What a training's networks say of units.

    Attributes
    ----------
    p
        Probabilities (units, classes) by target, rows summing to 1; NaN for units that the networks are not for.
        Targets that they are not for are absent.
    unseen
        Units none of whose crops could be read: for them the base rates of training stand.
    """

    p: dict[str, FloatArray]
    unseen: int


def training_config(training: Training) -> TrainConfig:
    """Tell how a training was made, and on what crops; raises FormatError where its header does not say."""
    try:
        return TrainConfig.from_recipe(training.content["config"])
    except (KeyError, TypeError, ValueError) as error:
        where = training.folder / "training.json"
        raise FormatError("does not say how it was trained", where=where, got=repr(error)) from error


def load_network(training: Training, fold: int) -> Classifier:
    """Build the network of an outer fold, on the CPU.

    Raises
    ------
    WeightsError
        Its weights are not those that were written, or do not fit.
    """
    config = training_config(training)
    # The training replaces all weights: none are asked for that would have to be fetched.
    backbone = load_backbone(replace(config.backbone, checkpoint=None, random_init=0))
    encoder = training.encoder(fold)
    margins = sum(1 if target.binary else len(target.classes) for target in training.task.targets)
    columns = 0 if encoder is None else len(encoder.features)
    network = Classifier(backbone, config.head, margins, columns, config.pixels.channels)
    path = training.folder / f"fold{fold}" / "network.safetensors"
    wrong = fit_weights(network, trained_state(path, training.network(fold)["weights_sha256"]), ())
    if wrong:
        raise WeightsError("does not fit the network", where=path, got=offenders(wrong), do="Train anew")
    return network


def predict_units(
    training: Training, cohort: Cohort, config: TrainConfig, work: Path, progress: Progress | None = None
) -> Foreseen:
    """Predict all units of a cohort: each fold's network and its calibration, then the mean over the folds.

    Parameters
    ----------
    training
        Its networks, on crops like those that they learnt from.
    cohort
        Of the same targets, with its files; labels may be absent.
    config
        As `training_config` gives it; device, precision, batch size and workers may be others.
    work
        Folder for the decoded crops, which are deleted when they are done with, and for what the networks said of them,
        which stays: whoever asks again, or was cut off, need not decode again. It holds hashes and numbers alone.
    progress
        Who listens.

    Raises
    ------
    FormatError
        The training lacks what a prediction needs.
    WeightsError
        A network is not the one that was written.
    """
    progress, examples = progress or Silent(), read_units(cohort, config.only)
    base = training.base_rates
    if not set(base) <= {target.name for target in examples.task.targets}:
        raise FormatError("lacks base rates of its targets", where=training.folder, do="Train anew")
    networks = [load_network(training, fold) for fold in training.folds]
    metadata = [_encoded(training, examples, fold) for fold in training.folds]
    means = [UnitMeans(examples, config) for _ in networks]
    panel = Panel(cohort, examples, networks, metadata, config)
    for numbers, margins in panel.portions(work, digest(training.content["networks"]), progress):
        for mean, own in zip(means, margins, strict=True):
            mean.told(numbers, own)
    seen = means[0].seen
    parts = [mean.means() for mean in means]
    # Units that the networks are not for stay unsaid.
    mine = pd.Index(cohort.units["unit_id"]).get_indexer(pd.Index(examples.unit))
    p = {}
    for t, target in enumerate(examples.task.targets):
        if target.name in base:
            calibration = training.calibration(target.name)
            own = np.tile(base[target.name], (len(seen), 1))
            own[seen] = np.mean([_mapped(part[t][seen], calibration) for part in parts], axis=0)
            p[target.name] = np.full((len(cohort.units), len(target.classes)), np.nan)
            p[target.name][mine] = own
    return Foreseen(p, int((~seen).sum()))


def _mapped(p: FloatArray, calibration: Mapping[str, object] | None) -> FloatArray:
    return p if calibration is None else Platt.from_dict(calibration).apply(p)


def _encoded(training: Training, examples: Examples, fold: int) -> npt.NDArray[np.float32]:
    encoder = training.encoder(fold)
    return np.empty((len(examples.unit), 0), np.float32) if encoder is None else encoder.transform(examples.metadata)
