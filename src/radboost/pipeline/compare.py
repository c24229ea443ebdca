"""Two runs or blends on the same units: which is the better, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radboost.data.predictions import Block, Predictions, member_name
from radboost.errors import MismatchError, UserError, offenders
from radboost.metrics import (
    Bootstrap,
    Difference,
    Metric,
    Scored,
    auc,
    clustered_difference,
    clustered_interval,
    log_loss,
    pf1,
)
from radboost.pipeline.blending import Blend
from radboost.pipeline.sources import open_source

__all__ = ["Compared", "Side", "compare"]

Measured = tuple[float, float, float]


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes
    ----------
    name
        Folder and member, as they are shown.
    predictions
        Of that member only.
    """

    name: str
    predictions: Predictions

    @classmethod
    def open(cls, what: str) -> Side:
        """Read ``FOLDER`` (a blend, a training, or a run of one member) or ``FOLDER:MEMBER``.

        Raises
        ------
        UserError
            It is no run, training or blend, or the member is unknown or must be named.
        """
        folder, colon, member = what.rpartition(":")
        if not colon or Path(what).exists():
            folder, member = what, ""
        path = Path(folder)
        is_blend = (path / "blend.json").is_file()
        found = Blend.load(path).predictions if is_blend else open_source(path).predictions
        members = found.table[["member", "kind"]].drop_duplicates().itertuples(index=False, name=None)
        names = {member_name(name, kind): (name, kind) for name, kind in members}
        if not member and len(names) > 1:
            do = f"Write {folder}:MEMBER, for example {folder}:{next(iter(names))}"
            raise UserError("has several members", where=folder, got=offenders(list(names)), do=do)
        chosen = names.get(member) if member else next(iter(names.values()))
        if chosen is None:
            raise UserError("has no such member", where=folder, got=member, do=f"It has {', '.join(names)}")
        table = found.table
        rows = table[(table["member"] == chosen[0]) & (table["kind"] == chosen[1])]
        return cls(what, Predictions(rows))


@dataclass(frozen=True)
class Compared:
    """One target under one metric.

    Attributes
    ----------
    target, metric
        What was compared: ``log loss``, ``log loss, target weights``, ``AUC`` or ``pF1``.
    first, second
        Value and 95 % interval of each.
    difference
        First minus second, paired by unit, drawn by group; `below` is the share of replicates in which it is negative.
    lower_is_better
        Whether a smaller value is the better one.
    units, groups
        Labelled units that both predicted, and their groups.
    left_out
        Units that only one of the two predicted.
    """

    target: str
    metric: str
    first: Measured
    second: Measured
    difference: Difference
    lower_is_better: bool
    units: int
    groups: int
    left_out: int

    @property
    def win(self) -> float:
        """Share of replicates in which the first is the better."""
        return self.difference.below if self.lower_is_better else 1 - self.difference.below


def compare(first: Side, second: Side, how: Bootstrap | None = None) -> list[Compared]:
    """Compare two on the units that both predicted.

    Parameters
    ----------
    first, second
        Out-of-fold predictions, or a blend's cross-fitted ones.
    how
        How intervals are drawn; the same patients for both sides.

    Returns
    -------
    list
        By target: log loss; log loss under the target's weights where the first has them; of a binary target AUC and
        pF1 too.

    Raises
    ------
    MismatchError
        They share no labelled unit or no target, or disagree about labels.
    """
    how = how or Bootstrap()
    other = {block.target: block for block in second.predictions.blocks()}
    found = []
    for block in first.predictions.blocks():
        if block.target in other:
            found += list(_target(block, other[block.target], how))
    if not found:
        do = "Compare results of one cohort, or of cohorts that share a key"
        raise MismatchError("the two share no labelled unit", where=f"{first.name} and {second.name}", do=do)
    return found


def _target(a: Block, b: Block, how: Bootstrap) -> Iterator[Compared]:
    _, left, right = np.intersect1d(a.unit, b.unit, return_indices=True)
    only = len(a) + len(b) - 2 * len(left)
    a, b = a.take(left), b.take(right)
    if a.classes != b.classes or (a.label != b.label).any():
        got = "other classes" if a.classes != b.classes else f"{int((a.label != b.label).sum())} units"
        raise MismatchError(f"the two disagree about the labels of {a.target}", got=got)
    seen = (a.label >= 0) & ~np.isnan(a.p[:, 0]).any(axis=1) & ~np.isnan(b.p[:, 0]).any(axis=1)
    a, b = a.take(seen), b.take(seen)
    if not len(a):
        return
    binary = len(a.classes) == 2
    p, q = (block.p[:, 0, 1] if binary else block.p[:, 0] for block in (a, b))
    metrics: list[tuple[str, Metric, np.ndarray]] = [("log loss", log_loss, a.task_weight)]
    if (a.target_weight != 1).any():
        metrics.append(("log loss, target weights", log_loss, a.task_weight * a.target_weight))
    if binary:
        metrics += [("AUC", auc, a.task_weight), ("pF1", pf1, a.task_weight)]
    for name, metric, weight in metrics:
        rows, rival = (Scored(a.label, values, weight, a.group) for values in (p, q))
        yield Compared(
            target=a.target,
            metric=name,
            first=(metric(rows.y, rows.p, rows.weight), *clustered_interval(metric, rows, how)),
            second=(metric(rival.y, rival.p, rival.weight), *clustered_interval(metric, rival, how)),
            difference=clustered_difference(metric, rows, rival.p, how),
            lower_is_better=metric is log_loss,
            units=len(rows.y),
            groups=len(np.unique(rows.group)),
            left_out=only,
        )
