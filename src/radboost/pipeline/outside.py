"""Predictions made elsewhere: a competition's submission files, or plain tables, with their labels."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.cohort import Cohort
from radboost.data.folder import digest
from radboost.data.identity import keyed_hashes
from radboost.data.predictions import COLUMNS, PART, Predictions
from radboost.data.table import read_table
from radboost.data.task import AnyOf, Task
from radboost.data.wide import unit_columns
from radboost.errors import TableError, UserError, offenders

__all__ = ["Outside", "OutsideConfig", "read_outside"]

KNOWN = ("group", "fold", "weight")
"""Columns of a table of labels that are no labels."""
SUM_TO_ONE = 0.01
"""How far from one the classes of a unit may sum: files are written with few digits."""


@dataclass(frozen=True)
class OutsideConfig:
    """How outside predictions are read.

    Attributes
    ----------
    labels
        A table whose first column names the unit, with one column a class (1 for the true one, all 0 or empty where
        unlabelled) or a target (0, 1 or empty), and perhaps `group`, `fold` and `weight`; or a cohort's folder.
    group
        Regular expression that finds the group in a unit's name, for labels without a column `group`; not needed where
        the task's units are named after their group and a heading of its wide table.
    class_weights
        Task weight of a unit by its class; 1, or the task's, for those not named.
    task
        Names the targets of a table, and brings their class weights and constraints; a cohort has its own.
    missing
        ``renormalise``: a row of a file with an empty cell is as if it were not there.
    """

    labels: Path
    group: str | None = None
    class_weights: Mapping[str, float] = field(default_factory=dict)
    task: Task | None = None
    missing: str = "error"


@dataclass(frozen=True)
class Outside:
    """Outside predictions, ready to be blended.

    Attributes
    ----------
    predictions
        One member a file, units and groups hashed.
    classes
        Names of the classes by target; of a binary target its own name only.
    key_id
        Tells whose hashes these are.
    constraints
        Between targets, of the task where one is known.
    any_part
        The task's, where its metric is a mean over parts and the units' names tell them.
    """

    predictions: Predictions
    classes: dict[str, tuple[str, ...]]
    key_id: str
    constraints: tuple[AnyOf, ...] = ()
    any_part: str | None = None


@dataclass(frozen=True)
class _Truth:
    """Labels by unit name, as a table with one column a target (class number, -1 unlabelled)."""

    label: pd.DataFrame
    weight: pd.DataFrame
    group: pd.Series
    fold: pd.Series
    classes: dict[str, tuple[str, ...]]
    key: bytes
    fold_hash: str
    constraints: tuple[AnyOf, ...] = ()
    part: pd.Series | None = None


def read_outside(files: Sequence[Path], config: OutsideConfig) -> Outside:
    """Read prediction files that share one layout.

    Parameters
    ----------
    files
        CSV, TSV or parquet: the unit in the first column, then one column a class, which sum to one, or a target. A
        file's name is its member's.
    config
        Where the labels are.

    Raises
    ------
    TableError
        Files differ in layout, a cell is no probability, a unit stands twice, or labels do not fit.
    UserError
        No group is to be found, or two files have one name.
    """
    names = [path.stem for path in files]
    if len(set(names)) < len(names):
        raise UserError("two files have one name, which names the member", got=offenders(sorted(names)))
    tables = [_numbers(path) for path in files]
    if config.missing == "renormalise":
        tables = [table.dropna() for table in tables]
    columns = list(tables[0].columns)
    for path, table in zip(files, tables, strict=True):
        if list(table.columns) != columns:
            do = f"{files[0].name} has {', '.join(columns)}"
            raise TableError("has other columns than the first file", where=path, got=", ".join(table.columns), do=do)
        _probabilities(table, path)
    several = len(columns) > 1 and all(_sums_to_one(table) for table in tables)
    truth = (
        _of_cohort(config, columns)
        if (config.labels / "cohort.json").is_file()
        else _of_table(config, columns, several)
    )
    parts = [
        part for name, table in zip(names, tables, strict=True) for part in _rows(name, table, truth, config.labels)
    ]
    long = pd.concat(parts, ignore_index=True).assign(target_weight=1.0, fold_hash=truth.fold_hash, kind="regular")
    key_id = hashlib.blake2b(truth.key, digest_size=16).hexdigest()
    columns = [*COLUMNS, *([PART] if truth.part is not None else [])]
    parts_of = config.task.parts if config.task and truth.part is not None else None
    any_part = parts_of.any_part if parts_of else None
    made = Predictions(long[columns].astype(COLUMNS))
    return Outside(made, truth.classes, key_id, truth.constraints, any_part)


def _numbers(path: Path) -> pd.DataFrame:
    """Read a table of numbers by unit; an empty cell is NaN."""
    table = read_table(path)
    unit = table.columns[0]
    twice = table[unit][table[unit].duplicated()].tolist()
    if twice:
        raise TableError("names a unit twice", where=path, got=offenders(twice))
    table = table.set_index(unit)
    values = {name: pd.to_numeric(table[name].replace("", np.nan), errors="coerce") for name in table.columns}
    for name, column in values.items():
        bad = table[name][column.isna() & (table[name] != "")].tolist()
        if bad and name != "group":
            raise TableError(f"column {name} holds text", where=path, got=offenders(bad))
        if name == "group":
            values[name] = table[name]
    return pd.DataFrame(values, index=table.index.astype(str))


def _probabilities(table: pd.DataFrame, path: Path) -> None:
    cells = table.to_numpy(float)
    bad = cells[~((cells >= 0) & (cells <= 1))]
    if bad.size or not cells.size:
        raise TableError(
            "probabilities must lie in [0, 1], and none may be missing", where=path, got=offenders(bad.tolist())
        )


def _sums_to_one(table: pd.DataFrame) -> bool:
    return bool((np.abs(table.to_numpy(float).sum(axis=1) - 1) <= SUM_TO_ONE).all())


def _of_table(config: OutsideConfig, columns: list[str], several: bool) -> _Truth:
    table = _numbers(config.labels)
    lacking = [name for name in columns if name not in table.columns]
    if lacking:
        do = f"It has {', '.join(table.columns)}"
        raise TableError("lacks labels for what was predicted", where=config.labels, got=offenders(lacking), do=do)
    given = table[columns].to_numpy(float)
    if not np.isin(given[~np.isnan(given)], (0, 1)).all():
        raise TableError("labels must be 0, 1 or empty", where=config.labels)
    classes = _classes(columns, config.task, several=several)
    if len(classes) == 1 and len(columns) > 1:
        (target,) = classes
        known = np.nansum(given, axis=1)
        if (known > 1).any():
            units = table.index[known > 1].tolist()
            raise TableError("units have several true classes", where=config.labels, got=offenders(units))
        label = pd.DataFrame({target: np.where(known == 1, np.nan_to_num(given).argmax(axis=1), -1)}, index=table.index)
    else:
        label = table[columns].fillna(-1).astype(int)
    unknown = sorted(set(config.class_weights) - set(columns))
    if unknown:
        do = f"Classes: {', '.join(columns)}"
        raise UserError("no such class", where="--class-weight", got=offenders(unknown), do=do)
    own = table["weight"].fillna(1.0) if "weight" in table.columns else pd.Series(1.0, table.index)
    weight = pd.DataFrame({name: own * _by_class(label[name], name, classes[name], config) for name in classes})
    fold = table["fold"].fillna(0).astype(int) if "fold" in table.columns else pd.Series(0, table.index)
    # Hashed under what the labels say, so that blends of the same labels can be compared.
    key = hashlib.sha256(pd.util.hash_pandas_object(table, index=True).to_numpy().tobytes()).digest()
    fold_hash = digest(sorted(fold.to_dict().items()))
    constraints = config.task.constraints if config.task else ()
    told = unit_columns(config.task, list(table.index), config.labels) if config.task else None
    part = None
    if told is not None and config.task is not None and config.task.parts is not None:
        part = told[config.task.parts.column].set_axis(table.index)
    group = _groups(table, config, None if told is None or config.task is None else told[config.task.group])
    return _Truth(label, weight, group, fold, classes, key, fold_hash, constraints, part)


def _classes(columns: list[str], task: Task | None, *, several: bool) -> dict[str, tuple[str, ...]]:
    """Classes by target, in the order of the columns."""
    if task is None:
        return {"label": tuple(columns)} if several else {name: (name,) for name in columns}
    if any(not target.binary for target in task.targets) and len(task.targets) > 1:
        do = "Blend the files of one target at a time, without --task"
        raise UserError("has several targets of several classes", where="--task", got=task.name, do=do)
    wanted = [name for t in task.targets for name in ((t.name,) if t.binary else t.classes)]
    if sorted(wanted) != sorted(columns):
        got, do = ", ".join(columns), f"Task {task.name} has {', '.join(wanted)}"
        raise TableError("the files do not predict what the task asks for", got=got, do=do)
    first = task.targets[0]
    return {name: (name,) for name in columns} if first.binary else {first.name: tuple(columns)}


def _by_class(label: pd.Series, target: str, names: tuple[str, ...], config: OutsideConfig) -> npt.NDArray[np.float64]:
    known = config.task.target(target) if config.task else None
    # The weight of a binary target's name is that of its positives.
    classes = ("", names[0]) if len(names) == 1 else names
    order = range(len(classes)) if known is None or known.binary else [known.classes.index(name) for name in classes]
    given = known.weights if known and known.weights else (1.0,) * len(classes)
    weights = [config.class_weights.get(name, given[k]) for name, k in zip(classes, order, strict=True)]
    return np.asarray(np.array([*weights, 1.0])[label.to_numpy()], np.float64)


def _groups(table: pd.DataFrame, config: OutsideConfig, told: pd.Series | None = None) -> pd.Series:
    if config.group is None and "group" in table.columns:
        return table["group"].astype(str)
    if config.group is None and told is not None:
        return told.set_axis(table.index)
    if config.group is None:
        do = "Add a column group to the labels, or give --group REGEX that finds it in a unit's name, as '^[0-9]+'"
        raise UserError("do not say which units belong to one patient", where=config.labels, do=do)
    try:
        pattern = re.compile(config.group)
    except re.error as error:
        raise UserError("is no regular expression", where="--group", got=f"{config.group}: {error}") from error
    found = [pattern.search(unit) for unit in table.index]
    lost = [unit for unit, match in zip(table.index, found, strict=True) if match is None]
    if lost:
        raise UserError("finds no group in units", where="--group", got=offenders(lost))
    return pd.Series([match[0] for match in found if match is not None], table.index)


def _of_cohort(config: OutsideConfig, columns: list[str]) -> _Truth:
    cohort = Cohort.load(config.labels)
    task = cohort.need_task()
    if cohort.key is None:
        do = "Give the cohort that it was shared from"
        raise UserError("a shared cohort does not tell the units' names", where=config.labels, do=do)
    if config.group is not None or config.class_weights or config.task is not None:
        raise UserError(
            "a cohort has groups, weights and a task of its own", where=config.labels, do="Leave the options out"
        )
    classes = {t.name: (t.name,) if t.binary else t.classes for t in task.targets}
    wanted = [name for names in classes.values() for name in names]
    if sorted(wanted) != sorted(columns):
        got, do = ", ".join(columns), f"Task {task.name} has {', '.join(wanted)}"
        raise TableError("the files do not predict what the cohort's task asks for", got=got, do=do)
    label, weight = (
        cohort.targets.pivot(index="unit", columns="target", values=name) for name in ("label", "task_weight")
    )
    units = cohort.units.set_index("unit").loc[label.index]
    return _Truth(label, weight, units["group"], units["fold"], classes, cohort.key, cohort.fold_hash, task.constraints)


def _rows(name: str, table: pd.DataFrame, truth: _Truth, where: Path) -> list[pd.DataFrame]:
    """Rows of one member: every unit that it predicted and the labels know."""
    strangers = table.index.difference(truth.label.index)
    if len(strangers):
        do = "Give every unit a row, with empty cells where it is unlabelled"
        raise TableError(f"lacks units that {name} predicted", where=where, got=offenders(strangers.tolist()), do=do)
    table = table.sort_index()
    units = keyed_hashes(truth.key, "unit", table.index)
    parts = []
    for target, names in truth.classes.items():
        label = truth.label[target].loc[table.index].to_numpy()
        first = 1 if len(names) == 1 else 0
        for number, column in enumerate(names, start=first):
            extra = {} if truth.part is None else {PART: truth.part.loc[table.index].to_numpy()}
            parts.append(
                pd.DataFrame(
                    {
                        **extra,
                        "unit": units,
                        "target": target,
                        "class": number,
                        "y": np.where(label < 0, np.nan, (label == number).astype(float)),
                        "p": table[column].to_numpy(),
                        "member": name,
                        "task_weight": truth.weight[target].loc[table.index].to_numpy(),
                        "group": keyed_hashes(truth.key, "group", truth.group.loc[table.index]),
                        "fold": truth.fold.loc[table.index].to_numpy(),
                    }
                )
            )
    return parts
