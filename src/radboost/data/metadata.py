"""The one encoder of metadata: columns of a table become numbers, by what the training rows showed alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.errors import FormatError, TableError, offenders

__all__ = ["MISSING", "RARE", "Categorical", "MetadataEncoder", "Numeric", "category_text", "numbers"]

MISSING = "<missing>"
"""Category of an empty cell, where training rows had one."""

RARE = "<rare>"
"""Category that the rare ones of the training rows share."""

RARE_WEIGHT = 5.0
"""A category of less training weight than this many rows is rare: too few to learn an effect of its own from."""


@dataclass(frozen=True)
class Numeric:
    """A numeric column: empty cells take the training mean, then mean 0 and deviation 1, both weighted.

    Attributes
    ----------
    name
        Column of the table.
    mean, scale
        Weighted mean and population deviation over the training rows that have a value; scale 1 for a constant.
    flag
        Whether a 0/1 column for "empty" follows, which is so where training rows of positive weight had an empty cell.
    """

    name: str
    mean: float
    scale: float
    flag: bool

    @property
    def features(self) -> list[str]:
        """Names of its output columns."""
        return [self.name, f"{self.name}={MISSING}"] if self.flag else [self.name]


@dataclass(frozen=True)
class Categorical:
    """A categorical column: one 0/1 column a category seen in training; another one is `RARE`, or else all zeros.

    Attributes
    ----------
    name
        Column of the table.
    categories
        In sorted order; `MISSING` and `RARE` stand last. What is rare may tell who it is, so rare names are not kept:
        whatever is in no other category counts as `RARE` where training rows had rare ones.
    """

    name: str
    categories: tuple[str, ...]

    @property
    def features(self) -> list[str]:
        """Names of its output columns."""
        return [f"{self.name}={c}" for c in self.categories]


@dataclass(frozen=True)
class MetadataEncoder:
    """Metadata as numbers, fitted on training rows and frozen.

    Attributes
    ----------
    numeric, categorical
        The fitted columns, in the order of the output.
    """

    numeric: tuple[Numeric, ...] = ()
    categorical: tuple[Categorical, ...] = ()

    @classmethod
    def fit(
        cls,
        frame: pd.DataFrame,
        numeric: Sequence[str],
        categorical: Sequence[str],
        weight: npt.ArrayLike | None = None,
    ) -> MetadataEncoder:
        """Learn means, deviations and categories.

        Parameters
        ----------
        frame
            Training rows only; more columns than those named do no harm.
        numeric, categorical
            Columns to encode.
        weight
            Shape (n,), not negative; ones when absent. Weight 2 equals the row twice, weight 0 no row.

        Raises
        ------
        TableError
            A column is missing, or a numeric one holds text.
        """
        _require(frame, [*numeric, *categorical])
        w = np.ones(len(frame)) if weight is None else np.asarray(weight, dtype=np.float64)
        frame, w = frame[w > 0], w[w > 0]
        return cls(
            tuple(_fit_numeric(name, numbers(frame[name]), w) for name in numeric),
            tuple(_fit_categorical(name, category_text(frame[name]), w) for name in categorical),
        )

    @property
    def _columns(self) -> list[Numeric | Categorical]:
        return [*self.numeric, *self.categorical]

    @property
    def features(self) -> list[str]:
        """Names of the output columns, in order."""
        return [f for c in self._columns for f in c.features]

    def transform(self, frame: pd.DataFrame) -> npt.NDArray[np.float32]:
        """Encode rows, training or new.

        Returns
        -------
        ndarray
            Shape (rows, len(features)), finite.

        Raises
        ------
        TableError
            A column is missing, or a numeric one holds text.
        """
        _require(frame, [c.name for c in self._columns])
        out = np.zeros((len(frame), len(self.features)), dtype=np.float32)
        at = 0
        for column in self.numeric:
            values = numbers(frame[column.name])
            hole = np.isnan(values)
            out[:, at] = np.where(hole, 0.0, (values - column.mean) / column.scale)
            if column.flag:
                out[:, at + 1] = hole
            at += len(column.features)
        for category in self.categorical:
            place = {name: at + i for i, name in enumerate(category.categories)}
            text = category_text(frame[category.name])
            where = text.map(place).to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
            if RARE in place:
                where[np.isnan(where) & (text != MISSING).to_numpy()] = place[RARE]
            known = np.flatnonzero(~np.isnan(where))
            out[known, where[known].astype(np.int64)] = 1.0
            at += len(category.features)
        return out

    def to_dict(self) -> dict[str, Any]:
        """Give JSON-able content; `MetadataEncoder.from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> MetadataEncoder:
        """Rebuild an encoder from `to_dict`; raises FormatError where it describes none."""
        try:
            return cls(
                tuple(Numeric(**c) for c in content["numeric"]),
                tuple(Categorical(c["name"], tuple(c["categories"])) for c in content["categorical"]),
            )
        except (KeyError, TypeError) as error:
            raise FormatError("does not describe a metadata encoder", got=str(error)) from error


def numbers(column: pd.Series[Any]) -> npt.NDArray[np.float64]:
    """Read a column as floats; empty cells, and infinities, become NaN.

    Raises
    ------
    TableError
        A cell holds text that is no number.
    """
    if pd.api.types.is_float_dtype(column):
        found = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.where(np.isfinite(found), found, np.nan)
    text = category_text(column)
    values = pd.to_numeric(text.where(text != MISSING), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = text[np.isnan(values) & (text != MISSING).to_numpy()]
    if len(bad):
        do = "Declare the column as categorical, or mend the table"
        raise TableError(
            "a numeric metadata column holds text", where=str(column.name), got=offenders(list(bad)), do=do
        )
    return np.where(np.isfinite(values), values, np.nan)


def category_text(column: pd.Series[Any]) -> pd.Series[str]:
    """Read a column as category names, whatever type it came in: 2, 2.0, "2" and "2.0" are one; empty is `MISSING`."""
    distinct = {value: _text(value) for value in column.dropna().unique()}
    return column.map(distinct).astype(object).where(column.notna(), MISSING)


def _text(value: object) -> str:
    text = str(value).strip()
    if text.lower() in {"", "nan", "none", "<na>"}:
        return MISSING
    if text.endswith(".0") and text[:-2].lstrip("-").isdigit():
        return text[:-2]
    return text


def _fit_numeric(name: str, values: npt.NDArray[np.float64], weight: npt.NDArray[np.float64]) -> Numeric:
    known = ~np.isnan(values)
    flag = not bool(known.all())
    total = math.fsum(weight[known])
    if total <= 0:
        return Numeric(name, 0.0, 1.0, flag)
    mean = math.fsum(weight[known] * values[known]) / total
    scale = math.sqrt(math.fsum(weight[known] * (values[known] - mean) ** 2) / total)
    # A constant's deviation is rounding noise; dividing by it would blow up the first value that differs.
    return Numeric(name, mean, scale if scale > 1e-9 * max(1.0, abs(mean)) else 1.0, flag)


def _fit_categorical(name: str, values: pd.Series[str], weight: npt.NDArray[np.float64]) -> Categorical:
    totals = pd.Series(weight).groupby(values.to_numpy()).sum()
    common = sorted(str(c) for c in totals.index[totals >= RARE_WEIGHT] if c != MISSING)
    rare = bool(((totals < RARE_WEIGHT) & (totals.index != MISSING)).any())
    tail = [MISSING] * (MISSING in totals.index) + [RARE] * rare
    return Categorical(name, (*common, *tail))


def _require(frame: pd.DataFrame, names: Sequence[str]) -> None:
    missing = [n for n in names if n not in frame.columns]
    if missing:
        raise TableError("metadata columns are missing", where="metadata", got=offenders(missing))
