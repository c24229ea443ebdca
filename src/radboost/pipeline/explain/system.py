"""A run or a blend as one function: from units' features to a probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.booster.design import Design
from radboost.booster.learner import IN_ORDER
from radboost.booster.run import Run
from radboost.data.predictions import member_name
from radboost.data.task import Task
from radboost.errors import UserError
from radboost.pipeline.blending import Blend
from radboost.pipeline.sources import groups_seen, is_training

__all__ = ["Asked", "Question", "System", "log_odds"]

FloatArray: TypeAlias = npt.NDArray[np.float64]

EDGE = 1e-12
"""Probabilities are kept this far from 0 and 1 before their log odds are taken."""


@dataclass(frozen=True)
class Question:
    """Whose probability is explained.

    Attributes
    ----------
    target
        Name of a target.
    number
        Number of one of its classes.
    label
        Name of that class.
    """

    target: str
    number: int
    label: str

    @classmethod
    def of(cls, task: Task, target: str | None = None, label: str | None = None) -> Question:
        """Choose; the first target and its last class where nothing is said. Raises UserError for unknown names."""
        names = [t.name for t in task.targets]
        if target is not None and target not in names:
            raise UserError("there is no such target", where="--target", got=target, do=f"Known: {', '.join(names)}")
        classes = task.target(target or names[0]).classes
        if label is not None and label not in classes:
            raise UserError("there is no such class", where="--class", got=label, do=f"Known: {', '.join(classes)}")
        label = label or classes[-1]
        return cls(target or names[0], classes.index(label), label)


@dataclass(frozen=True)
class System:
    """What predicts: a blend, or the regular members of a run in equal parts.

    Attributes
    ----------
    folder
        Where it lies.
    task
        Its task.
    runs
        Prefix of the members' names, and the run.
    blend
        None for a run.
    """

    folder: Path
    task: Task
    runs: tuple[tuple[str, Run], ...]
    blend: Blend | None = None

    @classmethod
    def load(cls, folder: Path) -> System:
        """Read a blend or a run.

        Raises
        ------
        UserError
            The folder is neither, or a blend of outside predictions, which holds no models.
        """
        if (folder / "run.json").is_file():
            run = Run.load(folder)
            return cls(folder, run.task, (("", run),))
        if is_training(folder):
            raise _no_training("is a training", folder)
        blend = Blend.load(folder)
        runs = [(prefix, source) for prefix, source in blend.runs if isinstance(source, Run)]
        if len(runs) < len(blend.runs):
            raise _no_training("has a training as a member", folder)
        return cls(folder, blend.task, tuple(runs), blend)

    @property
    def kind(self) -> str:
        """``blend`` or ``run``."""
        return "run" if self.blend is None else "blend"

    @property
    def key_id(self) -> str:
        """Of the cohort that it learnt from."""
        return str(self.runs[0][1].content["inputs"]["key_id"])

    @property
    def fold_hash(self) -> str:
        """Hash of the folds that it was made under."""
        return self.runs[0][1].fold_hash if self.blend is None else str(self.blend.header["fold_hash"])

    @cached_property
    def groups(self) -> frozenset[str]:
        """Hashed groups that it, or the networks behind its features, learnt from."""
        if self.blend is not None:
            return self.blend.learnt
        ((_, run),) = self.runs
        return frozenset(run.predictions.table["group"].astype(str)) | groups_seen(run)

    @cached_property
    def stores(self) -> list[dict[str, Any]]:
        """How each store's embeddings are made, as `Run.stores` has it, once a store."""
        found: dict[str, dict[str, Any]] = {}
        for _, run in self.runs:
            for store in run.stores:
                found.setdefault(store["fingerprint_hash"], store)
        return list(found.values())

    @cached_property
    def folds(self) -> tuple[int, ...]:
        """Outer folds, the same in every run."""
        return tuple(self.runs[0][1].folds)

    @property
    def views(self) -> int:
        """Augmented views that a prediction averages over, at most."""
        return max(run.views for _, run in self.runs)

    def weights(self, target: str) -> dict[str, float]:
        """Weight of each member that has one, by the name that the blend gives it."""
        if self.blend is not None:
            return {name: w for name, w in self.blend.weights[target].items() if w > 0}
        ((_, run),) = self.runs
        regular = [member_name(*m) for m in run.members if m[1] == "regular"]
        return dict.fromkeys(regular, 1 / len(regular))

    def mixing(self, target: str) -> tuple[dict[str, float], str, FloatArray]:
        """Give the weights of a target, the space that members are mixed in, and the intercepts of its classes."""
        weights = self.weights(target)
        if self.blend is None:
            return weights, "prob", np.empty(0)
        (header,) = [t for t in self.blend.header["targets"] if t["target"] == target]
        return weights, str(header["space"]), np.asarray(header["intercepts"], dtype=np.float64)

    def carrying(self, prefix: str, run: Run, target: str | None = None) -> list[tuple[str, str]]:
        """Members (name, kind) of a run that carry weight, for one target or for any."""
        names = [t.name for t in self.task.targets] if target is None else [target]
        carrying = {member for name in names for member in self.weights(name)}
        return [m for m in run.members if prefix + member_name(*m) in carrying]

    def threshold(self, question: Question) -> float:
        """Probability from which on a unit is positive: the blend's own, chosen out of fold; else the class's rate."""
        found = None if self.blend is None else self.blend.thresholds[question.target]
        if found is not None and self.task.target(question.target).binary:
            return float(found)
        source = self.runs[0][1] if self.blend is None else self.blend
        (block,) = [b for b in source.predictions.blocks() if b.target == question.target]
        known = block.label >= 0
        return float(np.average(block.label[known] == question.number, weights=block.task_weight[known]))

    @property
    def in_order(self) -> bool:
        """Whether a member judges a unit with its neighbours in the series in sight."""
        return any(m.partition("/")[0] in IN_ORDER for prefix, run in self.runs for m, _ in self.carrying(prefix, run))

    def predict(self, design: Design, folds: Sequence[int] | None = None) -> dict[str, FloatArray]:
        """Predict units.

        Parameters
        ----------
        design
            Of a cohort with the same task and stores.
        folds
            Only by the models of these outer folds; None for the mean over all, as for units that were never seen.

        Returns
        -------
        dict
            By target: probabilities (units, classes).
        """
        members: dict[str, dict[str, FloatArray]] = {t.name: {} for t in self.task.targets}
        for prefix, run in self.runs:
            for member, by_target in run.predict(design, self.carrying(prefix, run), folds=folds).items():
                for target, values in by_target.items():
                    members[target][prefix + member_name(*member)] = values
        if self.blend is not None:
            return self.blend.apply(members, len(design))
        return {target: np.mean(list(own.values()), axis=0) for target, own in members.items()}


@dataclass(frozen=True)
class Asked:
    """Which number is explained.

    Attributes
    ----------
    system, question
        What predicts, and the probability that is asked for.
    folds
        See `System.predict`: a unit that was learnt from is explained by the models that did not see it.
    """

    system: System
    question: Question
    folds: tuple[int, ...] | None = None

    def probability(self, design: Design) -> FloatArray:
        """Probability of the class that is asked about, (units,)."""
        return self.system.predict(design, self.folds)[self.question.target][:, self.question.number]


def _no_training(what: str, folder: Path) -> UserError:
    do = "Make a run of its embeddings (extract --training, fit-boost), and explain that or a blend of it"
    return UserError(f"{what}, whose networks' own heads are not explained", where=folder, do=do)


def log_odds(p: npt.ArrayLike) -> FloatArray:
    """Natural log odds of probabilities, finite also at 0 and 1."""
    clipped = np.clip(np.asarray(p, dtype=np.float64), EDGE, 1 - EDGE)
    return np.asarray(np.log(clipped / (1 - clipped)))
