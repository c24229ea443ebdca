"""What the headers say: numbers and words, and every other element by how often it is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from radboost.data.cohort import Cohort
from radboost.report.explore.fields import Field, Look
from radboost.report.explore.levels import levels_of
from radboost.report.explore.shares import counted
from radboost.report.page import Cell, Item, Note, Number, Section, Table

__all__ = ["headers_section"]

NUMBERS = 100
WORDS = 8


def headers_section(look: Look, sampled: int) -> Section:
    """Lay out header fields of all crops, or of the files that were read for this page."""
    fields = [*look.of("header"), *look.of("pixels")]
    items: list[Item] = []
    if fields and sampled:
        files = "all" if sampled >= look.cohort.manifest["path"].nunique() else "drawn at random"
        items.append(Note(f"Read from {sampled:,} files, {files}; index --headers all takes them into the cohort."))
    elif not fields:
        items.append(
            Note("The cohort holds no header features, and no DICOM file was read: index --headers all takes them in.")
        )
    items += _numbers([one for one in fields if one.numeric])
    items += _words(look, [one for one in fields if not one.numeric])
    items += _elements(look.cohort)
    return Section("Header fields", tuple(items))


def _numbers(fields: list[Field]) -> Iterator[Item]:
    rows: list[tuple[Cell, ...]] = []
    for one in fields:
        cells = one.numbers[one.once]
        known = cells[~np.isnan(cells)]
        if not len(known):
            continue
        low, middle, high = (float(v) for v in np.quantile(known, [0.05, 0.5, 0.95]))
        ends = [_shown(v) for v in (float(known.min()), low, middle, high, float(known.max()))]
        rows.append((one.name, len(known), Number(float(np.isnan(cells).mean())), len(np.unique(known)), *ends))
    if rows:
        columns = ("field", "crops", "empty", "different values", "lowest", "5 %", "median", "95 %", "highest")
        yield Table("header-numbers", "Numbers of headers, series and pixels.", columns, rows)
    empty = [one.name for one in fields if one.missing.all()]
    if empty:
        yield Note(f"In no header: {', '.join(empty)}.")


def _shown(value: float) -> Number:
    """Give a number four significant digits, whatever its size."""
    size = abs(value)
    digits = (
        0 if size >= 1000 or value == int(value) else (1 if size >= 100 else 2 if size >= 10 else 3 if size >= 1 else 4)
    )
    return Number(value, digits=digits)


def _words(look: Look, fields: list[Field]) -> Iterator[Item]:
    rows: list[tuple[Cell, ...]] = []
    for one in fields:
        if one.missing.all():
            continue
        levels = counted(look, levels_of(one, look.group))
        ranked = sorted(levels, key=lambda level: -level.cells)
        total = len(one.once)
        rows += [
            (one.name, lv.level, lv.cells, Number(lv.cells / total), lv.units, lv.patients) for lv in ranked[:WORDS]
        ]
        rest = ranked[WORDS:]
        if rest:
            cells = sum(lv.cells for lv in rest)
            rows.append((one.name, f"{len(rest)} more", cells, Number(cells / total), None, None))
    if rows:
        columns = ("field", "value", "crops", "share", "units", "patients")
        yield Table("header-words", "Words of headers.", columns, rows)


def _elements(cohort: Cohort) -> Iterator[Item]:
    """Every element, where `index --headers all` made the table of them: how often it is there, not what it says."""
    table = _element_table(cohort.folder)
    if table is None:
        return
    rows: list[tuple[Cell, ...]] = []
    for name in table.columns.drop("crop_id"):
        cells = table[name]
        known = cells.dropna() if pd.api.types.is_numeric_dtype(cells) else cells[cells.astype(str) != ""]
        if len(known):
            kind = "number" if pd.api.types.is_numeric_dtype(cells) else "word"
            rows.append((str(name), kind, len(known), Number(len(known) / len(table)), int(known.nunique())))
    columns = ("element", "kind", "images", "share", "different values")
    yield Table("elements", "Every element of the headers that is a number or a code.", columns, rows)


def _element_table(folder: Path | None) -> pd.DataFrame | None:
    if folder is None or not (folder / "elements.parquet").is_file():
        return None
    return pd.read_parquet(folder / "elements.parquet")
