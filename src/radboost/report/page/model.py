"""What a page holds: frozen values that commands fill; how they look is the writer's business."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from radboost.errors import RadboostError
from radboost.report.page.drawing import Drawing

__all__ = ["Cell", "Facts", "Figure", "Gallery", "Item", "Note", "Number", "Page", "Picture", "Section", "Table"]

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Number:
    """A number as it is shown and sorted, with its 95 % interval where it has one.

    Attributes
    ----------
    value, low, high
        ``nan`` where it is not defined, or has no interval.
    digits
        After the point.
    signed
        Whether a plus is written.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    digits: int = 3
    signed: bool = False

    @property
    def has_interval(self) -> bool:
        """Whether both ends are there."""
        return not (math.isnan(self.low) or math.isnan(self.high))

    @property
    def text(self) -> str:
        """As it is read.

        >>> Number(0.8126, 0.75, 0.861).text, Number(float("nan")).text, Number(-0.0001).text
        ('0.813 [0.750, 0.861]', '–', '0.000')
        """
        if math.isnan(self.value):
            return "–"
        shown = self._one(self.value, signed=self.signed)
        return f"{shown} [{self._one(self.low)}, {self._one(self.high)}]" if self.has_interval else shown

    def _one(self, value: float, *, signed: bool = False) -> str:
        # Adding 0 takes the sign off what rounds to nothing.
        text = f"{round(value, self.digits) + 0.0:{'+' if signed else ''},.{self.digits}f}"
        return text.replace("-", MINUS)


Cell: TypeAlias = str | int | float | Number | None
"""Text, a count, a number (three digits), a number with its interval, or nothing."""


@dataclass(frozen=True)
class Table:
    """A table that its readers can sort; its first column names the rows.

    Attributes
    ----------
    name
        Names its CSV file.
    caption
        What it holds and what to conclude.
    columns, rows
        Headings, and cells, as many a row. A table of more than `radboost.report.page.write.SHOWN` rows is shown page
        by page.
    notes
        Lines below.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _told(self.name, self.caption)
        if any(len(row) != len(self.columns) for row in self.rows):
            raise RadboostError("a row has another number of cells than the table has columns", where=self.name)


@dataclass(frozen=True)
class Figure:
    """A drawing with what it says.

    Attributes
    ----------
    name
        Names its SVG and PNG files.
    caption
        What to conclude from it.
    alt
        What is seen in it, for those who do not see it.
    drawing
        From `radboost.report.page.draw`.
    wide
        Whether it takes the whole width.
    """

    name: str
    caption: str
    alt: str
    drawing: Drawing
    wide: bool = False

    def __post_init__(self) -> None:
        _told(self.name, self.caption, self.alt)


@dataclass(frozen=True)
class Picture:
    """A small image, such as a crop: PNG bytes, alternative text and a line below."""

    png: bytes = field(repr=False)
    alt: str
    caption: str = ""

    def __post_init__(self) -> None:
        _told("a picture", self.alt)


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side; `name` names their files, `caption` says what to conclude."""

    name: str
    caption: str
    pictures: tuple[Picture, ...]

    def __post_init__(self) -> None:
        _told(self.name, self.caption)


@dataclass(frozen=True)
class Facts:
    """A few numbers or words by name, which the reader should see first."""

    rows: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True)
class Note:
    """A paragraph; `warning` sets it off."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Section:
    """A part of a page, or of a section.

    Attributes
    ----------
    title
        Its heading; a foreign name in it goes through `radboost.report.page.isolate`, as in all sentences.
    items
        What it holds, in order; figures that follow each other stand side by side where there is room.
    lead
        A sentence below the heading.
    """

    title: str
    items: tuple[Item, ...]
    lead: str = ""


Item: TypeAlias = Figure | Table | Gallery | Facts | Note | Section


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes
    ----------
    title, lead
        Its heading, and what question it answers.
    items
        What it holds; its sections make the table of contents.
    facts
        What it was made from: names and values, at the end.
    data
        What `metrics.json` beside it holds; nothing is written where it is empty.
    """

    title: str
    lead: str
    items: tuple[Item, ...]
    facts: tuple[tuple[str, Cell], ...] = ()
    data: Mapping[str, object] = field(default_factory=dict)


def _told(name: str, *texts: str) -> None:
    if not all(text.strip() for text in texts):
        raise RadboostError("lacks its caption or its alternative text", where=name)
