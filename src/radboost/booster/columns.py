"""The columns that learners see: prepared once an outer fold, and once more for each inner split inside it.

An inner split chooses settings and stops training by its validation rows. Were scaling and components fitted on these
rows too, every inner score would be a little too good, and most of all for blocks with more columns than patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.booster.design import Design
from radboost.booster.prepare import COMPONENTS, Prepared
from radboost.booster.raw import RawColumns
from radboost.booster.rows import FloatArray, Inner, Matrix, Rows, Span, Whole, deal_inner
from radboost.errors import UserError

__all__ = ["Columns", "make_whole", "prepare_columns", "share_columns"]


@dataclass(frozen=True)
class Columns:
    """What all targets, learners and settings of one outer fold share.

    Attributes
    ----------
    prepared
        Fitted on all training rows: it stays with the model. Raw where bins are shared over folds.
    x
        Shape (n, d): every unit's columns by `prepared`.
    spans
        Blocks of these columns.
    train
        Positions (t,) of the training rows: outside the fold, with a weight.
    inner
        Inner folds of the training rows, each with columns (t, d) of its own, in the same blocks.
    common
        Shape (t,): mean weight of each training row over the targets.
    whole
        What all folds share, where nothing was fitted; its matrix is `x`.
    """

    prepared: Prepared | RawColumns
    x: Matrix
    spans: tuple[Span, ...]
    train: npt.NDArray[np.int64]
    inner: Inner
    common: FloatArray
    whole: Whole | None = None
    _cut: dict[bytes, tuple[Matrix, Inner, dict[Any, Any]]] = field(default_factory=dict, repr=False, compare=False)

    def rows(self, design: Design, target: int, weight: FloatArray) -> tuple[Rows, Inner]:
        """Give the training rows of one target and their inner folds.

        Parameters
        ----------
        design
            All units.
        target
            Number of the target.
        weight
            Shape (n,): weight of each unit for it; those of weight 0 are left out.

        Raises
        ------
        UserError
            So few patients have this label that no inner split can be judged.
        """
        kept = weight[self.train] > 0
        at = self.train[kept]
        # Numbers in the order of the units: hashed names come from a random key, on which nothing may depend.
        group = pd.factorize(design.group[at])[0]
        classes = len(design.task.targets[target].classes)
        x, inner, memo = self._matrices(kept)
        if not inner.numbers:
            do = "Give more patients with this label, or leave the target out"
            name = design.task.targets[target].name
            raise UserError("too few patients are labelled to choose settings on", where=name, got=len(at), do=do)
        order: dict[str, Any] = {"sequence": design.sequence[at], "position": design.position[at]}
        shared = {"whole": self.whole, "at": at} if self.whole is not None else {}
        base = design.task_weight[at, target]
        if (base != weight[at]).any():
            order["base"] = base
        fixed: Any = {"spans": self.spans, "common": self.common[kept], "memo": memo, **order, **shared}
        return Rows(x, design.label[at, target], weight[at], group, classes, **fixed), inner

    def _matrices(self, kept: npt.NDArray[np.bool_]) -> tuple[Matrix, Inner, dict[Any, Any]]:
        """Give the very same objects to all targets with the same labelled rows, so that learners can share work."""
        key = kept.tobytes()
        if key not in self._cut:
            self._cut[key] = self.x[self.train[kept]], self.inner.take(kept), {}
        return self._cut[key]


def prepare_columns(
    design: Design,
    weight: FloatArray,
    rows: npt.NDArray[np.bool_],
    components: int = COMPONENTS,
    seed: int = 0,
) -> Columns:
    """Prepare one outer fold.

    Parameters
    ----------
    design
        All units.
    weight
        Shape (n, targets), 0 where unlabelled.
    rows
        Shape (n,): mask of the units outside the fold.
    components
        Most principal components a block.
    seed
        Of the inner folds.

    Raises
    ------
    UserError
        The training rows of a target belong to one group.
    """
    mean, train, inner = _deal(design, weight, rows, seed)
    prepared = Prepared.fit(design, mean, components)
    matrices = []
    for number in range(inner.splits):
        seen = np.zeros(len(design))
        seen[train[inner.fold != number]] = mean[train[inner.fold != number]]
        own = Prepared.fit(design, seen, components)
        matrices.append(_aligned(own.transform(design)[train], own.features, prepared.features))
    x = prepared.transform(design)
    return Columns(prepared, x, prepared.spans, train, replace(inner, x=tuple(matrices)), mean[train])


def share_columns(
    design: Design, weight: FloatArray, rows: npt.NDArray[np.bool_], raw: tuple[RawColumns, Whole], seed: int = 0
) -> Columns:
    """Give one outer fold its rows of a matrix that all folds share; see `prepare_columns`."""
    mean, train, inner = _deal(design, weight, rows, seed)
    prepared, whole = raw
    return Columns(prepared, whole.x, whole.spans, train, inner, mean[train], whole)


def make_whole(design: Design, weight: FloatArray) -> tuple[RawColumns, Whole]:
    """Make the matrix that all folds share; `weight` (n, targets) as in `prepare_columns`."""
    mean = weight.mean(axis=1)
    raw = RawColumns.fit(design, mean)
    return raw, Whole(raw.transform(design), raw.spans, mean)


def _deal(
    design: Design, weight: FloatArray, rows: npt.NDArray[np.bool_], seed: int
) -> tuple[FloatArray, npt.NDArray[np.int64], Inner]:
    """Mean weight of each unit, 0 outside `rows`; training rows; their inner folds."""
    # One matrix serves all targets, so a unit counts with its mean weight over them.
    mean = np.where(rows, weight.mean(axis=1), 0.0)
    train = np.flatnonzero(mean > 0)
    targets = [
        (design.label[train, i], weight[train, i], len(target.classes)) for i, target in enumerate(design.task.targets)
    ]
    return mean, train, deal_inner(pd.factorize(design.group[train])[0], targets, seed)


def _aligned(x: Matrix, names: Sequence[str], wanted: Sequence[str]) -> Matrix:
    """Columns in the outer fold's order; 0 for those that inner training rows do not tell, such as a rare category."""
    place = {name: i for i, name in enumerate(names)}
    there = [i for i, name in enumerate(wanted) if name in place]
    out = np.zeros((len(x), len(wanted)), dtype=np.float32)
    out[:, there] = x[:, [place[wanted[i]] for i in there]]
    return out
