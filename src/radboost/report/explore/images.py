"""What the images are: sizes, transfer syntaxes, windows, views a unit, series."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd

from radboost.data.task import OPPOSITE
from radboost.report.explore.fields import Look, syntax_name
from radboost.report.explore.figures import bubbles
from radboost.report.explore.levels import EMPTY
from radboost.report.page import Cell, Figure, Item, Note, Number, Section, Table

__all__ = ["images_section"]

MOST = 20


def images_section(look: Look, headers: pd.DataFrame | None, sampled: int) -> Section:
    """Describe the images.

    Parameters
    ----------
    look
        The cohort.
    headers
        Header features of all crops or of some; None where there are none.
    sampled
        How many files they were read from for this page; 0 where the cohort holds those of all.
    """
    items: list[Item] = [*_slots(look), *_shapes(look), *_windows(look, headers, sampled), *_series(look)]
    return Section("Images", tuple(items) or (Note("The cohort says nothing about its images."),))


def _slots(look: Look) -> Iterator[Item]:
    """Yield crops a unit by slot."""
    links = look.cohort.links
    own = links[~links["slot"].str.endswith(OPPOSITE)]
    rows: list[tuple[Cell, ...]] = []
    group = dict(zip(look.cohort.units["unit"], look.group.tolist(), strict=True))
    for slot, part in own.groupby("slot", sort=True):
        held = part["unit"].value_counts()
        patients = len({group[unit] for unit in held.index if unit in group})
        few, middle, most = (float(held.quantile(q)) for q in (0, 0.5, 1))
        lacking = look.units - len(held)
        rows.append(
            (str(slot), len(part), len(held), lacking, patients, Number(few, digits=0), Number(middle, digits=1))
        )
        rows[-1] += (Number(most, digits=0),)
    if rows:
        columns = ("slot", "crops", "units", "units without", "patients", "fewest a unit", "median", "most")
        caption = "Crops by the slot (view, kind of series) in which units see them."
        yield Table("slots", caption, columns, rows)


def _shapes(look: Look) -> Iterator[Item]:
    manifest = look.cohort.manifest
    if not {"rows", "columns", "syntax"} <= set(manifest.columns):
        yield Note("A shared cohort holds neither sizes nor transfer syntaxes.")
        return
    files = manifest.drop_duplicates("path")
    known = files[files["rows"] > 0]
    found = known.groupby(["rows", "columns"]).agg(n=("path", "size"), patients=("group", "nunique")).reset_index()
    if len(found) > 1:
        found = found.sort_values("n", ascending=False, kind="stable")
        points = [(float(c), float(r), int(n)) for r, c, n in found[["rows", "columns", "n"]].head(300).to_numpy()]
        largest = found.iloc[0]
        share = largest["n"] / len(files)
        caption = (
            f"{len(found):,} sizes; the most frequent, {largest['rows']} × {largest['columns']}, has {share:.0%} of "
            "the files. Circles show how many files have a size."
        )
        yield Figure("sizes", caption, "Circles at columns and rows of the frames.", bubbles(points, "columns", "rows"))
    rows: list[tuple[Cell, ...]] = [
        (f"{r} × {c}", int(n), Number(n / len(files)), int(p))
        for r, c, n, p in found[["rows", "columns", "n", "patients"]].head(MOST).to_numpy().tolist()
    ]
    if len(found) > MOST:
        rest = int(found["n"].iloc[MOST:].sum())
        rows.append((f"{len(found) - MOST:,} other sizes", rest, Number(rest / len(files)), None))
    if len(known) < len(files):
        rest = len(files) - len(known)
        rows.append(
            ("not in the cohort", rest, Number(rest / len(files)), int(files[files["rows"] <= 0]["group"].nunique()))
        )
    notes = (
        ("Sizes of PNG, JPEG, TIFF and PGM are read from the files, at most --files of them.",)
        if len(known) < len(files)
        else ()
    )
    yield Table(
        "sizes", "Rows and columns of the frames.", ("rows × columns", "files", "share", "patients"), rows, notes
    )
    by = (
        files.groupby("syntax").agg(n=("path", "size"), patients=("group", "nunique")).sort_values("n", ascending=False)
    )
    body = [
        (syntax_name(str(name)) or EMPTY, str(name), int(n), Number(n / len(files)), int(p))
        for name, n, p in zip(by.index, by["n"], by["patients"], strict=True)
    ][:MOST]
    columns = ("encoding", "transfer syntax or ending", "files", "share", "patients")
    yield Table("syntaxes", "How pixels are encoded.", columns, body)


def _counts(found: pd.Series) -> Iterator[tuple[float, float, int]]:
    """Pairs of numbers and how often they occur."""
    table = found.reset_index().to_numpy(float)
    yield from ((float(x), float(y), int(n)) for x, y, n in table)


def _windows(look: Look, headers: pd.DataFrame | None, sampled: int) -> Iterator[Item]:
    if headers is None or not {"window_centre", "window_width"} <= set(headers.columns):
        yield Note(
            "Windows are not known: the cohort holds no header features, and no DICOM file was read for this page."
        )
        return
    whence = f"of {sampled:,} files read for this page" if sampled else "of all crops"
    pairs = headers[["window_centre", "window_width"]].dropna()
    lacking = len(headers) - len(pairs)
    if not len(pairs):
        yield Note(f"None {whence} names a window in its header: pixels are spread from lowest to highest.")
        return
    found = pairs.value_counts()
    points = [(float(c), float(w), int(n)) for c, w, n in _counts(found.head(300))]
    told = f", and {lacking:,} have none" if lacking else ""
    caption = f"{len(found):,} windows {whence}{told}. Many windows mean that equal tissue is shown unequally bright."
    if len(found) > 1:
        drawing = bubbles(points, "window centre", "window width")
        yield Figure("windows", caption, "Circles at centre and width of the first window of each image.", drawing)
    rows: list[tuple[Cell, ...]] = [
        (f"{c:g} / {w:g}", int(n), Number(n / len(headers))) for c, w, n in _counts(found.head(MOST))
    ]
    if len(found) > MOST:
        rest = int(found.iloc[MOST:].sum())
        rows.append((f"{len(found) - MOST:,} other windows", rest, Number(rest / len(headers))))
    if lacking:
        rows.append(("none", lacking, Number(lacking / len(headers))))
    yield Table("windows", f"First window {whence}.", ("centre / width", "crops", "share"), rows)


def _series(look: Look) -> Iterator[Item]:
    series = look.cohort.series
    if not len(series) or (series["files"] <= 1).all():
        return
    edges = [1, 2, 5, 10, 20, 30, 40, 60, 100, 200, 500, 1 << 30]
    files = series["files"].to_numpy(int)
    rows: list[tuple[Cell, ...]] = []
    for low, high in pairwise(edges):
        inside = (files >= low) & (files < high)
        if inside.any():
            name = f"{low}" if high == low + 1 else (f"{low} to {high - 1}" if high < 1 << 30 else f"{low} and more")
            own = series[inside]
            gaps, twice = int((own["gaps"] > 0).sum()), int((own["duplicates"] > 0).sum())
            counted = int((own["ordered_by"] != "position").sum())
            rows.append((name, int(inside.sum()), int(own["files"].sum()), gaps, twice, counted))
    distance = series["distance"].dropna()
    notes: tuple[str, ...] = ()
    if len(distance):
        low, middle, high = np.quantile(distance, [0.05, 0.5, 0.95])
        notes = (f"Distance of neighbouring slices: median {middle:.4g} mm, 90 % between {low:.4g} and {high:.4g} mm.",)
    columns = ("files a series", "series", "files", "with gaps", "with slices at one place", "ordered by number alone")
    yield Table("series", "Series by how many files they have.", columns, rows, notes)
