"""What a learner is given: aligned rows, their blocks of columns, and inner folds to choose settings on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.data.folds import deal
from radboost.errors import UserError

__all__ = [
    "FloatArray",
    "Inner",
    "IntArray",
    "Matrix",
    "Order",
    "Rows",
    "Span",
    "Whole",
    "cut_spans",
    "deal_inner",
    "make_inner",
]

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
Matrix: TypeAlias = npt.NDArray[np.float32]

INNER_FOLDS = 5
MANY_GROUPS = 1500
"""From this many training groups on, one inner fold judges settings well enough, at a fifth of the work."""

RATE_FLOOR = 1e-6
"""Smallest base rate of a class; one that training rows lack may still occur among the rows to predict."""


@dataclass(frozen=True)
class Span:
    """A block of columns that belong together: ``x[:, start:stop]``.

    Attributes
    ----------
    name
        Name of the block.
    start, stop
        Its columns.
    image
        Whether it was made from embeddings; otherwise it is metadata.
    """

    name: str
    start: int
    stop: int
    image: bool


def cut_spans(spans: Sequence[Span], names: Sequence[str]) -> tuple[tuple[Span, ...], IntArray]:
    """Keep the named blocks: gives them where they stand then, and the positions of their columns."""
    kept = [s for s in spans if s.name in names]
    out, at = [], 0
    for span in kept:
        out.append(replace(span, start=at, stop=at + span.stop - span.start))
        at = out[-1].stop
    places = [np.arange(s.start, s.stop, dtype=np.int64) for s in kept]
    return tuple(out), np.concatenate(places) if places else np.empty(0, dtype=np.int64)


class Order(NamedTuple):
    """Where units stand in series; -1 for none.

    Attributes
    ----------
    sequence
        Shape (n,): number of the series.
    position
        Shape (n,): rank in it.
    """

    sequence: IntArray
    position: IntArray


@dataclass(frozen=True, eq=False)
class Whole:
    """All rows of a run as one matrix, from which trees derive their bins once for all folds.

    Attributes
    ----------
    x
        Shape (n, d).
    spans
        Blocks of the columns.
    common
        Shape (n,): mean weight over the targets; rows of weight 0 shape no bin.
    memo
        What a library has derived from `x`.
    lock
        Held by whoever uses what cannot be used twice at a time.
    """

    x: Matrix
    spans: tuple[Span, ...]
    common: FloatArray
    memo: dict[Any, Any] = field(default_factory=dict, repr=False)
    lock: Any = field(default_factory=RLock, repr=False)

    def only(self, names: Sequence[str]) -> Whole:
        """Keep the columns of the named blocks; the same object for the same names."""
        with self.lock:
            found = self.memo.get(("blocks", *names))
            if not isinstance(found, Whole):
                spans, columns = cut_spans(self.spans, names)
                x = self.x if len(columns) == self.x.shape[1] else self.x[:, columns]
                found = self.memo["blocks", *names] = Whole(x, spans, self.common)
            return found


_OPTIONAL = ("sequence", "position", "common", "base", "at")
"""Aligned fields of `Rows` that may be absent."""


@dataclass(frozen=True)
class Rows:
    """Training rows of one target, aligned by position and cut as a whole. None has weight 0.

    Attributes
    ----------
    x
        Shape (n, d): prepared columns, finite.
    y
        Shape (n,): class number in ``0..classes - 1``.
    weight
        Shape (n,), positive. Weight 2 means the row twice.
    group
        Shape (n,): the patient, never split between training and validation.
    classes
        Number of classes of the target, of which the rows may lack some.
    spans
        Blocks of columns, in order and without gaps.
    sequence, position
        Shape (n,): series that the row's unit belongs to and its rank there, -1 for none. None is none for all.
    common
        Shape (n,): mean weight over the targets. What is derived from `x` for all targets at once, such as bins, goes
        by it. None for `weight`.
    base
        Shape (n,): the weight without that part which simulates a target set. None where there is no such part.
    memo
        What learners have derived from `x` for all targets, seeds and settings; rows with the same `x` share it.
    whole, at
        A matrix that holds these rows at positions `at` (n,), for learners that derive from it once for all folds; None
        where columns were fitted and so are each fold's own.
    """

    x: Matrix
    y: IntArray
    weight: FloatArray
    group: npt.NDArray[np.generic]
    classes: int
    spans: tuple[Span, ...]
    sequence: IntArray | None = None
    position: IntArray | None = None
    common: FloatArray | None = None
    base: FloatArray | None = None
    memo: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    whole: Whole | None = None
    at: IntArray | None = None

    def __post_init__(self) -> None:
        aligned = [getattr(self, n) for n in ("x", "y", "weight", "group", *_OPTIONAL)]
        lengths = {len(a) for a in aligned if a is not None}
        if len(lengths) != 1:
            raise UserError("rows are not aligned", where="learner", got=sorted(lengths))
        if not (self.weight > 0).all():
            raise UserError("rows of weight 0 must be dropped before anything is fitted", where="learner")

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: npt.NDArray[np.generic]) -> Rows:
        """Cut every aligned field to `rows` (positions or a mask)."""
        there = [n for n in _OPTIONAL if getattr(self, n) is not None]
        cut = {n: getattr(self, n)[rows] for n in ("x", "y", "weight", "group", *there)}
        return replace(self, **cut, memo={})

    def only(self, names: Sequence[str]) -> Rows:
        """Keep the columns of the named blocks."""
        spans, columns = cut_spans(self.spans, names)
        whole = self.whole.only(names) if self.whole is not None else None
        return replace(self, x=self.x[:, columns], spans=spans, memo={}, whole=whole)

    @property
    def rates(self) -> FloatArray:
        """Weighted share of each class, (classes,); at least `RATE_FLOOR` each and summing to 1."""
        totals = np.bincount(self.y, self.weight, self.classes)
        rates = np.maximum(totals / totals.sum(), RATE_FLOOR)
        return np.asarray(rates / rates.sum(), dtype=np.float64)


@dataclass(frozen=True)
class Inner:
    """Inner folds of a training set: settings are chosen on groups that the inner fit did not see.

    Attributes
    ----------
    fold
        Shape (n,): inner fold of each row.
    splits
        Inner folds that are held out in turn: ``0..splits - 1``.
    x
        For each split, all rows' columns (n, d) as prepared from that split's training rows alone: a held row then had
        no say in scaling, imputation or components either. Empty where the rows' own columns were fitted on nothing.
    """

    fold: IntArray
    splits: int
    x: tuple[Matrix, ...] = ()

    @property
    def numbers(self) -> list[int]:
        """Splits with rows on both sides; a target that is rarely labelled may lack some."""
        there = [int((self.fold == number).sum()) for number in range(self.splits)]
        return [number for number, held in enumerate(there) if 0 < held < len(self.fold)]

    def __iter__(self) -> Iterator[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
        """Yield masks (training, validation), one pair a split."""
        for number in self.numbers:
            held = self.fold == number
            yield ~held, held

    def matrices(self, rows: Rows) -> list[Matrix]:
        """Columns of all rows, one matrix a split."""
        return [self.x[number] if self.x else rows.x for number in self.numbers]

    def cut(self, rows: Rows) -> Iterator[tuple[Rows, Rows, npt.NDArray[np.bool_]]]:
        """Yield training rows, validation rows, and the mask of the latter, one triple a split."""
        for (train, held), x in zip(self, self.matrices(rows), strict=True):
            seen = replace(rows, x=x)
            yield seen.take(train), seen.take(held), held

    def take(self, rows: npt.NDArray[np.generic]) -> Inner:
        """Cut to `rows` (positions or a mask)."""
        return replace(self, fold=self.fold[rows], x=tuple(x[rows] for x in self.x))

    def only(self, columns: IntArray) -> Inner:
        """Keep some columns, by position."""
        return replace(self, x=tuple(x[:, columns] for x in self.x))

    @property
    def judged(self) -> npt.NDArray[np.bool_]:
        """Rows that some split holds out."""
        return np.isin(self.fold, self.numbers)


def make_inner(rows: Rows, seed: int) -> Inner:
    """Deal the groups of one target's rows into inner folds; see `deal_inner`."""
    return deal_inner(rows.group, [(rows.y, rows.weight, rows.classes)], seed)


def deal_inner(group: npt.NDArray[np.generic], targets: Sequence[tuple[IntArray, FloatArray, int]], seed: int) -> Inner:
    """Deal the groups of a training set into inner folds, balanced by the weight of each class of each target.

    Weights stand for counts here, so that weight 2 and the row twice are dealt alike.

    Parameters
    ----------
    group
        Shape (n,).
    targets
        For each target: labels (n,), of which those of weight 0 may be anything; weights (n,); number of classes.
    seed
        Decides between groups that look alike.

    Raises
    ------
    UserError
        The rows of a target belong to one group, so that nothing can be judged.
    """
    names, owner = np.unique(group, return_inverse=True)
    columns, fewest = [], len(names)
    for y, weight, classes in targets:
        rows = weight > 0
        counts = np.zeros((len(names), classes))
        np.add.at(counts, (owner[rows], y[rows]), weight[rows])
        fewest = min(fewest, int((counts.sum(axis=1) > 0).sum()))
        # The commonest class tells no more than the size does.
        columns += [np.delete(counts, int(counts.sum(axis=0).argmax()), axis=1), counts.sum(axis=1, keepdims=True)]
    if fewest < 2:
        do = "Give more patients, or fewer folds"
        raise UserError("a training fold holds one group only", where="folds", got=str(fewest), do=do)
    folds = min(INNER_FOLDS, len(names))
    part = deal([str(n) for n in names], np.hstack(columns), [1 / folds] * folds, seed)
    return Inner(part[owner], folds if fewest < MANY_GROUPS else 1)
