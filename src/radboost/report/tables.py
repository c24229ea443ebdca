"""The one table each command ends with, as plain cells; the console decides how they look."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Table", "interval", "number"]


@dataclass(frozen=True)
class Table:
    """Cells as text, ready to be printed.

    Attributes
    ----------
    title
        What the table says.
    columns
        Headings.
    rows
        Cells, as many a row as there are columns.
    notes
        Lines below.
    words
        Whether all cells are words, to be aligned at their beginning.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    words: bool = False


def number(value: float | None, digits: int = 4) -> str:
    """Write a number, or a dash where it is not defined.

    >>> number(0.51239), number(float("nan"))
    ('0.5124', '-')
    """
    return "-" if value is None or value != value else f"{value:.{digits}f}"


def interval(low: float, high: float, digits: int = 3) -> str:
    """Write a 95 % interval.

    >>> interval(0.5, 0.61)
    '[0.500, 0.610]'
    """
    return "-" if low != low or high != high else f"[{low:.{digits}f}, {high:.{digits}f}]"
