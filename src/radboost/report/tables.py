"""The one table each command ends with, as plain cells; the console decides how they look."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Table", "interval", "number", "signed"]


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
    """Write a number, or a dash where it is not defined; what rounds to nothing has no sign.

    >>> number(0.51239), number(float("nan")), number(-0.00001)
    ('0.5124', '-', '0.0000')
    """
    # Adding 0 takes the sign off.
    return "-" if value is None or value != value else f"{round(value, digits) + 0.0:.{digits}f}"


def signed(value: float, digits: int = 4) -> str:
    """Write a difference with its sign; what rounds to nothing has that of nothing.

    >>> signed(0.51239), signed(-0.51239), signed(-0.00001)
    ('+0.5124', '-0.5124', '+0.0000')
    """
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def interval(low: float, high: float, digits: int = 3) -> str:
    """Write a 95 % interval.

    >>> interval(0.5, 0.61)
    '[0.500, 0.610]'
    """
    return "-" if low != low or high != high else f"[{number(low, digits)}, {number(high, digits)}]"
