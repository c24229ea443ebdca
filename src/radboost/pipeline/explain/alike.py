"""The training exams whose embeddings are most like a unit's, in the columns that its models read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from radboost.booster.design import Design
from radboost.booster.prepare import MISSING_BLOCK, Prepared
from radboost.booster.raw import RawColumns
from radboost.booster.run import Run
from radboost.data.cohort import TRAIN
from radboost.pipeline.explain.system import Asked, FloatArray

__all__ = ["Alike", "Trained"]

PAIRS = 4000
"""Of training units whose distance tells what is usual."""


@dataclass(frozen=True)
class Alike:
    """A training unit.

    Attributes
    ----------
    unit
        Hashed.
    label
        Its class of the target, empty where unlabelled.
    distance
        Euclidean, over that between two training units drawn at random (median): below 1 is nearer than usual.
    """

    unit: str
    label: str
    distance: float


@dataclass(frozen=True)
class Trained:
    """Units that a run learnt from.

    Attributes
    ----------
    run
        Whose prepared columns are the space.
    design
        The training cohort's units; those of other splits are left aside.
    """

    run: Run
    design: Design

    @cached_property
    def _rows(self) -> npt.NDArray[np.int64]:
        return np.flatnonzero((self.design.split == TRAIN) & (self.design.fold >= 0))

    @cached_property
    def _spaces(self) -> dict[int, tuple[Prepared | RawColumns, FloatArray, FloatArray, float]]:
        """By fold: what prepares columns, which columns and their scale, the training units' own, and what is usual."""
        found = {}
        cut = self.design.take(self._rows)
        random = np.random.default_rng(0)
        member, kind = self.run.members[0]
        for fold in self.run.folds:
            prepared = self.run.prepared[kind, self.run.place(member, fold)]
            columns = _columns(prepared)
            x = prepared.transform(cut)[:, columns].astype(np.float64)
            # Raw columns have every scale; prepared ones have blocks of variance 1.
            scale = np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0) if isinstance(prepared, RawColumns) else 1.0
            x = x / scale
            one, two = random.integers(0, len(x), (2, PAIRS))
            usual = float(np.median(np.linalg.norm(x[one] - x[two], axis=1)[one != two])) or 1.0
            found[fold] = prepared, np.broadcast_to(scale, (len(columns),)), x, usual
        return found

    def nearest(self, asked: Asked, design: Design, row: int, count: int) -> list[Alike]:
        """Find the nearest training units.

        A fold's models are held against the units that they learnt from, in that fold's own columns; over several
        folds distances are averaged. Units of the same patient are left out.

        Parameters
        ----------
        asked
            Whose folds and target count.
        design, row
            The unit.
        count
            How many.
        """
        folds: Sequence[int] = self.run.folds if asked.folds is None else asked.folds
        fold, group = self.design.fold[self._rows], self.design.group[self._rows]
        sums, counts = np.zeros(len(fold)), np.zeros(len(fold))
        for each in folds:
            prepared, scale, x, usual = self._spaces[each]
            own = prepared.transform(design.take(np.array([row])))[:, _columns(prepared)] / scale
            learnt = (fold != each) & (group != design.group[row])
            sums[learnt] += np.linalg.norm(x[learnt] - own, axis=1) / usual
            counts[learnt] += 1
        there = np.flatnonzero(counts)
        distance = sums[there] / counts[there]
        order = np.argsort(distance, kind="stable")[:count]
        names = [t.name for t in self.design.task.targets]
        column = names.index(asked.question.target)
        classes = self.design.task.targets[column].classes
        found = []
        for k in order.tolist():
            at = int(self._rows[there[k]])
            label = int(self.design.label[at, column])
            found.append(Alike(str(self.design.unit[at]), classes[label] if label >= 0 else "", float(distance[k])))
        return found


def _columns(prepared: Prepared | RawColumns) -> npt.NDArray[np.int64]:
    """Columns that come from embeddings."""
    spans = [s for s in prepared.spans if s.image and s.name != MISSING_BLOCK]
    return np.concatenate([np.arange(s.start, s.stop) for s in spans]) if spans else np.empty(0, dtype=np.int64)
