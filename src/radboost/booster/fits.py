"""The fits of one run: a job is one learner on the training rows of one fold, for all targets and blocks."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from radboost.booster.columns import Columns, prepare_columns
from radboost.booster.design import Design
from radboost.booster.member import MemberModel, fit_members
from radboost.booster.prepare import Prepared
from radboost.booster.recipe import Recipe
from radboost.booster.rows import FloatArray

__all__ = ["ALL_ROWS", "REGULAR", "WEIGHTED", "Done", "Job", "Shelf", "Work"]

REGULAR, WEIGHTED = "regular", "weighted"
ALL_ROWS = -1
"""Stands for a fold where nothing is held out."""


class Job(NamedTuple):
    """One learner of one kind, fitted outside one fold (`ALL_ROWS`: on everything)."""

    learner: str
    kind: str
    fold: int


@dataclass(frozen=True)
class Done:
    """Outcome of a job.

    Attributes
    ----------
    models
        For each target, the model of each block.
    p
        For each target and block, probabilities (held rows, classes) of the fold's rows; no rows for `ALL_ROWS`.
    prepared
        What turns a design into the models' columns.
    """

    models: tuple[dict[str, MemberModel], ...]
    p: tuple[dict[str, FloatArray], ...]
    prepared: Prepared


@dataclass(frozen=True)
class Work:
    """What all jobs share.

    Attributes
    ----------
    design
        The labelled units of the training split.
    target_weight
        Shape (n,): weights that simulate a target set.
    blocks
        Blocks of columns that members see.
    recipe
        How learners learn.
    components
        Most principal components a block.
    """

    design: Design
    target_weight: FloatArray
    blocks: tuple[str, ...]
    recipe: Recipe
    components: int

    def weight(self, kind: str) -> FloatArray:
        """Sample weights (n, targets): 0 where unlabelled."""
        weight = np.where(self.design.label >= 0, self.design.task_weight, 0.0)
        return weight * self.target_weight[:, None] if kind == WEIGHTED else weight

    def columns(self, kind: str, fold: int) -> Columns:
        """Prepare the columns of one fold, on its training rows alone."""
        rows = self.design.fold != fold
        return prepare_columns(self.design, self.weight(kind), rows, self.components, self.recipe.seed)

    def fit(self, job: Job, columns: Columns) -> Done:
        """Do a job with the columns of its kind and fold."""
        design, weight = self.design, self.weight(job.kind)
        targets = range(len(design.task.targets))
        rows = [columns.rows(design, target, weight[:, target]) for target in targets]
        models = fit_members(job.learner, rows, self.recipe, self.blocks)
        held = columns.x[design.fold == job.fold]
        p = tuple({block: model.predict_proba(held) for block, model in own.items()} for own in models)
        return Done(tuple(models), p, columns.prepared)


class Shelf:
    """Columns of the folds that are being worked on; prepared when first asked for, gone with the last job.

    Parameters
    ----------
    work
        Whose.
    jobs
        All jobs that will come, in any order and from any thread.
    """

    def __init__(self, work: Work, jobs: Iterable[Job]) -> None:
        self._work = work
        self._left = Counter((job.kind, job.fold) for job in jobs)
        self._locks = {place: threading.Lock() for place in self._left}
        self._there: dict[tuple[str, int], Columns] = {}

    def fit(self, job: Job) -> Done:
        """Do a job."""
        place = job.kind, job.fold
        with self._locks[place]:
            if place not in self._there:
                self._there[place] = self._work.columns(*place)
            columns = self._there[place]
        try:
            return self._work.fit(job, columns)
        finally:
            with self._locks[place]:
                self._left[place] -= 1
                if not self._left[place]:
                    del self._there[place]
