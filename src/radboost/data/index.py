"""Data folder to cohort: read the table, find the images, scan their headers, link, split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TypedDict

import pandas as pd

from radboost.data import table as tables
from radboost.data.cohort import LINKS, METADATA, TARGETS, Cohort
from radboost.data.dicom import Header
from radboost.data.element_table import element_table
from radboost.data.frame_values import frame_values
from radboost.data.header_features import check_headers, header_features, widened
from radboost.data.identity import new_key
from radboost.data.journal import Journal
from radboost.data.locate import image_paths, walk
from radboost.data.long import header_columns
from radboost.data.manifest import build_links, build_manifest, chosen_frames
from radboost.data.pool import Limits
from radboost.data.progress import Progress, Silent
from radboost.data.roi.find import Eyes
from radboost.data.roi.table import finding_balance, outlined
from radboost.data.rows import Rows, read_rows
from radboost.data.scan import Reading, Scan, scan
from radboost.data.series import arrange
from radboost.data.slices.build import Source, see_studies
from radboost.data.slices.files import series_files
from radboost.data.splits import Balance, FoldSpec, by_group, make_folds, one_split, unit_balance
from radboost.data.task import Task
from radboost.errors import TableError, UserError

__all__ = ["IndexConfig", "Indexed", "index"]


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
    frames
        Which frames of a multi-frame file become crops: ``middle``, ``first`` or ``all``.
    new_exams
        The data are to be predicted: the task's table for new exams comes first, and nothing is split.
    workers
        Processes that read headers.
    limits
        What reading one file may cost.
    strict
        The first file that cannot be read ends the run.
    headers
        Which header features the cohort holds: ``none``, ``geometry``, ``pixels`` (which decodes every image) or
        ``all``, which also makes a table of every element; and in any case those that the task declares.
    journal
        File that takes down what was read, so that a run that was cut off goes on; to be removed by the caller once
        the cohort is saved. None: nothing is kept.
    """

    folds: FoldSpec = field(default_factory=FoldSpec)
    seed: int = 0
    key: bytes | None = field(default=None, repr=False)
    frames: str = "middle"
    new_exams: bool = False
    workers: int | None = None
    limits: Limits = field(default_factory=Limits)
    strict: bool = False
    headers: str = "none"
    journal: Path | None = None

    @property
    def reading(self) -> Reading:
        """How files are read."""
        return Reading(self.workers, self.limits, self.strict)


@dataclass(frozen=True)
class Indexed:
    """What `index` made.

    Attributes
    ----------
    cohort
        Not saved yet.
    skipped
        Number of files that are no images, and of table rows that say what another one said, by kind.
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
    PixelError
        `config.strict` is on and a file cannot be read.
    """
    config, progress = config or IndexConfig(), progress or Silent()
    check_headers(config.headers)
    whole = config.headers == "all"
    if task is not None:
        config = replace(config, headers=widened(config.headers, task.metadata.headers))
    with Journal(config.journal, root) as journal:
        job = _Job(root, config, journal, progress, whole)
        cohort = _folder(job) if task is None else _table(job, task)
    if set(cohort.cohort.manifest["path"]) <= set(cohort.cohort.quarantine["path"]):
        bad = len(cohort.cohort.quarantine)
        raise UserError(
            "holds no readable image", where=root, got=f"{bad} unreadable, {cohort.skipped.total()} skipped"
        )
    return cohort


@dataclass(frozen=True)
class _Job:
    """What both ways of indexing share."""

    root: Path
    config: IndexConfig
    journal: Journal
    progress: Progress
    whole: bool
    """Whether every element of the headers is asked for, and not only what the task widened the choice to."""

    def scan(self, paths: Sequence[str]) -> Scan:
        return scan(self.root, paths, self.config.reading, self.journal, self.progress)

    def scan_named(self, paths: pd.Series) -> Scan:
        """Read headers of what a table calls images, so that a file that is none is a fault, not a stray."""
        found = self.scan(sorted(set(paths)))
        for path, kind in found.skipped.items():
            found.set_aside(path, "no image", kind)
        return found

    def eyes(self, found: Scan) -> Eyes:
        return Eyes(self.root, self.config.reading, self.journal, self.progress, found)

    def manifest(
        self, crops: pd.DataFrame, found: Scan, key: bytes, where: Path | None = None
    ) -> tuple[pd.DataFrame, pd.Series, _Described]:
        """Make the manifest, the crop id of each row, and the tables that describe the crops."""
        arranged, config = arrange(found.headers), self.config
        manifest, ids = build_manifest(crops, found, arranged, key, where)
        described: _Described = {"series": arranged.table, "headers": None, "unit_features": None, "elements": None}
        if config.headers != "none":
            values = {}
            if config.headers != "geometry":
                sources = config.reading, self.journal
                values = frame_values(self.root, found, config.frames, sources, self.progress)
            described["headers"] = header_features(manifest, found, arranged, config.headers, values)
        if self.whole:
            how = config.reading, self.progress
            described["elements"] = element_table(self.root, manifest, found, key, how)
        return manifest, ids, described


class _Described(TypedDict):
    """Tables beside the manifest, by field of the cohort."""

    series: pd.DataFrame
    headers: pd.DataFrame | None
    unit_features: pd.DataFrame | None
    elements: pd.DataFrame | None


@dataclass(frozen=True)
class _Seen:
    """What tables and images say, before groups are dealt to folds.

    `task` is resolved; `crops` has a row a unit at least, with numeric metadata. `named` are files that are no images
    and no strays, `short` patches of background that did not fit.
    """

    task: Task
    rows: pd.DataFrame
    targets: pd.DataFrame
    crops: pd.DataFrame
    manifest: pd.DataFrame
    links: pd.DataFrame
    found: Scan
    described: _Described
    balance: Balance | None = None
    named: frozenset[str] = frozenset()
    short: int = 0

    def shares(self) -> Balance:
        """What folds shall share."""
        return self.balance or unit_balance(self.targets, self.crops, self.task)


def _table(job: _Job, task: Task) -> Indexed:
    root, config = job.root, job.config
    read = read_rows(root, task.origin or task, new_exams=config.new_exams)
    key = config.key or new_key()
    seen = (_images if task.volumes is None else _volumes)(job, task, read, key)
    rows, task = seen.rows, seen.task
    groups = rows[task.group].rename("group")
    column = None
    if config.folds.column:
        if config.folds.column not in rows.columns:
            raise TableError("has no such column for --folds", where=read.where, got=config.folds.column)
        column = by_group(groups, rows[config.folds.column], config.folds.column)
    if read.labelled and not config.new_exams:
        folds = make_folds(seen.shares(), config.folds, config.seed, column)
    else:
        folds = one_split(groups.unique())
    parts = (seen.manifest, seen.links, seen.targets, folds, key, seen.found.quarantine)
    skipped = _strays(root, {*seen.manifest["path"], *seen.found.headers, *read.files, *seen.named})
    skipped |= {
        name: n
        for name, n in (("rows said twice", read.again), ("background patches that did not fit", seen.short))
        if n
    }
    return Indexed(Cohort(root, task, *parts, **seen.described), skipped)


def _images(job: _Job, task: Task, read: Rows, key: bytes) -> _Seen:
    """One row an image."""
    base, rows, where = task.origin or task, read.table, read.where
    paths, found = image_paths(rows, base, where, job.root), None
    if base.from_headers:
        found = job.scan_named(paths)
        rows = header_columns(rows, base, paths, found, where)
    whole, balance, made = rows, None, None
    if base.regions is not None:
        # As for any table: its faults are told before a file is read.
        tables.unit_targets(rows, base, where, labelled=read.labelled)
        balance = finding_balance(rows, base, where)
        found = job.scan_named(paths) if found is None else found
        made = outlined(rows, paths, task, job.eyes(found), (where, job.config.seed))
        rows, paths = made.rows, made.paths
    targets = tables.unit_targets(rows, task, where, labelled=read.labelled)
    crops = pd.DataFrame(
        {
            "unit": tables.units(rows, task),
            "group": rows[task.group],
            "path": paths,
            "slot": tables.slots(rows, task, where),
            "laterality": tables.sides(rows, task, where),
            "view": rows[task.slots.column] if task.slots.column else "",
        }
    )
    features = tables.metadata(rows, task, where).add_prefix(METADATA)
    crops = crops.join(features).join(tables.boxes(rows, task, where))
    # Last of all that may fail: a fault in the table is told before any file is read.
    found = job.scan_named(paths) if found is None else found
    crops = chosen_frames(crops, found, job.config.frames)
    manifest, crops["crop_id"], described = job.manifest(crops, found, key, where)
    seen = _Seen(task, whole, targets, crops, manifest, build_links(crops, manifest, task), found, described)
    return seen if made is None else replace(seen, balance=balance, named=made.files, short=made.short)


def _volumes(job: _Job, task: Task, read: Rows, key: bytes) -> _Seen:
    """One row a unit, which sees slices of whole series."""
    rows, where = read.table, read.where
    targets = tables.unit_targets(rows, task, where, labelled=read.labelled)
    units = rows.assign(unit=tables.units(rows, task))
    features = units[["unit"]].join(tables.metadata(rows, task, where).add_prefix(METADATA))
    files = series_files(job.root, task, where, units)
    found = job.scan_named(files["path"])
    source = Source(job.root, files, found, job.config.reading)
    task, seen = see_studies(task, units, source, new_exams=job.config.new_exams)
    manifest, ids, described = job.manifest(seen.crops, found, key, where)
    if task.metadata.declared:
        described["unit_features"] = features
    return _Seen(task, rows, targets, features, manifest, seen.linked(ids, manifest), found, described)


def _strays(root: Path, named: set[str]) -> Counter[str]:
    """Count the files that the table does not name, by their ending; they are not opened."""
    endings = (PurePosixPath(path).suffix or "no ending" for path in walk(root) if path not in named)
    return Counter(f"not in the table: {ending}" for ending in endings)


def _folder(job: _Job) -> Indexed:
    root, config = job.root, job.config
    key = config.key or new_key()
    found = job.scan(list(walk(root)))
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
    crops = chosen_frames(crops, found, config.frames)
    manifest, crops["crop_id"], described = job.manifest(crops, found, key)
    links = manifest[["crop_id", "order"]].assign(unit=crops["unit"].to_numpy(), slot="image")[LINKS]
    targets = pd.DataFrame(columns=TARGETS).astype({"label": int, "task_weight": float})
    folds = one_split(crops["group"].unique())
    cohort = Cohort(root, None, manifest, links, targets, folds, key, found.quarantine, **described)
    return Indexed(cohort, Counter(found.skipped.values()))


def _patient(path: str, header: Header | None) -> str:
    return (header.patient_id if header else "") or str(PurePosixPath(path).parent)
