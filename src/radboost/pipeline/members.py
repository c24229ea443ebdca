"""What each member of a blend says of units: runs from their features, trainings from their crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from radboost.booster.design import Design
from radboost.booster.run import Run
from radboost.data.cohort import Cohort
from radboost.data.predictions import member_name
from radboost.data.progress import Progress
from radboost.extractor.train.predict import predict_units, training_config
from radboost.extractor.train.training import Training
from radboost.pipeline.blending import Blend
from radboost.pipeline.sources import Source

__all__ = ["Exams", "member_probabilities"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Exams:
    """Units to be predicted.

    Attributes
    ----------
    cohort
        Theirs; trainings read its files.
    designs
        One a view, of the same units of the cohort.
    work
        Folder for what is decoded meanwhile.
    progress
        Who listens.
    refit
        By the models of all rows, where runs have them.
    device, batch_size, workers
        As for `extract`.
    """

    cohort: Cohort
    designs: Sequence[Design]
    work: Path
    progress: Progress
    refit: bool = False
    device: str = "auto"
    batch_size: int | None = None
    workers: int | None = None


def member_probabilities(blend: Blend, exams: Exams) -> tuple[dict[str, dict[str, FloatArray]], tuple[str, ...]]:
    """Predict by every member of a blend.

    Returns
    -------
    tuple
        Probabilities (units, classes) by target and member, each the mean over its fold models and views; and what the
        reader should know.
    """
    members: dict[str, dict[str, FloatArray]] = {t.name: {} for t in blend.task.targets}
    notes: list[str] = []
    for prefix, source in blend.runs:
        found, told = _predicted(source, exams)
        notes += told
        for (member, kind), by_target in found.items():
            for target, values in by_target.items():
                members[target][prefix + member_name(member, kind)] = values
    return members, tuple(dict.fromkeys(notes))


def _predicted(source: Source, exams: Exams) -> tuple[dict[tuple[str, str], dict[str, FloatArray]], list[str]]:
    if isinstance(source, Run):
        return source.predict(exams.designs[: 1 + source.views], refit=exams.refit), []
    return _by_networks(source, exams)


def _by_networks(training: Training, exams: Exams) -> tuple[dict[tuple[str, str], dict[str, FloatArray]], list[str]]:
    config = replace(training_config(training), device=exams.device, workers=exams.workers)
    if exams.batch_size is not None:
        config = replace(config, learn=replace(config.learn, batch_size=exams.batch_size))
    found = predict_units(training, exams.cohort, config, exams.work, exams.progress)
    place = {unit: row for row, unit in enumerate(exams.cohort.units["unit_id"].tolist())}
    rows = np.array([place[unit] for unit in exams.designs[0].unit.tolist()], dtype=np.int64)
    notes = [f"{found.unseen} units had no readable image: base rates stand for them."] if found.unseen else []
    return {training.members[0]: {name: p[rows] for name, p in found.p.items()}}, notes
