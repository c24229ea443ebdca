"""A cohort without ids, paths or key, for use beside a shared store: all in it is a hash, a number or a class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from radboost.data.cohort import FORMAT, METADATA, UNIT_FEATURES, Cohort
from radboost.data.folder import new_folder, write_header
from radboost.data.metadata import MISSING, category_text, numbers
from radboost.data.task import Metadata, Task
from radboost.errors import UserError, offenders

__all__ = ["OLDEST", "share_cohort"]

OLDEST = 90
"""Ages above this one become it: so few people are older that an age would name them."""

LONGEST = 40
"""Characters; a longer cell is text that somebody wrote, not a category."""

FEW = 10
"""Categories that a column may have in any cohort, however small."""

_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])|\d{1,4}[-./]\d{1,2}[-./]\d{1,4}.*")
_SIDES = ("", "L", "R", "B")


def share_cohort(cohort: Cohort, out: Path, metadata: Sequence[str] = (), *, overwrite: bool = False) -> Cohort:
    """Write what a cohort's stores need beside them to be learnt from, and nothing that names anybody.

    Units, groups, studies and series become keyed hashes, and crops are such hashes already, so predictions made on
    either cohort join. Files, instances, sizes and boxes are left out, and so is each metadata column not asked for.
    The order of units and crops is kept, so that the same is learnt: it tells how the names sorted, nothing else.

    Parameters
    ----------
    cohort
        With a task.
    out, overwrite
        Where it is written, and whether a shared cohort there is replaced.
    metadata
        Feature columns of the task to be shared. Ages are capped at `OLDEST`.

    Returns
    -------
    Cohort
        As loaded from `out`.

    Raises
    ------
    UserError
        A column is unknown, or its cells are dates, names, or text that somebody wrote; or `out` is a private cohort.
    MismatchError
        The cohort has no task.
    ExistsError
        `out` is there and `overwrite` is off.
    """
    task = _shared_task(cohort.need_task(), metadata)
    if (out / "key").exists():
        raise UserError("is a private cohort, so it is not replaced", where=out, do="Choose another --out")
    splits = pd.Series(sorted(cohort.units["split"].unique()), name="split")
    _refuse_telling(splits, "a split's name", None)
    manifest = _manifest(cohort, task)
    groups = [table["group"] for table in (cohort.manifest, cohort.targets, cohort.folds)]
    group = _hashes(cohort, "group", pd.concat(groups))
    unit = dict(zip(cohort.units["unit"], cohort.units["unit_id"], strict=True))
    # A unit that sees nothing but the other side, and has no target, is no unit.
    links = cohort.links[cohort.links["unit"].isin(list(unit))]
    links = links.assign(unit=links["unit"].map(unit))[["unit", "crop_id", "slot", "order"]]
    targets = cohort.targets.assign(unit=cohort.targets["unit"].map(unit), group=cohort.targets["group"].map(group))
    with new_folder(out, "cohort", overwrite=overwrite) as folder:
        tables = {
            "manifest": manifest,
            "links": links,
            "targets": targets[["unit", "group", "target", "label", "task_weight"]],
            "folds": cohort.folds.assign(group=cohort.folds["group"].map(group))[["group", "fold", "split"]],
            "units": cohort.units[["unit_id"]].rename(columns={"unit_id": "unit"}),
        }
        for name, table in tables.items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
        if cohort.unit_features is not None:
            own = _unit_features(cohort, task, cohort.unit_features)
            own.to_parquet(folder / UNIT_FEATURES, index=False)
        content = {
            "shared": True,
            "task": task.as_dict(),
            "crops": len(manifest),
            "units": len(cohort.units),
            "fingerprint": cohort.fingerprint,
            "fold_hash": cohort.fold_hash,
            "key_id": cohort.key_id,
        }
        write_header(folder, "cohort", FORMAT, content)
    return Cohort.load(out)


def _shared_task(task: Task, metadata: Sequence[str]) -> Task:
    unknown = [name for name in metadata if name not in task.feature_columns]
    if unknown:
        do = f"Task {task.name} has {', '.join(task.feature_columns) or 'none'}"
        raise UserError("is no metadata column", where="--metadata", got=offenders(unknown), do=do)
    numeric, categorical = (
        tuple(c for c in columns if c in metadata) for columns in (task.metadata.numeric, task.metadata.categorical)
    )
    # Header features stay behind, and with them what is derived from one.
    relative, categories = (
        tuple(name for name in names if name in numeric) for names in (task.metadata.relative, task.metadata.categories)
    )
    kept = Metadata(
        *(numeric, categorical, task.metadata.forbidden, task.metadata.counts),
        relative=relative,
        categories=categories,
    )
    return replace(task, metadata=kept)


def _hashes(cohort: Cohort, kind: str, names: pd.Series) -> dict[str, str]:
    """Hash each name once; an empty one, which stands for unknown, stays empty."""
    known = [str(name) for name in names.unique()]
    return {name: hashed if name else "" for name, hashed in zip(known, cohort.hashed(kind, known), strict=True)}


def _manifest(cohort: Cohort, task: Task) -> pd.DataFrame:
    private = cohort.manifest
    columns: dict[str, object] = {"crop_id": private["crop_id"]}
    for kind in ("group", "study", "series"):
        columns[kind] = private[kind].map(_hashes(cohort, kind, private[kind]))
    known = {*task.slots.values, *dict(task.slots.aliases)}
    columns |= {
        "frame": private["frame"],
        "order": private["order"],
        # What else stands in these two columns came from a header or a table as somebody wrote it.
        "laterality": private["laterality"].where(private["laterality"].isin(_SIDES), ""),
        "view": private["view"].where(private["view"].isin(known), ""),
    }
    if cohort.unit_features is None:
        columns |= _features(private, task, private)
    return pd.DataFrame(columns)


def _unit_features(cohort: Cohort, task: Task, features: pd.DataFrame) -> pd.DataFrame:
    table = features.set_index("unit").reindex(cohort.units["unit"]).reset_index(drop=True)
    about = cohort.units[["group"]].assign(study="", series="", instance="", path=cohort.units["unit"])
    return pd.DataFrame({"unit": cohort.units["unit_id"], **_features(table, task, about)})


def _features(table: pd.DataFrame, task: Task, about: pd.DataFrame) -> dict[str, object]:
    """Feature columns of a table; `about` names what its rows, aligned by index, must not tell."""
    columns: dict[str, object] = {}
    for name in task.feature_columns:
        cells = table[METADATA + name].rename(name)
        text = category_text(cells)
        _refuse_telling(text, "a metadata column", about, numeric=name in task.metadata.numeric)
        if name in task.metadata.numeric:
            values = numbers(cells)
            columns[METADATA + name] = np.minimum(values, OLDEST) if _is_age(name) else values
        else:
            text = text.where(text != MISSING, "")
            columns[METADATA + name] = text.map(_capped) if _is_age(name) else text
    return columns


def _is_age(name: str) -> bool:
    """Whether a column's name says age: ``age``, ``patient_age``, ``PatientAge``, ``AGE (years)``."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]
    return "age" in words or "patientage" in words


def _capped(cell: str) -> str:
    found = [int(digits) for digits in re.findall(r"\d+", cell)]
    return str(OLDEST) if found and max(found) > OLDEST else cell


def _refuse_telling(cells: pd.Series[str], what: str, manifest: pd.DataFrame | None, *, numeric: bool = False) -> None:
    """Raise UserError for a column that holds dates, names of its own rows, or text that somebody wrote."""
    known = cells[(cells != MISSING) & (cells != "")]
    values = known.unique()
    patients = 0 if manifest is None else int(manifest.loc[known.index, "group"].nunique())
    reason = ""
    if manifest is not None and _names_its_rows(known, manifest.loc[known.index]):
        reason = "names patients or images"
    elif any(len(value) > LONGEST or "\n" in value for value in values):
        reason = "holds free text"
    elif len(values) and known.str.fullmatch(_DATE).mean() > 0.5:
        reason = "holds dates"
    elif manifest is not None and not numeric and len(values) > max(FEW, patients // 2):
        reason = f"has {len(values)} categories for {patients} patients, so it tells them apart"
    if reason:
        raise UserError(f"{what} {reason}, so it is not shared", got=str(cells.name), do="Leave it out")


def _names_its_rows(cells: pd.Series[str], manifest: pd.DataFrame) -> bool:
    """Whether most cells are the patient, study, series, image or file of their own row."""
    stems = manifest["path"].map(lambda path: PurePosixPath(path).stem)
    names = [manifest[column].astype(str) for column in ("group", "study", "series", "instance", "path")]
    return any((cells == own).mean() > 0.5 for own in [*names, stems]) if len(cells) else False
