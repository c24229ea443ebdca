"""The units that are furthest off, by hashed name, and their crops where the cohort has its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from radboost.report.evaluation.subject import Question, Settings
from radboost.report.page import Cell, Gallery, Item, Number, Picture, Table, isolate

__all__ = ["VIEWS", "Pictures", "hardest_items", "hardest_units"]

Pictures = Callable[[list[str]], Mapping[str, Sequence[tuple[str, bytes]]]]
"""Gives the pictures of hashed units, those that can be read, each with the slot that the unit sees it in."""
VIEWS = 4
"""Most pictures of a unit."""
SHORT = 12


def hardest_units(question: Question, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the negatives of highest and of the positives of lowest probability, the worst first."""
    rows = question.rows
    order = np.argsort(rows.p, kind="stable")
    positive = rows.y[order] == 1
    return order[~positive][::-1][: settings.hardest], order[positive][: settings.hardest]


def hardest_items(
    name: str, question: Question, settings: Settings, told: pd.DataFrame | None, pictures: Pictures | None
) -> list[Item]:
    """Table the hardest units with what is known of them, and show their crops.

    Parameters
    ----------
    name
        What the names of the files start with.
    question, settings
        Which, and how many.
    told
        Columns by hashed unit, see `radboost.report.evaluation.subgroups.known_columns`.
    pictures
        None where no pictures are wanted.
    """
    false = hardest_units(question, settings)
    who = isolate(question.positive)
    items: list[Item] = []
    for rows, kind, most in zip(false, ("false positives", "false negatives"), ("highest", "lowest"), strict=True):
        if not len(rows):
            continue
        units = [str(unit) for unit in question.unit[rows]]
        columns = list(told.columns[:6]) if told is not None else []
        cells: list[tuple[Cell, ...]] = []
        for row, unit in zip(rows, units, strict=True):
            more = [] if told is None or unit not in told.index else [str(told.at[unit, c]) for c in columns]
            fold = int(question.fold[row])
            cells.append(
                (unit[:SHORT], Number(float(question.rows.p[row]), digits=4), fold, *(more or [""] * len(columns)))
            )
        without = "without" if kind == "false positives" else "with"
        lies = f"from {question.rows.p[rows[0]]:.3f} to {question.rows.p[rows[-1]]:.3f}"
        caption = (
            f"Hardest {kind}: units {without} {who} of {most} probability, {lies}. Look here for labels that are wrong."
        )
        slug = kind.replace(" ", "-")
        items.append(Table(f"{name}-hardest-{slug}", caption, ("unit", "probability", "fold", *columns), cells))
        items += _gallery(
            f"{name}-{slug}", f"Crops of these {kind}, in the order of the table.", question, rows, pictures
        )
    return items


def _gallery(name: str, caption: str, question: Question, rows: np.ndarray, pictures: Pictures | None) -> list[Item]:
    if pictures is None:
        return []
    units = [str(unit) for unit in question.unit[rows]]
    found = pictures(units)
    shown = tuple(
        Picture(
            picture,
            f"{isolate(slot)} of unit {unit[:SHORT]}, probability {question.rows.p[row]:.3f}",
            f"{unit[:SHORT]}, {isolate(slot)}: {question.rows.p[row]:.3f}",
        )
        for row, unit in zip(rows, units, strict=True)
        for slot, picture in found.get(unit, ())
    )
    return [Gallery(name, caption, shown)] if shown else []
