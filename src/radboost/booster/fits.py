"""The fits of one run: a job is one learner on the training rows of one fold, for all targets and blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from radboost.booster.columns import Columns, make_whole, prepare_columns, share_columns
from radboost.booster.design import Design
from radboost.booster.member import MemberModel, Parts, fit_members
from radboost.booster.prepare import Prepared
from radboost.booster.raw import RawColumns
from radboost.booster.recipe import Recipe
from radboost.booster.rows import FloatArray, Order, Whole
from radboost.booster.tune import Search, Trial, tune

__all__ = ["ALL_ROWS", "REGULAR", "SHARED", "SHARING", "WEIGHTED", "Done", "Job", "Keeper", "Place", "Shelf", "Work"]

REGULAR, WEIGHTED = "regular", "weighted"
ALL_ROWS = -1
"""Stands for a fold where nothing is held out."""
SHARED = -2
"""Stands for all folds at once."""
SHARING = ("lightgbm", "xgboost")
"""Learners that can share bins over folds."""


class Job(NamedTuple):
    """One learner of one kind, fitted outside one fold (`ALL_ROWS`: on everything)."""

    learner: str
    kind: str
    fold: int

    @property
    def name(self) -> str:
        """A name for files."""
        return f"{self.learner}-{self.kind}-{'all' if self.fold == ALL_ROWS else f'fold{self.fold}'}"


Keeper: TypeAlias = Callable[[Job, Mapping[str, float]], Parts]
"""Gives where the single fits of a job are kept, under the settings that they have."""


class Place(NamedTuple):
    """Columns of one kind and fold; `shared` where they come from a matrix of all folds."""

    kind: str
    fold: int
    shared: bool


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
    settings, trials
        What a search found, and all that it tried; empty where there was none.
    """

    models: tuple[dict[str, MemberModel], ...]
    p: tuple[dict[str, FloatArray], ...]
    prepared: Prepared | RawColumns
    settings: Mapping[str, float] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()

    @property
    def search(self) -> dict[str, Any]:
        """Settings and trials, JSON-able."""
        return {"settings": dict(self.settings), "trials": [trial.to_dict() for trial in self.trials]}


@dataclass(frozen=True)
class Work:
    """What all jobs share.

    Attributes
    ----------
    design
        The labelled units of the training split, n of them; below them the same units once for each augmented view.
    target_weight
        Shape (n,): weights that simulate a target set.
    blocks
        Blocks of columns that members see.
    recipe
        How learners learn.
    components
        Most principal components a block.
    share_bins
        Whether trees see columns as they are and share bins over folds.
    search
        How settings are searched, inside each job; None for each learner's own.
    """

    design: Design
    target_weight: FloatArray
    blocks: tuple[str, ...]
    recipe: Recipe
    components: int
    share_bins: bool = False
    search: Search | None = None

    @property
    def views(self) -> int:
        """How often each unit stands in the design: once, and once for each augmented view."""
        return len(self.design) // len(self.target_weight)

    @property
    def clean(self) -> Design:
        """The units without augmented views."""
        return self.design.take(np.arange(len(self.target_weight)))

    def weight(self, kind: str) -> FloatArray:
        """Sample weights (rows of the design, targets): 0 where unlabelled; a unit's views share its weight."""
        weight = np.where(self.design.label >= 0, self.design.task_weight, 0.0) / self.views
        return weight * np.tile(self.target_weight, self.views)[:, None] if kind == WEIGHTED else weight

    def rows(self, job: Job) -> int:
        """Count the training rows of a job, of the target that has most."""
        there = (self.weight(job.kind) > 0) & (self.design.fold != job.fold)[:, None]
        return int(there.sum(axis=0).max())

    def place(self, job: Job) -> Place:
        """Say which columns a job sees."""
        return Place(job.kind, job.fold, self.share_bins and job.learner in SHARING)

    def whole(self, kind: str) -> tuple[RawColumns, Whole]:
        """Make the matrix that the folds of one kind share."""
        return make_whole(self.design, self.weight(kind))

    def columns(self, place: Place, whole: tuple[RawColumns, Whole] | None = None) -> Columns:
        """Prepare the columns of one fold on its training rows alone, or take them from `whole`."""
        rows, weight = self.design.fold != place.fold, self.weight(place.kind)
        if whole is not None:
            return share_columns(self.design, weight, rows, whole, self.recipe.seed)
        return prepare_columns(self.design.for_fold(place.fold), weight, rows, self.components, self.recipe.seed)

    def fit(self, job: Job, columns: Columns, parts: Keeper | None = None) -> Done:
        """Do a job with the columns of its kind and fold; `parts` keeps its single fits until it is done."""
        design, weight = self.design, self.weight(job.kind)
        targets = range(len(design.task.targets))
        rows = [columns.rows(design, target, weight[:, target]) for target in targets]
        recipe, trials = self.recipe, tuple[Trial, ...]()
        if self.search is not None:
            recipe, trials = tune(job.learner, rows, recipe, self.search, job.name)
        keeper = None if parts is None else parts(job, recipe.settings)
        models = fit_members(job.learner, rows, recipe, self.blocks, keeper)
        at = design.fold == job.fold
        held, order = columns.x[at], Order(design.sequence[at], design.position[at])
        p = tuple({b: self._averaged(model.predict_proba(held, order)) for b, model in own.items()} for own in models)
        return Done(tuple(models), p, columns.prepared, recipe.settings, trials)

    def _averaged(self, p: FloatArray) -> FloatArray:
        """Mean over the views of each held unit, which stand below one another."""
        return p if self.views == 1 else np.asarray(p.reshape(self.views, -1, p.shape[1]).mean(axis=0))


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
        self._left = Counter(work.place(job) for job in jobs)
        self._locks = {place: Lock() for place in self._left}
        self._whole_locks = {place.kind: Lock() for place in self._left}
        self._there: dict[Place, Columns] = {}
        self._wholes: dict[str, tuple[RawColumns, Whole]] = {}

    def fit(self, job: Job, parts: Keeper | None = None) -> Done:
        """Do a job; see `Work.fit`."""
        place = self._work.place(job)
        with self._locks[place]:
            if place not in self._there:
                self._there[place] = self._work.columns(place, self._whole(place))
            columns = self._there[place]
        try:
            return self._work.fit(job, columns, parts)
        finally:
            with self._locks[place]:
                self._left[place] -= 1
                if not self._left[place]:
                    del self._there[place]

    def _whole(self, place: Place) -> tuple[RawColumns, Whole] | None:
        """Give what all folds of a kind share; it stays to the end."""
        if not place.shared:
            return None
        with self._whole_locks[place.kind]:
            if place.kind not in self._wholes:
                self._wholes[place.kind] = self._work.whole(place.kind)
            return self._wholes[place.kind]
