"""Data folder to cohort: read the table, find the images, scan their headers, link, split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from radboost.data import table as tables
from radboost.data.cohort import LINKS, METADATA, TARGETS, TRAIN, Cohort
from radboost.data.dicom import Header
from radboost.data.identity import keyed_hash, new_key
from radboost.data.locate import find_table, image_paths, walk
from radboost.data.pool import Limits
from radboost.data.progress import Progress, Silent
from radboost.data.scan import Scan, scan
from radboost.data.splits import Balance, FoldSpec, by_group, make_folds
from radboost.data.task import OPPOSITE, Task
from radboost.errors import TableError, UserError, offenders

__all__ = ["IndexConfig", "Indexed", "index"]

MIDDLE_FRAME = -1


@dataclass(frozen=True)
class IndexConfig:
    """How a data folder becomes a cohort.

    Attributes
    ----------
    folds
        See `radboost.data.splits.FoldSpec`.
    seed
        Seed of the fold assignment.
    key
        Key of another cohort whose stores shall join with this one's; a fresh one if None.
    new_exams
        The data are to be predicted: the task's table for new exams comes first, and nothing is split.
    workers
        Processes that read headers.
    limits
        What reading one file may cost.
    """

    folds: FoldSpec = field(default_factory=FoldSpec)
    seed: int = 0
    key: bytes | None = field(default=None, repr=False)
    new_exams: bool = False
    workers: int | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Indexed:
    """What `index` made.

    Attributes
    ----------
    cohort
        Not saved yet.
    skipped
        Number of files that are no images, by kind.
    """

    cohort: Cohort
    skipped: Counter[str]


def index(
    root: Path, task: Task | None, config: IndexConfig | None = None, progress: Progress | None = None
) -> Indexed:
    """Turn a data folder into a cohort.

    Parameters
    ----------
    root
        The data folder. With a task, it holds the task's table; without one, any image below it becomes a crop.
    task
        What the data set is, or None.
    config, progress
        How, and who listens.

    Returns
    -------
    Indexed

    Raises
    ------
    UserError
        The folder is missing or holds no image.
    TableError
        The table lacks a column, holds a value the task does not allow, or names a file that is not there.
    """
    config, progress = config or IndexConfig(), progress or Silent()
    cohort = _folder(root, config, progress) if task is None else _table(root, task, config, progress)
    if set(cohort.cohort.manifest["path"]) <= set(cohort.cohort.quarantine["path"]):
        bad = len(cohort.cohort.quarantine)
        raise UserError(
            "holds no readable image", where=root, got=f"{bad} unreadable, {cohort.skipped.total()} skipped"
        )
    return cohort


def _table(root: Path, task: Task, config: IndexConfig, progress: Progress) -> Indexed:
    where = find_table(root, task, prefer_test=config.new_exams)
    rows = tables.read_table(where)
    # A table for new exams has no label columns; the labelled one must have them all.
    labelled = any(t.column in rows.columns for t in task.targets) or where.name == task.table != task.test_table
    tables.check_columns(rows, task, where, labelled=labelled and not config.new_exams)
    labelled = labelled and all(t.column in rows.columns for t in task.targets)
    key = config.key or new_key()
    targets = tables.unit_targets(rows, task, where, labelled=labelled)
    crops = pd.DataFrame(
        {
            "unit": tables.units(rows, task),
            "group": rows[task.group],
            "path": image_paths(rows, task, where, root),
            "slot": tables.slots(rows, task, where),
            "laterality": tables.sides(rows, task, where),
            "view": rows[task.slots.column] if task.slots.column else "",
        }
    )
    features = tables.metadata(rows, task, where).add_prefix(METADATA)
    _one_value(crops["path"], features, where)
    crops = crops.join(features)
    found = scan(root, sorted(set(crops["path"])), config.workers, config.limits, progress)
    # The table calls it an image, so a file that is none is a fault, not a stray.
    found.bad += [(path, "no image", kind) for path, kind in found.skipped.items()]
    manifest = _manifest(crops, found, key)
    links = _links(crops, manifest, task)
    groups = rows[task.group].rename("group")
    column = None
    if config.folds.column:
        if config.folds.column not in rows.columns:
            raise TableError("has no such column for --folds", where=where, got=config.folds.column)
        column = by_group(groups, rows[config.folds.column], config.folds.column)
    if labelled and not config.new_exams:
        folds = make_folds(_balance(targets, crops, task), config.folds, config.seed, column)
    else:
        folds = _one_split(groups.unique())
    return Indexed(Cohort(root, task, manifest, links, targets, folds, key, found.quarantine), Counter())


def _one_value(paths: pd.Series, features: pd.DataFrame, where: Path) -> None:
    """Metadata are kept with the image, so rows that share one must agree."""
    counts = features.groupby(paths).nunique(dropna=False).gt(1)
    for name in counts.columns[counts.any()]:
        what = f"rows of one image disagree about {name.removeprefix(METADATA)}"
        raise TableError(what, where=where, got=offenders(counts.index[counts[name]].tolist()))


def _folder(root: Path, config: IndexConfig, progress: Progress) -> Indexed:
    key = config.key or new_key()
    found = scan(root, list(walk(root)), config.workers, config.limits, progress)
    paths, headers = list(found.headers), list(found.headers.values())
    crops = pd.DataFrame(
        {
            "path": paths,
            # Without a patient in the header, files of one folder are taken to belong together: never split them.
            "group": [_patient(p, h) for p, h in zip(paths, headers, strict=True)],
            "laterality": [h.laterality if h else "" for h in headers],
            "view": [h.view if h else "" for h in headers],
        }
    )
    instances = pd.Series([h.instance_uid if h else "" for h in headers], dtype=object)
    # A file copied under two names carries one UID; the path tells the two apart.
    unique = (instances != "") & ~instances.duplicated(keep=False)
    crops["unit"] = instances.where(unique, crops["path"])
    manifest = _manifest(crops, found, key)
    links = manifest[["crop_id"]].assign(unit=crops["unit"].to_numpy(), slot="image", order=0.0)[LINKS]
    targets = pd.DataFrame(columns=TARGETS).astype({"label": int, "task_weight": float})
    folds = _one_split(crops["group"].unique())
    cohort = Cohort(root, None, manifest, links, targets, folds, key, found.quarantine)
    return Indexed(cohort, Counter(found.skipped.values()))


def _patient(path: str, header: Header | None) -> str:
    return (header.patient_id if header else "") or str(PurePosixPath(path).parent)


def _one_split(groups: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"group": np.sort(groups.astype(str)), "fold": -1, "split": TRAIN})


def _manifest(crops: pd.DataFrame, found: Scan, key: bytes) -> pd.DataFrame:
    """One row a crop in the order of the table.

    An image that a table names stays in even if it is in quarantine: its unit keeps its metadata, and `extract` finds
    no crop for it.
    """
    rows = crops.drop_duplicates("path")
    rows = rows.drop(columns=[c for c in ("unit", "slot") if c in rows.columns])
    headers: list[Header | None] = [found.headers.get(p) for p in rows["path"]]
    return rows.assign(
        crop_id=[keyed_hash(key, "crop", p, found.marks.get(p, ""), MIDDLE_FRAME) for p in rows["path"]],
        frame=MIDDLE_FRAME,
        study=[h.study_uid if h else "" for h in headers],
        series=[h.series_uid if h else "" for h in headers],
        instance=[h.instance_uid if h else "" for h in headers],
        order=[float(h.instance_number or 0) if h else 0.0 for h in headers],
        rows=[h.rows if h else -1 for h in headers],
        columns=[h.columns if h else -1 for h in headers],
        # Pictures have an ending where DICOM has a transfer syntax.
        syntax=[h.transfer_syntax if h else Path(p).suffix for p, h in zip(rows["path"], headers, strict=True)],
    ).reset_index(drop=True)


def _links(crops: pd.DataFrame, manifest: pd.DataFrame, task: Task) -> pd.DataFrame:
    own = crops[["unit", "group", "path", "slot", "laterality"]].merge(
        manifest[["path", "crop_id", "order"]], on="path"
    )
    links = [own[["unit", "crop_id", "slot", "order"]]]
    if task.slots.side is not None:
        pairs = pd.DataFrame(_opposites(crops, task), columns=["unit", "opposite"])
        other = pairs.merge(own, left_on="opposite", right_on="unit", suffixes=("", "_other"))
        links.append(other.assign(slot=other["slot"] + OPPOSITE)[LINKS])
    both = pd.concat(links, ignore_index=True).drop_duplicates(["unit", "crop_id", "slot"])
    return both.sort_values(["unit", "slot", "order", "crop_id"], ignore_index=True)


def _opposites(crops: pd.DataFrame, task: Task) -> Iterator[tuple[str, str]]:
    """Pairs of units of one group that see opposite sides."""
    sides = crops.drop_duplicates("unit")[["unit", "group", "laterality"]]
    for _, members in sides.groupby("group", sort=False):
        left = members["unit"][members["laterality"] == "L"]
        right = members["unit"][members["laterality"] == "R"]
        for a in left:
            for b in right:
                yield a, b
                yield b, a


def _balance(targets: pd.DataFrame, crops: pd.DataFrame, task: Task) -> Balance:
    """What folds shall share: classes of each target, crops, and quartiles of numeric metadata."""
    wide = targets.pivot(index="unit", columns="target", values="label")
    labels = {
        f"{t.name}={t.classes[k]}": (wide[t.name] == k).astype(float)
        for t in task.targets
        for k in range(1, len(t.classes))
    }
    covariates = {"crops": crops["unit"].value_counts().reindex(wide.index).fillna(0).astype(float)}
    for name in task.metadata.numeric:
        values = crops.groupby("unit")[METADATA + name].mean().reindex(wide.index)
        for number, edge in enumerate(np.unique(values.quantile([0.25, 0.5, 0.75]).dropna())):
            covariates[f"{name} above {number}"] = (values > edge).astype(float)
    group = targets.drop_duplicates("unit").set_index("unit")["group"].reindex(wide.index)
    return Balance(group, pd.DataFrame(labels), pd.DataFrame(covariates))
