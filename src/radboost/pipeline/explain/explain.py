"""Explain units: where in their crops, from which blocks, and like which training exams."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np

from radboost.booster.design import Design
from radboost.data.jobs import crop_jobs
from radboost.data.progress import Progress
from radboost.errors import MismatchError, offenders
from radboost.extractor.probe import Probe
from radboost.pipeline.explain.alike import Alike, Trained
from radboost.pipeline.explain.exams import Exams, unit_probabilities
from radboost.pipeline.explain.frames import Frame, frames
from radboost.pipeline.explain.sanity import Sanity
from radboost.pipeline.explain.system import Asked, Question, System
from radboost.pipeline.explain.where import CropMap, WhereConfig, explain_where
from radboost.pipeline.explain.why import Why, explain_why

__all__ = ["ExplainConfig", "Explanation", "UnitTold", "chosen_units", "explain"]

SHOWN_PIXELS = 24_000_000
"""Of all maps' frames together, by default: a page of some fifteen megabytes."""
MOST_SIDE = 1 << 14
"""Of a picture, pixels."""


@dataclass(frozen=True)
class ExplainConfig:
    """What is explained, and how.

    Attributes
    ----------
    target, label
        Target and class; None for the first and its last.
    units
        Names of units, readable or hashed; empty for the `most` of highest probability.
    most
        See `units`.
    where
        How maps are made; None for none.
    frame_pixels
        Longest side of the frames that maps are drawn on, where they are larger; 0 for their full resolution. None for
        that too, as long as the frames of all maps together hold no more than `SHOWN_PIXELS`; else for so much less.
    alike
        Training units to show.
    """

    target: str | None = None
    label: str | None = None
    units: tuple[str, ...] = ()
    most: int = 10
    where: WhereConfig | None = field(default_factory=WhereConfig)
    frame_pixels: int | None = None
    alike: int = 5


@dataclass(frozen=True, eq=False)
class UnitTold:
    """One unit, explained.

    Attributes
    ----------
    unit
        Hashed.
    label
        Its class, empty where unlabelled.
    p
        Its probability.
    folds
        Models that were asked; None for all.
    why
        From which blocks.
    maps
        Where in its crops.
    frames
        The frame of each crop that has maps, by crop id.
    alike
        Training units.
    """

    unit: str
    label: str
    p: float
    folds: tuple[int, ...] | None
    why: Why
    maps: tuple[CropMap, ...]
    frames: dict[str, Frame]
    alike: tuple[Alike, ...]


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a page shows.

    Attributes
    ----------
    system, question
        What predicts, and which probability was explained.
    units
        In the order that they were asked for.
    where
        How maps were made.
    notes
        What the reader should know.
    sanity
        The pointing game, where it was played.
    """

    system: System
    question: Question
    units: tuple[UnitTold, ...]
    where: WhereConfig | None
    notes: tuple[str, ...]
    sanity: Sanity | None = None


def explain(
    system: System, exams: Exams, config: ExplainConfig, trained: Design | None, progress: Progress
) -> Explanation:
    """Explain some units of a cohort.

    Parameters
    ----------
    system
        What predicts.
    exams
        The cohort, with what embeds it.
    config
        What, and how.
    trained
        Design of the training cohort, for the exams that are alike; None for none.
    progress
        Who listens.

    Raises
    ------
    UserError
        There is no such target or class.
    MismatchError
        There is no such unit.
    LeakError
        See `Exams.folds`.
    """
    question = Question.of(system.task, config.target, config.label)
    folds = exams.folds(system)
    names = chosen_units(system, exams, question, config)
    known = None if trained is None else Trained(system.runs[0][1], trained)
    told = []
    progress.start("explain", len(names))
    nothing: AbstractContextManager[list[Probe]] = nullcontext([])
    with nothing if config.where is None else exams.probes() as probes:
        for name in names:
            asked = Asked(system, question, folds[name])
            told.append(_unit(asked, exams, name, _Means(config, known, probes, len(names))))
            progress.advance()
    notes = _notes(system, folds, names)
    return Explanation(system, question, tuple(told), config.where, notes)


def chosen_units(system: System, exams: Exams, question: Question, config: ExplainConfig) -> list[str]:
    """Give readable names of the units to explain; see `ExplainConfig.units`."""
    units = exams.cohort.units
    if config.units:
        names = dict(zip(units["unit_id"], units["unit"], strict=True)) | {u: u for u in units["unit"]}
        short = {h[: len(u)]: n for u in config.units for h, n in zip(units["unit_id"], units["unit"], strict=True)}
        unknown = [u for u in config.units if u not in names and (len(u) < 8 or u not in short)]
        if unknown:
            do = "Name units as the table does, or by their hashes"
            raise MismatchError("there are no such units", where="--units", got=offenders(unknown), do=do)
        return [str(names.get(u, short.get(u))) for u in config.units]
    p = unit_probabilities(system, exams, question)
    order = np.argsort(-p, kind="stable")[: config.most]
    return [str(units["unit"].iloc[k]) for k in order]


@dataclass(frozen=True)
class _Means:
    """What all units are explained with, and how many they are."""

    config: ExplainConfig
    trained: Trained | None
    probes: Sequence[Probe]
    units: int


def _longest(shape: tuple[int, int], asked: int | None, maps: int) -> int:
    """Longest side that a frame is shown with, pixels; see `ExplainConfig.frame_pixels`."""
    most = asked or MOST_SIDE
    if asked is None:
        # Each map has its frame's pixels once more.
        most = int(math.sqrt(SHOWN_PIXELS / maps * max(shape) / min(shape)))
    return max(1, min(most, max(shape), MOST_SIDE))


def _unit(asked: Asked, exams: Exams, name: str, means: _Means) -> UnitTold:
    config, trained, probes = means.config, means.trained, means.probes
    patient = exams.patient(name)
    design, row = patient.design()
    why = explain_why(asked, design, row)
    maps: tuple[CropMap, ...] = ()
    shown: dict[str, Frame] = {}
    if config.where is not None and probes:
        maps = tuple(explain_where(asked, patient, probes, config.where))
        policy = exams.recipes[0].pixels
        place = {crop: number for number, crop in enumerate(patient.cohort.manifest["crop_id"])}
        for crop, shape in {found.crop_id: found.info.shape for found in maps}.items():
            most = _longest(shape, config.frame_pixels, means.units * len(maps))
            for frame in frames(list(crop_jobs(patient.cohort, policy, [place[crop]])), policy, most):
                shown |= {} if frame is None else {crop: frame}
    column = [t.name for t in design.task.targets].index(asked.question.target)
    label = int(design.label[row, column])
    near = () if trained is None else tuple(trained.nearest(asked, design, row, config.alike))
    return UnitTold(
        unit=str(design.unit[row]),
        label=design.task.targets[column].classes[label] if label >= 0 else "",
        p=why.p,
        folds=asked.folds,
        why=why,
        maps=maps,
        frames=shown,
        alike=near,
    )


def _notes(system: System, folds: dict[str, tuple[int, ...] | None], names: Sequence[str]) -> tuple[str, ...]:
    notes = []
    if system.kind == "run":
        notes.append("This is a run, not a blend: its regular members count alike, as the mean of their probabilities.")
    if any(folds[name] is not None for name in names):
        notes.append(
            "Units that were learnt from are explained by the models of their own fold, which did not see the patient; "
            "the blend's weights are those of all folds."
        )
    if system.views:
        notes.append(
            f"Predictions average over {system.views} augmented views beside the clean one; all here is about the "
            "clean view alone."
        )
    if len(system.stores) > 1:
        notes.append("Several backbones look at each crop: each has maps of its own, the others see the whole crop.")
    return tuple(notes)
