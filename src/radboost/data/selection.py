"""Choose crops of a cohort by what is known about them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.cohort import METADATA, Cohort
from radboost.data.task import OPPOSITE
from radboost.errors import UserError, offenders

__all__ = ["select_rows"]

COLUMNS = ("crop_id", "group", "laterality", "view", "syntax", "series", "study")


def select_rows(
    cohort: Cohort, only: Sequence[str] = (), sample: int | None = None, seed: int = 0
) -> npt.NDArray[np.int64]:
    """Give the rows of the manifest that fit every condition, in order.

    Parameters
    ----------
    cohort
        The cohort.
    only
        Conditions ``NAME=VALUE``. NAME is a column of the manifest (`crop_id`, `group`, `laterality`, `view`, `syntax`,
        `series`, `study`), a metadata column, a target (VALUE is one of its classes), `unit`, `fold` or `split`. Of
        several values for one name any will do.
    sample
        Only so many of them, drawn at random.
    seed
        Of the draw.

    Raises
    ------
    UserError
        A condition is none, a name or class is unknown, or nothing fits.
    """
    wanted: dict[str, set[str]] = {}
    for condition in only:
        name, equals, value = condition.partition("=")
        if not equals or not name:
            raise UserError(
                "is no condition", where="--only", got=condition, do="Write NAME=VALUE, for example view=CC"
            )
        wanted.setdefault(name, set()).add(value)
    keep = np.ones(len(cohort.manifest), bool)
    for name, values in wanted.items():
        keep &= _fits(cohort, name, values)
    if not keep.any():
        raise UserError("no crop fits", where="--only", got=", ".join(only) or "nothing")
    rows = np.flatnonzero(keep).astype(np.int64)
    if sample is not None and sample < len(rows):
        rows = np.sort(np.random.default_rng(seed).choice(rows, sample, replace=False))
    return rows


def _fits(cohort: Cohort, name: str, values: set[str]) -> npt.NDArray[np.bool_]:
    manifest = cohort.manifest
    column = name if name in COLUMNS else METADATA + name
    if column in manifest.columns:
        return _text(manifest[column]).isin(values).to_numpy(bool)
    units = _units(cohort, name, values)
    linked = cohort.links["crop_id"][cohort.links["unit"].isin(units) & ~cohort.links["slot"].str.endswith(OPPOSITE)]
    return manifest["crop_id"].isin(linked).to_numpy(bool)


def _text(column: pd.Series) -> pd.Series:
    """Numbers as people write them: 61, not 61.0."""
    if pd.api.types.is_float_dtype(column):
        return column.map(lambda value: f"{value:g}")
    return column.astype(str)


def _units(cohort: Cohort, name: str, values: set[str]) -> pd.Series:
    units = cohort.units
    if name in ("unit", "fold", "split"):
        return units["unit"][units[name].astype(str).isin(values)]
    target = next((t for t in (cohort.task.targets if cohort.task else ()) if t.name == name), None)
    if target is None:
        known = [c for c in COLUMNS if c in cohort.manifest.columns]
        known += [c.removeprefix(METADATA) for c in cohort.manifest.columns if c.startswith(METADATA)]
        known += ["unit", "fold", "split", *(t.name for t in (cohort.task.targets if cohort.task else ()))]
        raise UserError(
            "names nothing that the cohort knows", where="--only", got=name, do=f"Known: {', '.join(known)}"
        )
    unknown = sorted(values - set(target.classes))
    if unknown:
        do = f"Its classes are {', '.join(target.classes)}"
        raise UserError(f"target {name} has no such class", where="--only", got=offenders(unknown), do=do)
    codes = [k for k, label in enumerate(target.classes) if label in values]
    rows = cohort.targets[(cohort.targets["target"] == name) & cohort.targets["label"].isin(codes)]
    return rows["unit"]
