"""Predictions: the only currency of blend and report.

One long table. A binary target has one row a unit and member, class 1, with ``p`` the probability of a positive; a
target of several classes has one row a class, ``y`` being 1 for the true one. ``y`` is NaN where a unit is unlabelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.task import Target
from radboost.errors import FormatError, MismatchError, offenders

__all__ = ["COLUMNS", "KINDS", "PART", "Block", "Predictions", "class_rows", "member_name"]

KINDS = ("regular", "weighted", "external")
"""regular: fitted under the task's weights; weighted: under the target set's too; external: units never trained on."""

COLUMNS: dict[str, str] = {
    "unit": "str",
    "target": "str",
    "class": "int16",
    "y": "float64",
    "p": "float64",
    "member": "str",
    "kind": "str",
    "task_weight": "float64",
    "target_weight": "float64",
    "group": "str",
    "fold": "int16",
    "fold_hash": "str",
}
PART = "part"
"""A further column, where the task's metric is a mean over parts: the part that a unit belongs to."""
_KEY = ["unit", "target", "class", "member", "kind"]


def member_name(member: str, kind: str) -> str:
    """Name a member so that its weighted twin can be told apart.

    >>> member_name("mlp/fused", "weighted"), member_name("mlp/fused", "regular")
    ('mlp/fused (weighted)', 'mlp/fused')
    """
    return f"{member} (weighted)" if kind == "weighted" else member


def class_rows(
    target: Target, label: npt.NDArray[np.int64], p: npt.NDArray[np.float64], others: Mapping[str, Any]
) -> pd.DataFrame:
    """Rows of one member's predictions of one target: a row for each unit and class that predictions hold.

    Parameters
    ----------
    target
        What is predicted.
    label
        True class numbers (n,), -1 unlabelled: their y is NaN.
    p
        Probabilities (n, classes); what rounding has put outside of 0 to 1 is brought back.
    others
        The other columns of `COLUMNS`, one value a unit or one for all. A `PART` that is None is left out.
    """
    kept = {name: values for name, values in others.items() if values is not None}
    columns = [*COLUMNS, *([PART] if PART in kept else [])]
    parts = []
    for number in target.predicted:
        y = np.where(label >= 0, (label == number).astype(np.float64), np.nan)
        own = {"target": target.name, "class": number, "y": y, "p": np.clip(p[:, number], 0.0, 1.0)}
        parts.append(pd.DataFrame({**kept, **own}, index=np.arange(len(label)))[columns])
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True)
class Block:
    """The predictions of all members for one target, aligned by unit: fields are cut together, never apart.

    Attributes
    ----------
    target
        Name of the target.
    classes
        Class numbers in the order of the last axis of `p`; ``(0, 1)`` for a binary target.
    members
        Pairs (member, kind) in the order of the middle axis of `p`.
    unit, group, fold
        Hashed unit (n,), hashed group (n,), outer fold (n,); -1 is "in no fold".
    label
        True class as a position in `classes` (n,); -1 where unlabelled.
    p
        Probabilities (n, members, classes); NaN where a member did not predict a unit.
    task_weight, target_weight
        The two named weights (n,), not negative.
    part
        Part of the metric (n,); None where it has none.
    """

    target: str
    classes: tuple[int, ...]
    members: tuple[tuple[str, str], ...]
    unit: np.ndarray
    group: np.ndarray
    fold: np.ndarray
    label: np.ndarray
    p: np.ndarray
    task_weight: np.ndarray
    target_weight: np.ndarray
    part: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.unit)

    def take(self, rows: np.ndarray) -> Block:
        """Cut every aligned field to `rows` (positions or a mask)."""
        return Block(
            self.target,
            self.classes,
            self.members,
            self.unit[rows],
            self.group[rows],
            self.fold[rows],
            self.label[rows],
            self.p[rows],
            self.task_weight[rows],
            self.target_weight[rows],
            None if self.part is None else self.part[rows],
        )


@dataclass(frozen=True)
class Predictions:
    """A validated long table of predictions.

    Attributes
    ----------
    table
        Columns as in `COLUMNS`, and `PART` where units belong to parts; one row a (unit, target, class, member, kind).
    """

    table: pd.DataFrame

    def __post_init__(self) -> None:
        missing = [c for c in COLUMNS if c not in self.table.columns]
        if missing:
            raise FormatError("predictions lack columns", got=offenders(missing))
        bad = ~self.table["p"].between(0.0, 1.0)
        if bad.any():
            raise FormatError("probabilities must lie in [0, 1]", got=offenders(self.table.loc[bad, "p"].tolist()))
        kinds = sorted(set(self.table["kind"].unique()) - set(KINDS))
        if kinds:
            raise FormatError("unknown kind of prediction", got=offenders(kinds), do=f"Known: {', '.join(KINDS)}")
        twice = self.table.duplicated(_KEY)
        if twice.any():
            raise FormatError("a member predicts a unit twice", got=f"{int(twice.sum())} repeated rows")

    @classmethod
    def read(cls, path: Path) -> Predictions:
        """Read a predictions file; raises FormatError if it is damaged."""
        try:
            table = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise FormatError("cannot be read as predictions", where=path, got=type(error).__name__) from error
        return cls(table)

    def write(self, path: Path) -> None:
        """Write as parquet, columns in the order of `COLUMNS`."""
        self.table[self.columns].astype(COLUMNS).to_parquet(path, index=False)

    @property
    def columns(self) -> list[str]:
        """Its columns, in their order."""
        return [*COLUMNS, *([PART] if PART in self.table.columns else [])]

    @property
    def targets(self) -> list[str]:
        """Targets in their first-seen order."""
        return [str(t) for t in self.table["target"].unique()]

    @property
    def weighted_for_target(self) -> bool:
        """Whether weights that simulate a target set were given to the run."""
        return bool((self.table["target_weight"] != 1.0).any())

    @staticmethod
    def join(parts: Iterable[Predictions]) -> Predictions:
        """Put several runs' predictions under one another.

        Raises
        ------
        MismatchError
            They were made on other folds, or disagree about a label or a weight, so they cannot be compared.
        """
        table = pd.concat([p.table[p.columns] for p in parts], ignore_index=True)
        hashes = table["fold_hash"].unique()
        if len(hashes) > 1:
            do = "Blend runs of one cohort with one fold assignment only"
            raise MismatchError("the runs were made on different folds", got=offenders([h[:12] for h in hashes]), do=do)
        facts = table.groupby(["unit", "target", "class"], sort=False)[["y", "task_weight", "target_weight", "fold"]]
        differs = facts.nunique(dropna=False).gt(1).any()
        if differs.any():
            names = [str(n) for n in differs.index[differs]]
            advice = "Fit all of them with the same --weights, or none" if names == ["target_weight"] else None
            raise MismatchError("the runs disagree about the same units", got=offenders(names), do=advice)
        return Predictions(table)

    def blocks(self) -> Iterator[Block]:
        """Yield one aligned block a target, units in sorted order."""
        for target, part in self.table.groupby("target", sort=False):
            yield _block(str(target), part)


def _block(target: str, part: pd.DataFrame) -> Block:
    classes = sorted(int(c) for c in part["class"].unique())
    binary = classes == [1]
    members = list(part[["member", "kind"]].drop_duplicates().itertuples(index=False, name=None))
    units = np.sort(part["unit"].unique().astype(str))
    rows = np.searchsorted(units, part["unit"].to_numpy(str))
    place = {m: i for i, m in enumerate(members)}
    columns = np.array([place[m] for m in zip(part["member"], part["kind"], strict=True)])
    width = 2 if binary else len(classes)
    p = np.full((len(units), len(members), width), np.nan)
    if binary:
        p[rows, columns, 1] = part["p"].to_numpy()
        p[:, :, 0] = 1.0 - p[:, :, 1]
    else:
        p[rows, columns, np.searchsorted(classes, part["class"].to_numpy())] = part["p"].to_numpy()
    first = part.drop_duplicates("unit").set_index("unit").loc[units]
    return Block(
        target=target,
        classes=(0, 1) if binary else tuple(classes),
        members=tuple((str(m), str(k)) for m, k in members),
        unit=units,
        group=first["group"].to_numpy(str),
        fold=first["fold"].to_numpy(np.int64),
        label=_labels(part, units, binary),
        p=p,
        task_weight=first["task_weight"].to_numpy(float),
        target_weight=first["target_weight"].to_numpy(float),
        part=first[PART].fillna("").to_numpy(str) if PART in first.columns else None,
    )


def _labels(part: pd.DataFrame, units: np.ndarray, binary: bool) -> np.ndarray:
    wide = part.drop_duplicates(["unit", "class"]).pivot(index="unit", columns="class", values="y").loc[units]
    y = wide.to_numpy(float)
    labelled = ~np.isnan(y).any(axis=1)
    label = np.full(len(units), -1)
    label[labelled] = y[labelled, 0].astype(int) if binary else y[labelled].argmax(axis=1)
    return label
