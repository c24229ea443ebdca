"""Weights that simulate a target set: one number a unit, given by the user, checked whole before anything is fitted."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from radboost.booster.rows import FloatArray
from radboost.data.folder import write_text
from radboost.errors import ExistsError, TableError, UserError, offenders

__all__ = ["picture_path", "read_weights", "refuse_written", "resolve_weights", "write_weights"]

ENDINGS = (".csv", ".tsv", ".parquet")


def read_weights(path: Path) -> dict[str, float]:
    """Read a table ``unit,weight`` (CSV, TSV or parquet).

    Parameters
    ----------
    path
        Units by their readable or hashed names; more columns do no harm.

    Raises
    ------
    TableError
        The file cannot be read, lacks a column, names a unit twice, or holds a weight that is no number.
    """
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise TableError("cannot be read as a table of weights", where=path, got=str(error).strip()) from error
    lacking = [c for c in ("unit", "weight") if c not in table.columns]
    if lacking:
        got = offenders([str(c) for c in table.columns])
        raise TableError(f"lacks columns {', '.join(lacking)}", where=path, got=got, do="Give columns unit and weight")
    units = table["unit"].astype(str).str.strip()
    twice = sorted(set(units[units.duplicated()]))
    if twice:
        raise TableError("names units twice", where=path, got=offenders(twice), do="Give one weight a unit")
    weight = pd.to_numeric(table["weight"], errors="coerce").to_numpy(dtype=np.float64)
    bad = units[np.isnan(weight)].tolist()
    if bad:
        raise TableError("holds weights that are no numbers, for units", where=path, got=offenders(bad))
    return dict(zip(units.tolist(), weight.tolist(), strict=True))


def resolve_weights(units: pd.DataFrame, weights: Mapping[str, float], needed: np.ndarray) -> FloatArray:
    """Put weights in the order of a cohort's units.

    Parameters
    ----------
    units
        `Cohort.units`: readable names in `unit`, hashed ones in `unit_id`.
    weights
        Weight by readable or hashed name.
    needed
        Shape (units,), mask of units that must have a weight: those that are learnt from.

    Returns
    -------
    ndarray
        Shape (units,), scaled to mean 1 over the needed units; 1 before scaling where none was given or needed.

    Raises
    ------
    UserError
        A name is unknown, a needed unit has no weight, a weight is negative or not finite, or all are 0. The error
        lists the first few.
    """
    place = {str(u): i for i, u in enumerate(units["unit"])} | {str(u): i for i, u in enumerate(units["unit_id"])}
    unknown = [u for u in weights if u not in place]
    if unknown:
        do = "Name the cohort's units, one a prediction, and no others"
        raise UserError("weights are given for unknown units", where="--weights", got=offenders(unknown), do=do)
    bad = [f"{u}: {w}" for u, w in weights.items() if not math.isfinite(w) or w < 0]
    if bad:
        raise UserError("weights must be finite and not negative", where="--weights", got=offenders(bad))
    out = np.full(len(units), np.nan)
    for unit, weight in weights.items():
        out[place[unit]] = weight
    lacking = units["unit"][needed & np.isnan(out)].tolist()
    if lacking:
        do = "Give every labelled unit of the training split a weight, 0 to leave it out"
        raise UserError("units have no weight", where="--weights", got=offenders(lacking), do=do)
    out = np.where(np.isnan(out), 1.0, out)
    if not (out[needed] > 0).any():
        raise UserError("all weights are 0, so there is nothing to learn from", where="--weights")
    # Only their ratios mean anything. Learners count weight as rows, so weights that sum to 1 would look like one row.
    return np.asarray(out / out[needed].mean(), dtype=np.float64)


def picture_path(out: Path) -> Path:
    """Where the picture of a table of weights goes: beside it, ending in ``.png``."""
    return out.with_suffix(".png")


def refuse_written(out: Path, overwrite: bool) -> None:
    """Refuse a name that says no format, or a result that is there already, before any work is done.

    Raises
    ------
    UserError
        The ending is none of ``.csv``, ``.tsv`` and ``.parquet``.
    ExistsError
        The table or its picture exists and `overwrite` is off.
    """
    if out.suffix not in ENDINGS:
        do = f"End it in {', '.join(ENDINGS)}"
        raise UserError("does not say how to write the table", where=out, got=out.suffix or "no ending", do=do)
    there = [path for path in (out, picture_path(out)) if path.exists()]
    if there and not overwrite:
        raise ExistsError("already exists", where=there[0], do="Choose another --out, or give --overwrite")


def write_weights(out: Path, unit: Sequence[str], weight: FloatArray) -> None:
    """Write a table ``unit,weight`` whole, every digit of the weights kept; `read_weights` reads it back.

    Parameters
    ----------
    out
        Ends in ``.csv``, ``.tsv`` or ``.parquet``.
    unit, weight
        Hashed units, so that the table names nobody, and their weights.

    Raises
    ------
    UserError
        It cannot be written.
    """
    table = pd.DataFrame({"unit": [str(u) for u in unit], "weight": np.asarray(weight, dtype=np.float64)})
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix != ".parquet":
            write_text(out, table.to_csv(index=False, sep="\t" if out.suffix == ".tsv" else ","))
            return
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
            table.to_parquet(Path(folder) / out.name, index=False)
            (Path(folder) / out.name).replace(out)
    except OSError as error:
        raise UserError("cannot be written", where=out, got=error.strerror, do="Choose another --out") from error
