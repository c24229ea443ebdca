"""What is known about the units of a cohort: fields of tables, images and headers, each cell with its unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.cohort import METADATA, Cohort
from radboost.data.frame_values import PIXELS
from radboost.data.header_features import GEOMETRY, WORDS
from radboost.data.metadata import MISSING, category_text
from radboost.data.task import OPPOSITE, Target

__all__ = ["SYNTAXES", "Field", "Finding", "Look", "look_at", "same_cells", "syntax_name"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

OLDEST = 90.0
"""Ages above it are counted as it: so few people are older that an age would name them."""

SYNTAXES = {
    "1.2.840.10008.1.2": "Implicit VR Little Endian",
    "1.2.840.10008.1.2.1": "Explicit VR Little Endian",
    "1.2.840.10008.1.2.1.99": "Deflated Explicit VR Little Endian",
    "1.2.840.10008.1.2.2": "Explicit VR Big Endian",
    "1.2.840.10008.1.2.4.50": "JPEG Baseline",
    "1.2.840.10008.1.2.4.51": "JPEG Extended",
    "1.2.840.10008.1.2.4.57": "JPEG Lossless",
    "1.2.840.10008.1.2.4.70": "JPEG Lossless SV1",
    "1.2.840.10008.1.2.4.80": "JPEG-LS Lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS Near-Lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 Lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "HTJ2K Lossless",
    "1.2.840.10008.1.2.4.202": "HTJ2K Lossless RPCL",
    "1.2.840.10008.1.2.4.203": "HTJ2K",
    "1.2.840.10008.1.2.5": "RLE Lossless",
}
"""Transfer syntaxes by their UID, named as PS3.6 does, shortened."""


def syntax_name(uid: str) -> str:
    """Name a transfer syntax, or give back what is none: an unknown UID, the ending of a picture."""
    return SYNTAXES.get(uid, uid)


@dataclass(frozen=True)
class Field:
    """One thing that is known about units or their images.

    Attributes
    ----------
    name
        As in the table or among the header features.
    source
        ``metadata`` (the task's features), ``table`` (other columns of its table), ``image``, ``header`` or
        ``pixels``.
    numeric
        Whether cells are numbers; else they are text.
    column
        Cells as they lie in their table.
    at
        Shape (m,): row of `column` of each cell; None where they are aligned.
    unit
        Shape (m,): number of the unit that each cell is about.
    """

    name: str
    source: str
    numeric: bool
    column: pd.Series = field(repr=False)
    at: IntArray | None = field(repr=False)
    unit: IntArray = field(repr=False)

    @property
    def is_age(self) -> bool:
        """Whether its name says age."""
        words = self.name.lower().replace("_", " ").replace("(", " ").replace("patientage", "age").split()
        return "age" in words

    @cached_property
    def numbers(self) -> FloatArray:
        """Cells as numbers (m,), NaN where there is none; ages at most `OLDEST`."""
        text = not pd.api.types.is_numeric_dtype(self.column)
        own = pd.to_numeric(self.column.where(self.column != MISSING), errors="coerce") if text else self.column
        read = np.asarray(own.to_numpy(np.float64, na_value=np.nan), np.float64)
        values = np.asarray(np.where(np.isfinite(read), read, np.nan), np.float64)
        if self.is_age:
            values = np.asarray(np.minimum(values, OLDEST), np.float64)
        return np.asarray(values if self.at is None else values[self.at], np.float64)

    @cached_property
    def codes(self) -> tuple[IntArray, tuple[str, ...]]:
        """Cells as numbers of their distinct texts (m,), -1 where there is none, and these texts."""
        cells = category_text(self.column)
        code, names = pd.factorize(cells.where((cells != MISSING) & (cells != "")))
        code = code.astype(np.int64)
        return (code if self.at is None else code[self.at]), tuple(str(name) for name in names)

    @cached_property
    def once(self) -> IntArray:
        """Which cells (k,) to count where each image or row counts once, however many units see it."""
        if self.at is None:
            return np.arange(len(self.unit), dtype=np.int64)
        return np.unique(self.at, return_index=True)[1].astype(np.int64)

    @cached_property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Whether each cell (m,) is empty."""
        return np.asarray(np.isnan(self.numbers) if self.numeric else self.codes[0] < 0)

    def by_unit(self, units: int) -> FloatArray:
        """Mean of each unit's numbers (units,), NaN where it has none."""
        known = ~np.isnan(self.numbers)
        count = np.bincount(self.unit[known], minlength=units).astype(float)
        total = np.bincount(self.unit[known], self.numbers[known], units)
        return np.asarray(np.divide(total, count, out=np.full(units, np.nan), where=count > 0), np.float64)


@dataclass(frozen=True)
class Finding:
    """A class of a target that units may have.

    Attributes
    ----------
    name
        Of the target, and of the class where there are several.
    has
        Shape (units,): 1 or 0, NaN where the unit is not labelled.
    """

    name: str
    has: FloatArray = field(repr=False)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which units (units,) are labelled."""
        return ~np.isnan(self.has)


@dataclass(frozen=True)
class Look:
    """A cohort laid out for counting.

    Attributes
    ----------
    cohort
        The cohort.
    group
        Shape (units,): number of each unit's group (the patient), in the order of `Cohort.units`.
    fields
        All that is known, task metadata first.
    findings
        Classes that are counted: all of each target but its first.
    """

    cohort: Cohort = field(repr=False)
    group: IntArray = field(repr=False)
    fields: tuple[Field, ...]
    findings: tuple[Finding, ...]

    @property
    def units(self) -> int:
        """How many there are."""
        return len(self.group)

    @property
    def groups(self) -> int:
        """How many patients there are."""
        return int(self.group.max()) + 1 if len(self.group) else 0

    def of(self, *sources: str) -> tuple[Field, ...]:
        """Fields from some sources."""
        return tuple(one for one in self.fields if one.source in sources)


def look_at(cohort: Cohort, headers: pd.DataFrame | None, more: pd.DataFrame | None = None) -> Look:
    """Lay a cohort out for counting.

    Parameters
    ----------
    cohort
        Any: with or without a task, shared or private.
    headers
        Header features: `crop_id` and columns of `radboost.data.header_features`, for some or all crops; None for none.
    more
        Other columns of the task's table, and `unit`.
    """
    units = cohort.units
    group = pd.factorize(units["group"])[0].astype(np.int64)
    place = pd.Series(np.arange(len(units)), index=units["unit"].to_numpy())
    own = cohort.links[~cohort.links["slot"].str.endswith(OPPOSITE)]
    own = own[own["unit"].isin(place.index)].drop_duplicates(["unit", "crop_id"])
    unit = place.reindex(own["unit"]).to_numpy(np.int64)
    fields = [*_metadata(cohort, place, own, unit), *_image(cohort, own, unit)]
    if headers is not None:
        fields += _header(headers, own, unit)
    if more is not None:
        at = place.reindex(more["unit"]).to_numpy(np.float64)
        rows = np.flatnonzero(~np.isnan(at))
        named = {one.name for one in fields}
        fields += [
            Field(name, "table", False, more[name], rows, at[rows].astype(np.int64))
            for name in more.columns
            if name not in (*named, "unit")
        ]
    return Look(cohort, group, tuple(one for one in fields if len(one.unit)), tuple(_findings(cohort)))


def _rows(table: pd.DataFrame, own: pd.DataFrame) -> IntArray:
    """Row of each link's crop; -1 where the table lacks it."""
    row = pd.Series(np.arange(len(table)), index=table["crop_id"].to_numpy())
    return row.reindex(own["crop_id"]).fillna(-1).to_numpy(np.int64)


def _metadata(cohort: Cohort, place: pd.Series, own: pd.DataFrame, unit: IntArray) -> Iterator[Field]:
    task = cohort.task
    if task is None:
        return
    table, at = cohort.manifest, _rows(cohort.manifest, own)
    if cohort.unit_features is not None:
        table = cohort.unit_features[cohort.unit_features["unit"].isin(place.index)].reset_index(drop=True)
        at, unit = np.arange(len(table), dtype=np.int64), place.reindex(table["unit"]).to_numpy(np.int64)
    for name in task.feature_columns:
        if METADATA + name in table.columns:
            yield Field(name, "metadata", name in task.metadata.numeric, table[METADATA + name], at, unit)


def _image(cohort: Cohort, own: pd.DataFrame, unit: IntArray) -> Iterator[Field]:
    manifest, at = cohort.manifest, _rows(cohort.manifest, own)
    slots = cohort.task.slots if cohort.task else None
    named = set(cohort.task.feature_columns) if cohort.task else set()
    for name, told in (("view", slots and slots.column), ("laterality", slots and slots.side)):
        cells = manifest[name].astype(object)
        # Where a feature is read from the very column, it is there under its own name.
        if (cells != "").any() and told not in named:
            yield Field({"laterality": "side"}.get(name, name), "image", False, cells, at, unit)
    if {"rows", "columns", "syntax"} <= set(manifest.columns):
        sizes = manifest["rows"].astype(str) + " × " + manifest["columns"].astype(str)
        yield Field("rows × columns", "image", False, sizes.where(manifest["rows"] > 0, ""), at, unit)
        yield Field("transfer syntax", "image", False, manifest["syntax"].map(syntax_name), at, unit)


def _header(headers: pd.DataFrame, own: pd.DataFrame, unit: IntArray) -> Iterator[Field]:
    at = _rows(headers, own)
    here = at >= 0
    for name in headers.columns:
        if name in ("crop_id", "syntax"):
            continue
        source = "pixels" if name in PIXELS else "header"
        if name in GEOMETRY or name in PIXELS or name in WORDS:
            yield Field(name, source, name not in WORDS, headers[name], at[here], unit[here])


def _findings(cohort: Cohort) -> Iterator[Finding]:
    if cohort.task is None or not cohort.labelled:
        return
    for target in cohort.task.targets:
        rows = cohort.targets[cohort.targets["target"] == target.name]
        by_unit = pd.Series(rows["label"].to_numpy(), index=rows["unit"].to_numpy())
        label = by_unit.reindex(cohort.units["unit"]).fillna(-1).to_numpy(np.int64)
        for k in range(1, len(target.classes)):
            yield Finding(_name(target, k), np.where(label < 0, np.nan, (label == k).astype(float)))


def _name(target: Target, k: int) -> str:
    return target.name if target.binary else f"{target.name}: {target.classes[k]}"


def same_cells(one: Field, other: Field) -> bool:
    """Whether two fields tell the same, cell by cell."""
    if len(one.unit) != len(other.unit):
        return False
    return bool((one.codes[0] == other.codes[0]).all() and one.codes[1] == other.codes[1])
