"""What a report is about: the predictions of one member or blend, target by target."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from radboost.data.predictions import Block, Predictions, member_name
from radboost.data.task import Task
from radboost.errors import UserError, offenders
from radboost.metrics import Bootstrap, Scored, log_loss
from radboost.pipeline.blending import Blend
from radboost.pipeline.outside import OutsideConfig, read_outside
from radboost.pipeline.sources import is_training, open_source

__all__ = ["Question", "Settings", "Subject", "answered", "open_subject", "questions"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """What a report shows.

    Attributes
    ----------
    how
        The bootstrap.
    specificity, recall_rate
        Operating points: least specificity, and largest share of units that are called.
    hardest
        Units listed on either side.
    """

    how: Bootstrap = field(default_factory=Bootstrap)
    specificity: float = 0.9
    recall_rate: float = 0.1
    hardest: int = 10

    def __post_init__(self) -> None:
        for option, value in (("--specificity", self.specificity), ("--recall-rate", self.recall_rate)):
            if not 0 < value < 1:
                raise UserError("lies between 0 and 1", where=option, got=value)


@dataclass(frozen=True)
class Subject:
    """Predictions to be judged, and what is known of how they came about.

    Attributes
    ----------
    name
        As the page calls it: the folder's or file's own name, and the member.
    predictions
        Of one member only.
    members
        Of all members, a block a target; of a blend those that it was made of. None where they are not known.
    header
        Of the blend, run or training; empty for a file.
    task
        None where it is not known.
    folder
        Where it lies; None for a file.
    notes
        What the reader should know.
    """

    name: str
    predictions: Predictions
    members: tuple[Block, ...]
    header: Mapping[str, Any]
    task: Task | None
    folder: Path | None
    notes: tuple[str, ...] = ()

    def classes(self, block: Block) -> tuple[str, ...]:
        """Names of a target's classes, in the order of its probabilities."""
        if self.task is not None and block.target in [target.name for target in self.task.targets]:
            names = self.task.target(block.target).classes
            if len(names) == len(block.classes):
                return names
        told = self.header.get("classes", {}).get(block.target, ())
        return tuple(told) if len(told) == len(block.classes) else tuple(str(k) for k in block.classes)


@dataclass(frozen=True)
class Question:
    """One class against the rest, over the units that answer it: labelled, predicted, of positive weight.

    Attributes
    ----------
    target, positive
        Names of the target and of the class.
    rows
        Labels 0 or 1, probabilities, task weights and groups (n,).
    unit, fold, target_weight
        Aligned with them.
    """

    target: str
    positive: str
    rows: Scored
    unit: npt.NDArray[np.str_]
    fold: npt.NDArray[np.int64]
    target_weight: FloatArray

    def __len__(self) -> int:
        return len(self.unit)

    @property
    def groups(self) -> int:
        """Groups among its rows."""
        return len(np.unique(self.rows.group))

    @property
    def positives(self) -> int:
        """Rows of class 1."""
        return int((self.rows.y == 1).sum())

    @property
    def rate(self) -> float:
        """Weighted share of class 1; ``nan`` without a row."""
        return float(self.rows.weight @ (self.rows.y == 1) / self.rows.weight.sum()) if len(self) else math.nan

    def take(self, mask: npt.NDArray[np.bool_]) -> Question:
        """Cut every field alike."""
        rows = Scored(self.rows.y[mask], self.rows.p[mask], self.rows.weight[mask], self.rows.group[mask])
        return Question(self.target, self.positive, rows, self.unit[mask], self.fold[mask], self.target_weight[mask])


def answered(block: Block) -> Block:
    """Rows of a block of one member that are labelled, predicted and of positive task weight."""
    known = (block.label >= 0) & ~np.isnan(block.p[:, 0]).any(axis=1) & (block.task_weight > 0)
    return block.take(known)


def questions(block: Block, classes: tuple[str, ...]) -> list[Question]:
    """Ask of a binary target whether it is there, and of several classes each against the rest."""
    known = answered(block)
    asked = [1] if len(classes) == 2 else list(range(len(classes)))
    return [
        Question(
            known.target,
            known.target if len(classes) == 2 else classes[k],
            Scored((known.label == k).astype(np.int64), known.p[:, 0, k], known.task_weight, known.group),
            known.unit,
            known.fold,
            known.target_weight,
        )
        for k in asked
    ]


def open_subject(what: str, task: Task | None = None, labels: OutsideConfig | None = None) -> Subject:
    """Read ``FOLDER`` (blend, run or training), ``FOLDER:MEMBER``, or a file of predictions.

    Of a run with several members that names none, the one of least log loss over all targets is taken, and the page
    says so.

    Parameters
    ----------
    what
        As above. A file is a predictions.parquet as `predict` writes it, or with `labels` any table.
    task
        Names the classes of a file.
    labels
        Where the labels of a table made elsewhere are, see `radboost.pipeline.outside.read_outside`.

    Raises
    ------
    UserError
        It is none of these, or has no such member.
    """
    if Path(what).is_file() and labels is not None:
        outside = read_outside([Path(what)], labels)
        classes = {name: list(own) if len(own) > 1 else ["", *own] for name, own in outside.classes.items()}
        return _chosen(Path(what).name, "", outside.predictions, ({"classes": classes}, labels.task or task, None))
    if Path(what).is_file():
        return _chosen(Path(what).name, "", Predictions.read(Path(what)), ({}, task, None))
    if not Path(what).exists() and Path(what).suffix in (".parquet", ".csv", ".tsv"):
        do = "`radboost predict` writes a table of predictions only where units are labelled"
        raise UserError("there is no such file", where=what, do=do)
    folder, colon, member = what.rpartition(":")
    if not colon or Path(what).exists():
        folder, member = what, ""
    path = Path(folder)
    name = path.resolve().name
    if (path / "blend.json").is_file():
        blend = Blend.load(path)
        own = task if blend.header["task"] is None else blend.task
        found = _chosen(name, member, blend.predictions, (blend.header, own, path))
        return replace(found, members=tuple(blend.members()))
    source = open_source(path)
    header = {**source.content, "kind": "training" if is_training(path) else "run"}
    return _chosen(name, member, source.predictions, (header, source.task, path))


def _chosen(
    name: str, member: str, found: Predictions, rest: tuple[Mapping[str, Any], Task | None, Path | None]
) -> Subject:
    pairs = found.table[["member", "kind"]].drop_duplicates().itertuples(index=False, name=None)
    known = {member_name(str(m), str(k)): (str(m), str(k)) for m, k in pairs}
    if not known:
        raise UserError("hold no predictions", where=name)
    if member and member not in known:
        raise UserError("has no such member", where=name, got=member, do=f"It has {offenders(list(known))}")
    notes: tuple[str, ...] = ()
    if not member and len(known) > 1:
        member = _least_loss(found)
        notes = (
            f"Of {len(known)} members the one of least log loss is shown. It was chosen on the units that it is "
            "judged on, which makes its numbers a little too good.",
        )
    pick = known[member] if member else next(iter(known.values()))
    table = found.table
    one = Predictions(table[(table["member"] == pick[0]) & (table["kind"] == pick[1])])
    members = tuple(found.blocks()) if len(known) > 1 else ()
    return Subject(f"{name}:{member}" if member else name, one, members, *rest, notes)


def _least_loss(found: Predictions) -> str:
    """Name the member of least log loss, summed over targets; regular members only, where there are any."""
    losses: dict[str, float] = {}
    for block in found.blocks():
        for place, (member, kind) in enumerate(block.members):
            one = block.p[:, place]
            known = (block.label >= 0) & ~np.isnan(one).any(axis=1)
            p = one[known, 1] if len(block.classes) == 2 else one[known]
            name = member_name(member, kind)
            loss = log_loss(block.label[known], p, block.task_weight[known])
            losses[name] = losses.get(name, 0.0) + loss * float(block.task_weight[known].sum())
    regular = {name: loss for name, loss in losses.items() if not name.endswith(" (weighted)")}
    return min(regular or losses, key=lambda name: losses[name])
