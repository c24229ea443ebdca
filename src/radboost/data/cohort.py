"""A cohort: manifest, links, targets and folds of one data set. It alone holds ids and paths; a shared one has none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from radboost.data.folder import FORMATS, digest, new_folder, read_header, write_header, write_text
from radboost.data.identity import keyed_hash, keyed_hashes, read_key
from radboost.data.task import OPPOSITE, Task
from radboost.errors import FormatError, MismatchError, UserError, offenders

__all__ = [
    "BOX",
    "FORMAT",
    "LINKS",
    "METADATA",
    "NO_BOX",
    "QUARANTINE",
    "SERIES",
    "TARGETS",
    "TRAIN",
    "UNIT_FEATURES",
    "Cohort",
    "Shared",
    "fold_hash",
]

FORMAT = FORMATS["cohort"]
TRAIN = "train"
"""Name of the split that cross-validation runs over; every other split is held out."""

BOX = ["box_left", "box_top", "box_right", "box_bottom", "box_unit"]
"""Where a crop lies in its frame, from the table; NaN and no unit where the table gives no box."""
NO_BOX: dict[str, float | str] = dict.fromkeys(BOX[:4], math.nan) | {"box_unit": ""}
"""The box columns of a crop without one."""
MANIFEST = ["crop_id", "path", "frame", "group", "study", "series", "instance", "order", "laterality", "view", *BOX]
LINKS = ["unit", "crop_id", "slot", "order"]
TARGETS = ["unit", "group", "target", "label", "task_weight"]
FOLDS = ["group", "fold", "split"]
QUARANTINE = ["path", "kind", "reason"]
SERIES = ["series", "study", "modality", "files", "ordered_by", "first", "last", "distance", "gaps", "duplicates"]
UNIT_FEATURES = "unit_features.parquet"
"""Its file, there only where units have features of their own."""
TABLES = ("manifest", "links", "targets", "folds", "series")
METADATA = "metadata."
"""Prefix of a task's metadata columns in the manifest."""


def fold_hash(folds: pd.DataFrame, groups: list[str]) -> str:
    """Hash an assignment of hashed groups to folds; equal hashes mean comparable out-of-fold predictions."""
    rows = sorted(zip(groups, folds["fold"].astype(int), folds["split"].astype(str), strict=True))
    return digest([list(r) for r in rows])


@dataclass(frozen=True)
class Shared:
    """What stands in a shared cohort for the key and for the order of names that it no longer has.

    Attributes
    ----------
    key_id
        Of the private cohort's key.
    units
        Hashed units in the order of their readable names, so that what is learnt does not depend on the key.
    """

    key_id: str
    units: tuple[str, ...]


@dataclass(frozen=True)
class Cohort:
    """One data set, ready for `extract` and `fit-boost`.

    Attributes
    ----------
    root
        The data folder that the manifest's paths are relative to.
    task
        The task, or None for a folder of images without one.
    manifest
        One row a crop: `crop_id` (keyed hash), `path` (posix, relative), `frame` (-1: the middle one), `group`,
        `study`, `series`, `instance`, `order`, `laterality`, `view`, the box of `BOX`, and the task's columns as
        ``metadata.<name>``.
    links
        Which crops a unit sees: `unit`, `crop_id`, `slot`, `order`. Many to many.
    targets
        One row a unit and target: `unit`, `group`, `target`, `label` (class number, -1 unlabelled), `task_weight`.
    folds
        One row a group: `group`, `fold` (0..k-1, -1 outside cross-validation), `split` ("train" or a held-out name).
    key
        32 secret bytes behind every hashed name; None in a shared cohort.
    quarantine
        Files that could not be used: `path`, `kind`, `reason`.
    folder
        Where it was loaded from; None before it is saved.
    shared
        Given for a shared cohort: `unit` and `group` are hashed, and there are neither files nor a key.
    series
        One row a series, see `radboost.data.series.Arranged`.
    headers
        Header features, one row a crop; None where none were asked for, and once saved: see `header_features`.
    unit_features
        The task's columns as ``metadata.<name>``, one row a `unit`, where units that differ in them share crops; None
        where the manifest has them.
    elements
        Every element of the headers, one row an image, see `radboost.data.element_table`; None where they were not
        asked for, and once saved.
    """

    root: Path
    task: Task | None
    manifest: pd.DataFrame
    links: pd.DataFrame
    targets: pd.DataFrame
    folds: pd.DataFrame
    key: bytes | None = field(repr=False)
    quarantine: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=QUARANTINE))
    folder: Path | None = None
    shared: Shared | None = field(default=None, repr=False)
    series: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=SERIES))
    headers: pd.DataFrame | None = None
    unit_features: pd.DataFrame | None = None
    elements: pd.DataFrame | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, table, columns in (
            ("manifest", self.manifest, MANIFEST),
            ("links", self.links, LINKS),
            ("targets", self.targets, TARGETS),
            ("folds", self.folds, FOLDS),
        ):
            missing = [c for c in columns if c not in table.columns]
            if missing:
                raise FormatError(f"the cohort's {name} lacks columns", where=self.folder, got=offenders(missing))
        if (self.key is None) != (self.shared is not None):
            raise FormatError("a cohort has a key, or is shared and has none", where=self.folder)
        if self.manifest["crop_id"].duplicated().any():
            raise FormatError("the cohort's manifest names a crop twice", where=self.folder)
        split = self.folds["group"].duplicated()
        if split.any():
            got = f"{int(split.sum())} groups"
            raise FormatError("a group stands in two folds", where=self.folder, got=got, do="Index the cohort anew")

    @cached_property
    def units(self) -> pd.DataFrame:
        """One row a unit, sorted by unit: `unit`, `group`, `unit_id`, `group_id` (both hashed), `fold`, `split`.

        Holds every unit that is linked to a crop or has a target row, so a unit whose images are all in quarantine is
        still predicted.
        """
        linked = self.links[~self.links["slot"].str.endswith(OPPOSITE)]
        linked = linked.merge(self.manifest[["crop_id", "group"]], on="crop_id")[["unit", "group"]]
        units = pd.concat([self.targets[["unit", "group"]], linked]).drop_duplicates()
        straddling = units["unit"][units["unit"].duplicated()]
        if len(straddling):
            raise FormatError("a unit belongs to two groups", where=self.folder, got=f"{len(straddling)} units")
        units = units.merge(self.folds, on="group", how="left").sort_values("unit", ignore_index=True)
        if self.shared is not None:
            units = units.set_index("unit").reindex(list(self.shared.units)).reset_index(names="unit")
        units["fold"] = units["fold"].fillna(-1).astype(int)
        units["split"] = units["split"].fillna(TRAIN).astype(str)
        units.insert(2, "unit_id", self.hashed("unit", units["unit"]))
        units.insert(3, "group_id", self.hashed("group", units["group"]))
        return units

    def hashed(self, kind: str, names: Iterable[str]) -> list[str]:
        """Hash names of one kind (``unit``, ``group``, ...) under the key; a shared cohort's are hashed already."""
        return [str(n) for n in names] if self.key is None else keyed_hashes(self.key, kind, names)

    @cached_property
    def fold_hash(self) -> str:
        """Hash of the fold assignment, over hashed groups."""
        return fold_hash(self.folds, self.hashed("group", self.folds["group"]))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of which crops there are, in order; a store names the cohort it was made from by this."""
        return digest(self.manifest["crop_id"].tolist())

    @property
    def key_id(self) -> str:
        """Hash that tells the key from another without giving it away."""
        return self.shared.key_id if self.key is None and self.shared else keyed_hash(self.key or b"", "key")

    @property
    def labelled(self) -> bool:
        """Whether any unit has a label."""
        return bool((self.targets["label"] >= 0).any())

    def header_features(self) -> pd.DataFrame | None:
        """Features of headers and pixels, one row a crop as in the manifest; None where none were asked for.

        Raises
        ------
        FormatError
            Their file is damaged.
        """
        if self.headers is not None or self.folder is None or not (self.folder / "headers.parquet").is_file():
            return self.headers
        try:
            return pd.read_parquet(self.folder / "headers.parquet")
        except (OSError, ValueError) as error:
            raise FormatError("is damaged", where=self.folder / "headers.parquet", got=str(error)) from error

    def need_task(self) -> Task:
        """Give the task; raises MismatchError where the cohort was indexed without one."""
        if self.task is None:
            do = "Index the data with --task NAME or --task FILE.toml to learn from labels"
            raise MismatchError("was indexed without a task, so it has no labels", where=self.folder, do=do)
        return self.task

    def need_files(self) -> None:
        """Raise UserError for a shared cohort, which names no file, before any work is done on pixels."""
        if self.shared is not None:
            do = "Give the private cohort that it was made from, or a store that was shared with it"
            raise UserError("is a shared cohort: it holds no paths, so no image can be read", where=self.folder, do=do)

    def save(self, out: Path, *, overwrite: bool = False) -> Cohort:
        """Write the cohort as a folder and return it as loaded from there.

        Raises
        ------
        ExistsError
            `out` exists and `overwrite` is off.
        UserError
            The cohort is a shared one: its folder is to be copied.
        """
        if self.key is None:
            raise UserError("is a shared cohort", where=self.folder, do="Copy its folder")
        with new_folder(out, "cohort", overwrite=overwrite) as folder:
            for name in TABLES:
                getattr(self, name).to_parquet(folder / f"{name}.parquet", index=False)
            if self.headers is not None:
                self.headers.to_parquet(folder / "headers.parquet", index=False)
            if self.elements is not None:
                self.elements.to_parquet(folder / "elements.parquet", index=False)
                self.elements.to_csv(folder / "elements.csv", index=False)
            if self.unit_features is not None:
                self.unit_features.to_parquet(folder / UNIT_FEATURES, index=False)
            (folder / "quarantine").mkdir()
            self.quarantine.to_csv(folder / "quarantine" / "index.csv", index=False)
            write_text(folder / "key", self.key.hex() + "\n", mode=0o600)
            content = {
                "root": str(self.root.resolve()),
                "task": None if self.task is None else self.task.as_dict(),
                "crops": len(self.manifest),
                "units": len(self.units),
                "fingerprint": self.fingerprint,
                "fold_hash": self.fold_hash,
                "key_id": self.key_id,
            }
            write_header(folder, "cohort", FORMAT, content)
        return Cohort.load(out)

    @classmethod
    def load(cls, folder: Path) -> Cohort:
        """Read a cohort folder.

        Raises
        ------
        UserError
            It is no cohort.
        FormatError
            A file in it is missing or damaged.
        """
        header = read_header(folder, "cohort", FORMAT)
        if header.get("shared"):
            return cls._load_shared(folder, header)
        lost = [name for name in ("root", "task") if name not in header]
        if lost:
            raise FormatError("is damaged", where=folder, got=f"no {', '.join(lost)}", do="Index the data anew")
        try:
            tables = {n: pd.read_parquet(folder / f"{n}.parquet") for n in TABLES}
            features = pd.read_parquet(folder / UNIT_FEATURES) if (folder / UNIT_FEATURES).is_file() else None
            quarantine = pd.read_csv(folder / "quarantine" / "index.csv", dtype=str, keep_default_na=False)
        except (OSError, ValueError) as error:
            raise FormatError("is damaged", where=folder, got=str(error), do="Index the data anew") from error
        return cls(
            root=Path(header["root"]),
            task=None if header["task"] is None else Task.from_dict(header["task"]),
            key=read_key(folder / "key"),
            quarantine=quarantine,
            folder=folder,
            shared=None,
            unit_features=features,
            **tables,
        )

    @classmethod
    def _load_shared(cls, folder: Path, header: Mapping[str, Any]) -> Cohort:
        """Read what `radboost.data.share.share_cohort` wrote; columns that it left out are there and empty."""
        names = ("manifest", "links", "targets", "folds", "units")
        try:
            tables = {n: pd.read_parquet(folder / f"{n}.parquet") for n in names}
            features = pd.read_parquet(folder / UNIT_FEATURES) if (folder / UNIT_FEATURES).is_file() else None
            shared = Shared(str(header["key_id"]), tuple(tables.pop("units")["unit"].astype(str)))
            task = Task.from_dict(header["task"])
        except (OSError, ValueError, KeyError) as error:
            raise FormatError("is damaged", where=folder, got=str(error), do="Share the cohort anew") from error
        tables["manifest"] = tables["manifest"].assign(path="", instance="", **NO_BOX)
        manifest, links, targets, folds = (tables[name] for name in names[:4])
        parts = (manifest, links, targets, folds)
        cohort = cls(folder, task, *parts, None, folder=folder, shared=shared, unit_features=features)
        found = (cohort.fingerprint, cohort.fold_hash, len(cohort.units))
        if found != (header["fingerprint"], header["fold_hash"], header["units"]) or cohort.units["group"].isna().any():
            raise FormatError("does not hold what its header says", where=folder, do="Share the cohort anew")
        return cohort
