"""What if one crop of a unit had another embedding: copies of its patient, taken through stage two as any exam is.

A copy holds all units and crops of the patient, so that whatever stage two derives from them (differences between
sides, neighbours in the series, values relative to the patient's others) follows by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.booster.design import Design, build_design
from radboost.booster.design.matrix import Store
from radboost.data.cohort import Cohort
from radboost.pipeline.explain.system import Asked, FloatArray

__all__ = ["Change", "Patient"]

ROWS_AT_ONCE = 4096
"""Of units that are taken through stage two together."""

BEYOND = 1 << 40
"""Rows of a store from here on are those of changed crops."""


@dataclass(frozen=True)
class Change:
    """Other embeddings of one crop in one store.

    Attributes
    ----------
    crop_id
        Which crop.
    store
        Number of the store.
    vectors
        Pool name to (copies, width).
    """

    crop_id: str
    store: int
    vectors: Mapping[str, npt.NDArray[np.float32]]

    def __len__(self) -> int:
        return len(next(iter(self.vectors.values()))) if self.vectors else 0

    def take(self, rows: slice) -> Change:
        """Cut to some copies."""
        return replace(self, vectors={name: vectors[rows] for name, vectors in self.vectors.items()})


@dataclass(frozen=True)
class Patient:
    """All units and crops of one patient, and the stores that hold them.

    Attributes
    ----------
    cohort
        Cut to the patient.
    stores
        Of the cohort, in the order of `System.stores`.
    unit
        Readable name of the unit that is asked about.
    """

    cohort: Cohort
    stores: tuple[Store, ...]
    unit: str

    @classmethod
    def of(cls, cohort: Cohort, stores: Sequence[Store], unit: str) -> Patient:
        """Cut a cohort to the patient that a unit belongs to."""
        units = cohort.units
        (group,) = units["group"][units["unit"] == unit]
        own = set(units["unit"][units["group"] == group])
        links = cohort.links[cohort.links["unit"].isin(own)]
        crops = set(links["crop_id"])
        headers, features = cohort.header_features(), cohort.unit_features
        cut = replace(
            cohort,
            manifest=cohort.manifest[cohort.manifest["crop_id"].isin(crops)].reset_index(drop=True),
            links=links.reset_index(drop=True),
            targets=cohort.targets[cohort.targets["unit"].isin(own)].reset_index(drop=True),
            folds=cohort.folds[cohort.folds["group"] == group].reset_index(drop=True),
            headers=None if headers is None else headers[headers["crop_id"].isin(crops)].reset_index(drop=True),
            unit_features=None if features is None else features[features["unit"].isin(own)].reset_index(drop=True),
            folder=None,
        )
        return cls(cut, tuple(stores), unit)

    def probabilities(self, asked: Asked, change: Change | None = None) -> FloatArray:
        """Predict the unit in each copy.

        Parameters
        ----------
        asked
            Which probability.
        change
            What differs from copy to copy; None for one copy as it is.

        Returns
        -------
        ndarray
            Shape (copies,).
        """
        if change is None:
            return self._predicted(asked, 1, None)
        portion = max(1, ROWS_AT_ONCE // len(self.cohort.units))
        some = [change.take(slice(start, start + portion)) for start in range(0, len(change), portion)]
        return np.concatenate([self._predicted(asked, len(each), each) for each in some]) if some else np.empty(0)

    def design(self) -> tuple[Design, int]:
        """Give the patient's units as they are, and the number of the one that is asked about."""
        design, rows = self._design(1, None)
        return design, int(rows[0])

    def _predicted(self, asked: Asked, copies: int, change: Change | None) -> FloatArray:
        design, rows = self._design(copies, change)
        if asked.system.in_order:
            return asked.probability(design)[rows]
        return asked.probability(design.take(rows))

    def _design(self, copies: int, change: Change | None) -> tuple[Design, npt.NDArray[np.int64]]:
        """Build the design of some copies; gives the row of the unit in each, too."""
        cohort = _copied(self.cohort, copies)
        stores = [
            _Copied(store, change if change is not None and change.store == number else None)
            for number, store in enumerate(self.stores)
        ]
        asked = {_name(number, self.unit) for number in _numbers(copies)}
        return build_design(cohort, stores), np.flatnonzero(cohort.units["unit"].isin(asked).to_numpy())


def _numbers(copies: int) -> list[str]:
    """Numbers of copies as text that sorts as they do."""
    return [f"{number:06d}" for number in range(copies)]


def _name(copy: str, name: str) -> str:
    return f"{copy}|{name}"


def _copied(cohort: Cohort, copies: int) -> Cohort:
    """Repeat every row once a copy, under names that begin with the copy's number."""
    numbers = _numbers(copies)

    def repeated(table: pd.DataFrame | None, names: Sequence[str]) -> Any:
        if table is None:
            return None
        many = table.loc[np.tile(np.arange(len(table)), copies)].reset_index(drop=True)
        prefix = np.repeat(numbers, len(table))
        return many.assign(**{n: [_name(p, v) for p, v in zip(prefix, many[n], strict=True)] for n in names})

    tables = {
        "manifest": repeated(cohort.manifest, ("crop_id", "group")),
        "links": repeated(cohort.links, ("unit", "crop_id")),
        "targets": repeated(cohort.targets, ("unit", "group")),
        "folds": repeated(cohort.folds, ("group",)),
        "headers": repeated(cohort.headers, ("crop_id",)),
        "unit_features": repeated(cohort.unit_features, ("unit",)),
    }
    shared = cohort.shared
    if shared is not None:
        shared = replace(shared, units=tuple(_name(n, u) for n in numbers for u in cohort.units["unit"]))
    return replace(cohort, **tables, shared=shared)


@dataclass(frozen=True)
class _Copied:
    """A store that holds crops of copies; see `radboost.booster.design.matrix.Store`."""

    store: Store
    change: Change | None

    @property
    def fingerprint_hash(self) -> str:
        return self.store.fingerprint_hash

    @property
    def pools(self) -> Sequence[str]:
        return self.store.pools

    def width(self, pool: str) -> int:
        return self.store.width(pool)

    def rows_of(self, crop_ids: Sequence[str], view: int = 0) -> npt.NDArray[np.int64]:
        """Row of each copied crop: that of the crop itself, or beyond all rows where it differs."""
        copies, names = zip(*(crop_id.split("|", 1) for crop_id in crop_ids), strict=True) if crop_ids else ((), ())
        rows = np.asarray(self.store.rows_of(list(names), view), dtype=np.int64)
        if self.change is not None:
            changed = np.array([name == self.change.crop_id for name in names], dtype=bool)
            rows[changed] = BEYOND + np.array([int(copy) for copy in copies], dtype=np.int64)[changed]
        return rows

    def read(self, pool: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.floating[Any]]:
        beyond = rows >= BEYOND
        if self.change is None or not beyond.any():
            return self.store.read(pool, rows)
        out = np.empty((len(rows), self.store.width(pool)), dtype=np.float32)
        out[~beyond] = self.store.read(pool, rows[~beyond])
        out[beyond] = self.change.vectors[pool][rows[beyond] - BEYOND]
        return out
