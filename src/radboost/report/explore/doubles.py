"""Images that are there twice, and whether a copy crosses patients or folds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from radboost.data.cohort import Cohort
from radboost.data.frame_values import PIXELS
from radboost.report.explore.reading import Opened
from radboost.report.page import Cell, Item, Note, Section, Table

__all__ = ["Doubles", "doubles_section", "find_doubles"]

LISTED = 20


@dataclass(frozen=True)
class Doubles:
    """Files that agree in something that should tell images apart.

    Attributes
    ----------
    what
        In what they agree.
    looked_at
        Files that were compared.
    sets
        One row a file that has a copy: `number` of its set, `crop_id`, `group`, `fold`, `split`.
    """

    what: str
    looked_at: int
    sets: pd.DataFrame

    @property
    def count(self) -> int:
        """How many sets of files that agree."""
        return int(self.sets["number"].nunique())

    def crossing(self, column: str) -> pd.DataFrame:
        """Rows of sets that hold more than one value of a column."""
        several = self.sets.groupby("number")[column].nunique().gt(1)
        return self.sets[self.sets["number"].map(several).to_numpy(bool)] if len(self.sets) else self.sets


def find_doubles(cohort: Cohort, headers: pd.DataFrame | None, opened: Opened) -> list[Doubles]:
    """Look for copies by what the cohort knows, and by the files that were opened."""
    manifest = cohort.manifest.merge(cohort.folds, on="group", how="left")
    if cohort.shared is not None:
        return []
    one = manifest.drop_duplicates("path")
    found = []
    if (one["instance"] != "").any():
        found.append(_doubles("SOP Instance UID", one, one["instance"]))
    if headers is not None and set(PIXELS) <= set(headers.columns):
        by_crop = headers.drop_duplicates("crop_id").set_index("crop_id")
        rows = manifest[manifest["crop_id"].isin(by_crop.index)].drop_duplicates(["path", "frame"])
        values = by_crop[PIXELS].reindex(rows["crop_id"])
        fit = (values.notna().all(axis=1) & (values["pixel_std"] > 0)).to_numpy()
        numbers = [repr(tuple(row)) for row in values[fit].itertuples(index=False)]
        texts = np.full(len(rows), "", dtype=object)
        texts[fit] = [f"{r} {c} {n}" for r, c, n in zip(rows["rows"][fit], rows["columns"][fit], numbers, strict=True)]
        found.append(_doubles("five statistics of the decoded pixels", rows, pd.Series(texts, index=rows.index)))
    if opened.digest:
        rows = one[one["path"].isin(set(opened.digest))]
        found.append(_doubles("stored pixels (blocks from the file's end)", rows, rows["path"].map(opened.digest)))
    return found


def _doubles(what: str, rows: pd.DataFrame, key: pd.Series) -> Doubles:
    known = (key != "").to_numpy()
    number = key[known].groupby(key[known]).ngroup()
    own = rows[known].assign(number=number.to_numpy())
    own = own[own["number"].duplicated(keep=False)]
    table = own[["number", "crop_id", "group", "fold", "split"]].sort_values(["number", "crop_id"], ignore_index=True)
    return Doubles(what, int(known.sum()), table)


def doubles_section(cohort: Cohort, found: list[Doubles], files: int) -> tuple[Section, list[str]]:
    """Lay out copies; those that cross patients or parts are a leak."""
    items: list[Item] = []
    told: list[str] = []
    rows: list[tuple[Cell, ...]] = []
    for one in found:
        across, apart = one.crossing("group"), _parts(one)
        rows.append(
            (one.what, one.looked_at, one.count, len(one.sets), across["number"].nunique(), apart["number"].nunique())
        )
        if len(across):
            told.append(
                f"{across['number'].nunique():,} sets of images that agree in {one.what} stand under more than one "
                f"patient, "
                f"{apart['number'].nunique():,} of them in more than one fold or split: a leak unless it is chance."
            )
    if rows:
        columns = ("agree in", "images compared", "sets", "images in them", "sets across patients", "sets across folds")
        caption = (
            "Images that are there more than once. A set across folds lets a model be judged on what it learnt from."
        )
        items.append(Table("doubles", caption, columns, rows, tuple(_notes(cohort, files))))
        listed = _listed(cohort, found)
        if listed:
            heads = ("agree in", "set", "crop", "patient", "part")
            caption = f"The first images of sets across patients, at most {LISTED}: crops and patients by their hashes."
            items.append(Table("doubles-listed", caption, heads, listed))
    else:
        items.append(Note("Nothing here tells copies: a shared cohort holds no instances, and no file was opened."))
    return Section("Copies", tuple(items)), told


def _parts(one: Doubles) -> pd.DataFrame:
    named = one.sets["fold"].astype(str) + " " + one.sets["split"].astype(str)
    return Doubles(one.what, one.looked_at, one.sets.assign(part=named)).crossing("part")


def _notes(cohort: Cohort, files: int) -> Iterator[str]:
    total = cohort.manifest["path"].nunique()
    if files and files < total:
        yield f"Of {total:,} files {files:,} were opened, drawn at random: copies of the others are not seen (--files)."
    twice = cohort.series["duplicates"].gt(0).sum() if len(cohort.series) else 0
    if twice:
        yield f"{twice:,} series hold slices at one place, or with one SOP Instance UID."
    boxes = int(cohort.manifest.duplicated(["path", "frame"]).sum())
    if boxes:
        yield f"{boxes:,} crops share a frame with another one, as boxes of one image do."


def _listed(cohort: Cohort, found: list[Doubles]) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for one in found:
        table = one.crossing("group").head(LISTED)
        for number, crop, group, fold, split in table.itertuples(index=False, name=None):
            part = f"fold {int(fold)}" if fold >= 0 else str(split)
            rows.append((one.what, int(number), str(crop)[:16], cohort.hashed("group", [group])[0][:16], part))
    return rows[:LISTED]
