"""The figures of an exploration: shares with intervals, distributions by label, sizes, distances of two cohorts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from radboost.report.explore.fields import FloatArray
from radboost.report.explore.shares import Share
from radboost.report.page import Drawing, colour, draw

__all__ = ["bubbles", "dots", "forest", "histograms", "shorten"]

ROW = 0.23
"""Inches a row of names takes."""
NAME = 30
BINS = 24
WIDE = 5.0
"""Inches: read on a phone without turning it."""


def shorten(name: str, most: int = NAME) -> str:
    """Cut a name that would leave no room for the figure.

    >>> shorten("a name that is long", 8)
    'a name …'
    """
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [shorten(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def forest(shares: Sequence[Share], overall: float, what: str) -> Drawing:
    """Draw shares as dots with their intervals, a row each, beside the share of all."""

    def paint(axes: Axes) -> None:
        _rows(axes, [f"{one.field}: {one.level}" if one.field else one.level for one in shares])
        axes.axvline(overall, color=colour("soft"), linewidth=1, linestyle="--")
        for row, one in enumerate(shares):
            if not math.isnan(one.low):
                axes.plot([one.low, one.high], [row, row], color=colour(0), linewidth=1.6)
            axes.plot([one.value], [row], "o", color=colour(0), markersize=4.5)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        top = max([one.high for one in shares if not math.isnan(one.high)] + [one.value for one in shares], default=1.0)
        axes.set_xlim(0, min(1.0, max(top * 1.05, 0.01)))
        axes.set_xlabel(what)

    return draw(paint, width=WIDE, height=0.9 + ROW * len(shares))


def histograms(name: str, values: FloatArray, parts: Sequence[tuple[str, np.ndarray]]) -> Drawing:
    """Draw how numbers are spread in some parts of the units, as shares of each part."""
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, [0.005, 0.995])
    bins = int(np.clip(np.sqrt(len(known)) / 2, 8, BINS))
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)

    def paint(axes: Axes) -> None:
        for number, (label, rows) in enumerate(parts):
            own = np.clip(values[rows & ~np.isnan(values)], edges[0], edges[-1])
            if len(own):
                height = np.histogram(own, edges)[0] / len(own)
                axes.stairs(height, edges, color=colour(number), label=shorten(label, 28), linewidth=1.5, fill=False)
        axes.set_xlabel(shorten(name))
        axes.set_ylabel("share of units")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        axes.set_ylim(bottom=0)
        if len(parts) > 1:
            axes.legend()

    return draw(paint)


def bubbles(points: Sequence[tuple[float, float, int]], across: str, up: str) -> Drawing:
    """Draw pairs of numbers as circles, their areas by how often they occur."""
    most = max(n for _, _, n in points)

    def paint(axes: Axes) -> None:
        for x, y, n in sorted(points, key=lambda point: -point[2]):
            axes.plot([x], [y], "o", color=colour(0), alpha=0.55, markersize=4 + 16 * math.sqrt(n / most))
        for setting in (axes.xaxis, axes.yaxis):
            setting.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.margins(0.12)

    return draw(paint)


def dots(
    names: Sequence[str], values: Sequence[tuple[float, float, float]], what: str, limits: tuple[float, ...]
) -> Drawing:
    """Draw one number a row with its interval, and lines at values to compare with."""

    def paint(axes: Axes) -> None:
        _rows(axes, names)
        for limit in limits:
            axes.axvline(limit, color=colour("soft"), linewidth=1, linestyle=":")
        for row, (value, low, high) in enumerate(values):
            if not math.isnan(low):
                axes.plot([low, high], [row, row], color=colour(0), linewidth=1.6)
            axes.plot([value], [row], "o", color=colour(0), markersize=4.5)
        axes.set_xlabel(what)

    return draw(paint, width=WIDE, height=0.9 + ROW * len(names))
