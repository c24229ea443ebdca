"""What a task declares of a unit's features: slots of crops, how they are pooled, and metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass

from radboost.errors import TaskError, offenders

__all__ = ["OPPOSITE", "POOLS", "Metadata", "Slots", "best_of"]

OPPOSITE = "/opposite"
"""Ending of a slot that holds the same view of the other side: ``CC/opposite``."""

POOLS = ("mean", "max", "std", "best-K")
"""How several crops in one slot become one vector; K is a whole number from 1."""


def best_of(name: str) -> int:
    """Give K of ``best-K``, 0 for another name.

    >>> best_of("best-3")
    3
    """
    found = re.fullmatch(r"best-([1-9]\d*)", name)
    return int(found.group(1)) if found else 0


@dataclass(frozen=True)
class Slots:
    """In which slots a unit sees its crops, and what becomes of several crops in one.

    Attributes
    ----------
    column
        Column that names the slot (the view, the kind of series); None puts all crops in one slot ``image``.
    values
        The slots a design has; a unit may lack any of them.
    aliases
        Pairs (value, slot) for values that share a slot with another one; a value in neither is an error.
    side
        Column of the laterality. Given, a unit sees the other side's crops too, in ``<slot>/opposite``, and the
        design adds left-right differences.
    pool
        Out of `POOLS`, each making columns of its own: column by column the mean, the largest value, the population
        standard deviation (0 for one crop), or the mean of the K largest values (of all where there are fewer).
    blocks
        Slots whose columns are scaled, reduced and penalised together, each slot in one block: what tells much then
        does not drown among slots that tell little. None for one block of all slots.
    neighbours
        Units of the same series before and after a unit that count as its neighbours, for units of one crop each;
        the design adds the mean of their vectors, and the unit's own minus this mean. 0 for none.
    """

    column: str | None = None
    values: tuple[str, ...] = ("image",)
    aliases: tuple[tuple[str, str], ...] = ()
    side: str | None = None
    pool: tuple[str, ...] = ("mean",)
    neighbours: int = 0
    blocks: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise TaskError("[slots] values must be distinct, and at least one", got=list(self.values))
        lost = sorted({slot for _, slot in self.aliases} - set(self.values))
        if lost:
            raise TaskError("[slots] aliases name slots that are no values", got=offenders(lost))
        if self.blocks and sorted(slot for block in self.blocks for slot in block) != sorted(self.values):
            raise TaskError("[slots] blocks must name each slot once", got=[list(block) for block in self.blocks])
        if any(value.endswith(OPPOSITE) for value in self.values):
            raise TaskError(f"a slot's name must not end in {OPPOSITE}", got=list(self.values))
        known = f"Known: {', '.join(POOLS)}"
        unknown = [name for name in self.pool if name not in POOLS[:3] and not best_of(name)]
        if unknown:
            raise TaskError("[slots] pool is unknown", got=offenders(unknown), do=known)
        if not self.pool or len(set(self.pool)) != len(self.pool):
            raise TaskError("[slots] pool must hold distinct names, and at least one", got=list(self.pool), do=known)
        if not isinstance(self.neighbours, int) or isinstance(self.neighbours, bool) or self.neighbours < 0:
            raise TaskError("[slots] neighbours must be a whole number from 0", got=self.neighbours)
        if self.neighbours and self.pool != ("mean",):
            do = "Leave pool out: units that have neighbours have one crop each, so there is nothing to pool"
            raise TaskError("[slots] neighbours and pool exclude each other", got=list(self.pool), do=do)


@dataclass(frozen=True)
class Metadata:
    """Columns that are features, and columns that must never be.

    Attributes
    ----------
    numeric, categorical
        Columns of the table used as features.
    forbidden
        Columns that a test table lacks or that tell the label: using one is an error.
    counts
        Whether the number of a unit's own crops in each slot is a feature: ``count.<slot>``.
    headers
        Header features used as features, as ``header.<name>``: see `radboost.data.header_features`. Over a unit's own
        crops, a number is averaged and the first known word is taken.
    relative
        Out of `numeric` and `headers`, numbers that also stand as ``relative.<column>``: the unit's value minus the
        mean over the other units of its group that have one; unknown where there is none.
    categories
        Out of `numeric` and `headers`, numbers that also stand as categories, ``category.<column>``, three significant
        digits each: what is typical of a machine or a site rather than large or small. Rare ones become one.
    """

    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    counts: bool = False
    headers: tuple[str, ...] = ()
    relative: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        leaks = [c for c in (*self.numeric, *self.categorical, *self.headers) if c in self.forbidden]
        if leaks:
            raise TaskError(
                "metadata columns are forbidden as features",
                got=offenders(leaks),
                do="They tell the label or are absent at test time; leave them out",
            )
        derived = (("relative", self.relative), ("categories", self.categories))
        for name, columns in (("headers", self.headers), *derived):
            if len(set(columns)) != len(columns):
                raise TaskError(f"[metadata] {name} names a column twice", got=offenders(columns))
        if not isinstance(self.counts, bool):
            raise TaskError("[metadata] counts must be true or false", got=self.counts)
        known = (*self.numeric, *self.headers)
        for name, columns in derived:
            lost = [column for column in columns if column not in known]
            if lost:
                do = f"Known: {', '.join(known) or 'none'}, out of numeric and headers"
                raise TaskError(f"[metadata] {name} names no number", got=offenders(lost), do=do)

    @property
    def declared(self) -> bool:
        """Whether there is any feature besides embeddings."""
        return bool(self.numeric or self.categorical or self.counts or self.headers)
