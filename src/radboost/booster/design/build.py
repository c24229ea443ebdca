"""Build the design of a cohort: pool what each unit sees, and gather what is known about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd

from radboost.booster.design.gather import Gathered
from radboost.booster.design.matrix import Design, ImageBlock, Store
from radboost.booster.design.order import neighbours, unit_order
from radboost.booster.design.pooling import Crops, distinct_crops, pool_crops
from radboost.booster.rows import IntArray
from radboost.data.cohort import Cohort
from radboost.data.networks import fold_of
from radboost.data.task import OPPOSITE, Task
from radboost.data.unit_table import linked_rows, unit_labels, unit_metadata
from radboost.errors import MismatchError, UserError, offenders

__all__ = ["build_design"]


def build_design(cohort: Cohort, stores: Sequence[Store], view: int = 0, *, bare: bool = False) -> Design:
    """Pool each unit's embeddings by slot, take differences between sides and neighbours, and gather its metadata.

    Embeddings are looked at once, a few thousand crops at a time, and read again where rows of a block are asked for:
    only the pooled vectors of slots with several crops are held, 4 bytes a number, once for all units and blocks.

    Parameters
    ----------
    cohort
        With a task; labels may be absent.
    stores
        Stores of the cohort's crops; none makes a design of metadata alone.
    view
        Augmented view of each crop that is used where a store has it, and view 0 where it has not.
    bare
        Whether a design without a column will do: units and labels for what others predict.

    Raises
    ------
    MismatchError
        The cohort has no task, a store holds none of its crops, or two stores are the same.
    UserError
        There is nothing to learn from, neither a store nor a metadata column, and `bare` is off. Or the task asks for
        neighbours and no unit has a place in a series, or for header features that the cohort lacks.
    FormatError
        A store holds values that are not finite.
    """
    task, units = cohort.need_task(), cohort.units
    if not stores and not task.metadata.declared and not bare:
        raise UserError("there is nothing to learn from", where=task.name, do="Give a store, or declare metadata")
    hashes = [s.fingerprint_hash for s in stores]
    if len(set(hashes)) != len(hashes):
        raise MismatchError("a store is given twice", got=offenders([h[:8] for h in hashes]))
    links = linked_rows(cohort)
    sequence, position = unit_order(cohort, links)
    job = _Job(task, links, _neighbours(task, sequence, position, stores), view)
    label, weight = unit_labels(cohort, units["unit"])
    return Design(
        task=task,
        unit=units["unit_id"].to_numpy(str),
        group=units["group_id"].to_numpy(str),
        fold=units["fold"].to_numpy(np.int64),
        split=units["split"].to_numpy(str),
        sequence=sequence,
        position=position,
        label=label,
        task_weight=weight,
        blocks=tuple(block for store in stores for block in job.blocks(store)),
        metadata=unit_metadata(cohort, links),
        fold_hash=cohort.fold_hash,
        cohort=cohort.fingerprint,
    )


@dataclass(frozen=True)
class _Job:
    """What all stores share."""

    task: Task
    links: pd.DataFrame
    neighbours: IntArray
    view: int

    def blocks(self, store: Store) -> Iterator[ImageBlock]:
        """Make the blocks of one store."""
        own, opposite, crops = self._numbers(store)
        near = np.where(self.neighbours[:, None, :] >= 0, own[self.neighbours].transpose(0, 2, 1), -1)
        one, two, none = own[:, :, None], opposite[:, :, None], np.empty((*own.shape, 0), dtype=np.int64)
        kinds = {"own": (one, none)}
        if self.task.slots.side is not None:
            kinds["difference"] = (one, two)
        if self.task.slots.neighbours:
            kinds |= {"neighbours": (near, none), "neighbour-difference": (one, near)}
        for pool in store.pools:
            width = store.width(pool)
            for statistic, vectors in pool_crops(store, pool, crops, self.task.slots.pool).items():
                start = f"{store.fingerprint_hash[:8]}/{pool}" + ("" if statistic == "mean" else f"/crop-{statistic}")
                for kind, (plus, minus) in kinds.items():
                    for name, slots, at in self._parts(f"{start}/{kind}"):
                        x = Gathered(vectors, width, plus[:, at], minus[:, at])
                        yield ImageBlock(name, slots, width, x, x.present, fold_of(pool))

    def _parts(self, name: str) -> Iterator[tuple[str, tuple[str, ...], list[int]]]:
        """Name, slots and their numbers of each block that the task makes of its slots."""
        slots = self.task.slots
        for block in slots.blocks or (slots.values,):
            yield (f"{name}/{'+'.join(block)}" if slots.blocks else name), block, [slots.values.index(s) for s in block]

    def _numbers(self, store: Store) -> tuple[IntArray, IntArray, Crops]:
        """Number of the set of crops that each unit sees in each slot, (units, slots), own and opposite; -1 for none.

        A side that two units see, one as its own and one as the other's, is one set, and so is a series that many
        units share.
        """
        links, slots = self.links, self.task.slots
        ids = links["crop_id"].tolist()
        at = np.asarray(store.rows_of(ids), dtype=np.int64)
        if self.view:
            augmented = np.asarray(store.rows_of(ids, self.view), dtype=np.int64)
            at = np.where(augmented >= 0, augmented, at)
        if len(links) and (at < 0).all():
            do = "Extract this cohort, or index the data with the key of the cohort that the store was made from"
            raise MismatchError("a store holds none of the cohort's crops", got=store.fingerprint_hash[:8], do=do)
        sides = [slots.values] if slots.side is None else [slots.values, [s + OPPOSITE for s in slots.values]]
        place = {slot: number for number, slot in enumerate(chain.from_iterable(sides))}
        slot = links["slot"].map(place).fillna(-1).to_numpy(np.int64)
        kept = (at >= 0) & (slot >= 0)
        at, slot, row = at[kept], slot[kept], links["row"].to_numpy(np.int64)[kept]
        # Links come sorted by unit, slot and order.
        first = np.ones(len(at), dtype=bool)
        first[1:] = (np.diff(row) != 0) | (np.diff(slot) != 0)
        starts = np.flatnonzero(first).astype(np.int64)
        crops, number = distinct_crops(at, starts)
        numbers = np.full((len(self.neighbours), 2 * len(slots.values)), -1, dtype=np.int64)
        numbers[row[starts], slot[starts]] = number
        return numbers[:, : len(slots.values)], numbers[:, len(slots.values) :], crops


def _neighbours(task: Task, sequence: IntArray, position: IntArray, stores: Sequence[Store]) -> IntArray:
    if stores and task.slots.neighbours and (sequence < 0).all():
        do = "Give each unit one crop of a DICOM series, or leave neighbours out of [slots]"
        what = "neighbours need units of one crop each, in a series"
        raise UserError(what, where=task.name, got=f"neighbours = {task.slots.neighbours}", do=do)
    return neighbours(sequence, position, task.slots.neighbours)
