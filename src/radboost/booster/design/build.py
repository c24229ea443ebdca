"""Build the design of a cohort: pool what each unit sees, and gather what is known about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from radboost.booster.design.matrix import Design, ImageBlock, Store
from radboost.booster.design.order import unit_order
from radboost.booster.rows import FloatArray, IntArray
from radboost.data.cohort import METADATA, Cohort
from radboost.data.metadata import MISSING, category_text, numbers
from radboost.data.task import OPPOSITE, Task
from radboost.errors import FormatError, MismatchError, UserError, offenders

__all__ = ["build_design"]

UNITS_AT_ONCE = 2048


def build_design(cohort: Cohort, stores: Sequence[Store]) -> Design:
    """Pool each unit's embeddings by slot, take left-right differences, and gather its metadata.

    Needs ``4 x units x (2 x slots) x width`` bytes a store and pooling with sides, half of it without; embeddings are
    read a few thousand units at a time.

    Parameters
    ----------
    cohort
        With a task; labels may be absent.
    stores
        Stores of the cohort's crops; none makes a design of metadata alone.

    Raises
    ------
    MismatchError
        The cohort has no task, a store holds none of its crops, or two stores are the same.
    UserError
        There is nothing to learn from: neither a store nor a metadata column.
    """
    task, units = cohort.need_task(), cohort.units
    if not stores and not task.feature_columns:
        raise UserError("there is nothing to learn from", where=task.name, do="Give a store, or declare metadata")
    hashes = [s.fingerprint_hash for s in stores]
    if len(set(hashes)) != len(hashes):
        raise MismatchError("a store is given twice", got=offenders([h[:8] for h in hashes]))
    place = pd.Series(np.arange(len(units)), index=units["unit"].to_numpy())
    # A unit that sees nothing but the other side, and has no target, is no unit.
    links = cohort.links[cohort.links["unit"].isin(place.index)]
    links = links.assign(row=links["unit"].map(place).to_numpy(dtype=np.int64))
    links = links.sort_values(["row", "slot", "order", "crop_id"], ignore_index=True)
    blocks = tuple(b for store in stores for b in _store_blocks(store, links, task, len(units)))
    sequence, position = unit_order(cohort, links)
    label, weight = _targets(cohort, task, place)
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
        blocks=blocks,
        metadata=_metadata(cohort, links, task, len(units)),
        fold_hash=cohort.fold_hash,
        cohort=cohort.fingerprint,
    )


def _store_blocks(store: Store, links: pd.DataFrame, task: Task, n: int) -> Iterable[ImageBlock]:
    rows = np.asarray(store.rows_of(links["crop_id"].tolist()))
    found = links.assign(at=rows)[rows >= 0]
    if len(links) and found.empty:
        do = "Extract this cohort, or index the data with the key of the cohort that the store was made from"
        raise MismatchError("a store holds none of the cohort's crops", got=store.fingerprint_hash[:8], do=do)
    for pool in store.pools:
        name, width, slots = f"{store.fingerprint_hash[:8]}/{pool}", store.width(pool), task.slots.values
        own = ImageBlock(
            f"{name}/own", slots, width, np.zeros((n, len(slots) * width), np.float32), np.zeros((n, len(slots)), bool)
        )
        for part, slot in enumerate(slots):
            _pool_slot(store, pool, found[found["slot"] == slot], own, part)
        yield own
        if task.slots.side is None:
            continue
        difference = ImageBlock(f"{name}/difference", slots, width, np.zeros_like(own.x), np.zeros_like(own.present))
        for part, slot in enumerate(slots):
            _pool_slot(store, pool, found[found["slot"] == slot + OPPOSITE], difference, part)
            both = own.present[:, part] & difference.present[:, part]
            columns = slice(part * width, (part + 1) * width)
            # In place: the other side's mean is needed for nothing else.
            np.subtract(own.x[:, columns], difference.x[:, columns], out=difference.x[:, columns])
            difference.x[~both, columns] = 0.0
            difference.present[:, part] = both
        yield difference


def _pool_slot(store: Store, pool: str, links: pd.DataFrame, into: ImageBlock, part: int) -> None:
    """Mean of each unit's crops in one slot. Units are never cut apart, so a mean does not depend on its neighbours."""
    row, at = links["row"].to_numpy(np.int64), links["at"].to_numpy(np.int64)
    columns = slice(part * into.width, (part + 1) * into.width)
    for start in range(0, len(into.x), UNITS_AT_ONCE):
        low, high = np.searchsorted(row, [start, start + UNITS_AT_ONCE])
        if low == high:
            continue
        values = np.asarray(store.read(pool, at[low:high]), dtype=np.float32)
        if not np.isfinite(values).all():
            do = "Verify the store and extract it anew"
            raise FormatError("a store holds values that are not finite", got=store.fingerprint_hash[:8], do=do)
        units, starts, counts = np.unique(row[low:high], return_index=True, return_counts=True)
        into.x[units, columns] = np.add.reduceat(values, starts, axis=0) / counts[:, None].astype(np.float32)
        into.present[units, part] = True


def _targets(cohort: Cohort, task: Task, place: pd.Series[int]) -> tuple[IntArray, FloatArray]:
    names: Mapping[str, int] = {t.name: i for i, t in enumerate(task.targets)}
    label = np.full((len(place), len(names)), -1, dtype=np.int64)
    weight = np.ones((len(place), len(names)))
    table = cohort.targets[cohort.targets["target"].isin(list(names))]
    row = table["unit"].map(place).to_numpy(dtype=np.int64)
    column = table["target"].map(names).to_numpy(dtype=np.int64)
    label[row, column] = table["label"].to_numpy(dtype=np.int64)
    weight[row, column] = table["task_weight"].to_numpy(dtype=np.float64)
    return label, weight


def _metadata(cohort: Cohort, links: pd.DataFrame, task: Task, n: int) -> pd.DataFrame:
    """One row a unit from its own crops: mean of a number, first known category."""
    own = links[~links["slot"].str.endswith(OPPOSITE)]
    own = own.merge(cohort.manifest, on="crop_id", suffixes=("", "_crop"))
    out: dict[str, Any] = {}
    for name in task.metadata.numeric:
        values = pd.Series(numbers(_column(own, name)))
        out[name] = values.groupby(own["row"].to_numpy()).mean().reindex(range(n)).to_numpy()
    for name in task.metadata.categorical:
        text = category_text(_column(own, name))
        known = text.where(text != MISSING)
        out[name] = known.groupby(own["row"].to_numpy()).first().reindex(range(n)).fillna(MISSING).to_numpy()
    return pd.DataFrame(out, index=pd.RangeIndex(n))


def _column(table: pd.DataFrame, name: str) -> pd.Series[Any]:
    if METADATA + name not in table.columns:
        raise FormatError("the cohort's manifest lacks a metadata column", got=name, do="Index the data anew")
    return table[METADATA + name].rename(name)
