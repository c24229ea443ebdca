"""What stage two learns from: blocks of embeddings and metadata, aligned by unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.booster.design.gather import Gathered, Stacked
from radboost.booster.rows import FloatArray, IntArray, Matrix
from radboost.data.task import Task

__all__ = ["Design", "ImageBlock", "Store"]


class Store(Protocol):
    """What stage two asks of an embedding store."""

    @property
    def fingerprint_hash(self) -> str:
        """Sha256 of how its embeddings were made."""

    @property
    def pools(self) -> Sequence[str]:
        """Names of the poolings it holds."""

    def width(self, pool: str) -> int:
        """Columns of a pooling."""

    def rows_of(self, crop_ids: Sequence[str], view: int = 0) -> npt.NDArray[np.int64]:
        """Row of each crop in one view, -1 where it is absent; view 0 is the clean one."""

    def read(self, pool: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.floating[Any]]:
        """Embeddings of the rows, (rows, width)."""


@dataclass(frozen=True)
class ImageBlock:
    """Embeddings of one store, pooling and statistic.

    Attributes
    ----------
    name
        ``<start of the store's fingerprint>/<pool>/own``; with ``difference`` for own side minus the opposite one,
        ``neighbours`` for the mean of the neighbours in the series, and ``neighbour-difference`` for own minus that.
        Another statistic over a slot's crops than the mean stands before it: ``.../crop-max/own``.
    parts
        Slots, side by side.
    width
        Columns of one slot.
    x
        Shape (units, parts x width), an array or made on demand; zeros where a part is absent.
    present
        Shape (units, parts): whether the unit has a crop there (for differences: on both sides).
    network
        The outer fold whose network made them, which models of that fold alone may see; None for a network that was
        trained on none of these patients.
    """

    name: str
    parts: tuple[str, ...]
    width: int
    x: Matrix | Gathered | Stacked
    present: npt.NDArray[np.bool_]
    network: int | None = None

    def take(self, rows: npt.NDArray[np.generic]) -> ImageBlock:
        """Cut to `rows` (positions or a mask); what is made on demand is not copied."""
        x = self.x.take(rows) if isinstance(self.x, Gathered | Stacked) else self.x[rows]
        return replace(self, x=x, present=self.present[rows])

    @property
    def columns(self) -> int:
        """Number of columns."""
        return len(self.parts) * self.width


@dataclass(frozen=True)
class Design:
    """Units by blocks, with what is to be learnt. Every aligned field is cut as a whole by `take`.

    Attributes
    ----------
    task
        The cohort's task.
    unit, group
        Shape (n,): hashed names.
    fold, split
        Shape (n,): outer fold (-1 for none) and split.
    sequence, position
        Shape (n,): number of the series that the unit's one crop belongs to, and the unit's rank in the whole of it,
        from 0; both -1 where units have no such order. See `radboost.booster.design.order.unit_order`.
    label
        Shape (n, targets): class number, -1 where unlabelled.
    task_weight
        Shape (n, targets), not negative.
    blocks
        Embeddings, units in the same order.
    metadata
        One row a unit, not encoded yet: the task's numeric and categorical columns, then ``count.<slot>``,
        ``header.<name>`` and ``relative.<column>``. Numbers are floats, categories text; an unknown cell is NaN or
        `MISSING`.
    fold_hash, cohort
        Hash of the fold assignment, and fingerprint of the cohort.
    """

    task: Task
    unit: npt.NDArray[np.str_]
    group: npt.NDArray[np.str_]
    fold: IntArray
    split: npt.NDArray[np.str_]
    sequence: IntArray
    position: IntArray
    label: IntArray
    task_weight: FloatArray
    blocks: tuple[ImageBlock, ...]
    metadata: pd.DataFrame
    fold_hash: str
    cohort: str

    def __len__(self) -> int:
        return len(self.unit)

    def take(self, rows: npt.NDArray[np.generic]) -> Design:
        """Cut every aligned field to `rows` (positions or a mask)."""
        cut = {name: getattr(self, name)[rows] for name in _ALIGNED}
        blocks = tuple(block.take(rows) for block in self.blocks)
        return replace(self, blocks=blocks, metadata=self.metadata.iloc[_positions(rows)], **cut)

    @property
    def part(self) -> npt.NDArray[np.str_] | None:
        """Part of the task's metric that each unit belongs to, (n,); None where the metric has no parts."""
        named = self.task.parts
        return None if named is None else self.metadata[named.column].to_numpy(str)

    @property
    def networks(self) -> frozenset[int]:
        """Outer folds whose networks made some of the blocks; empty where all blocks are for all folds."""
        return frozenset(block.network for block in self.blocks if block.network is not None)

    def for_fold(self, fold: int) -> Design:
        """Leave out the embeddings of other folds' networks: their columns mean something else."""
        return replace(self, blocks=tuple(b for b in self.blocks if b.network in (None, fold)))


_ALIGNED = ("unit", "group", "fold", "split", "sequence", "position", "label", "task_weight")


def _positions(rows: npt.NDArray[np.generic]) -> IntArray:
    return np.flatnonzero(rows) if rows.dtype == bool else np.asarray(rows, dtype=np.int64)
