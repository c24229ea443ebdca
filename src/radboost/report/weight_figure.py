"""The picture of weights: how alike the cohorts are before and after, and how the weights are spread."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radboost.report.figures import save_figure

if TYPE_CHECKING:
    from radboost.booster.weights import Weighting

__all__ = ["draw_weights"]

MOST = 40
"""Columns drawn, those furthest apart before weighting first; the table lists all."""

BEFORE, AFTER = "#b0602a", "#2a6fb0"


def draw_weights(found: Weighting, out: Path) -> None:
    """Draw distances by column and a histogram of the weights, as PNG; equal weights give equal bytes.

    Raises
    ------
    UserError
        It cannot be written.
    """
    shown = sorted(found.balance, key=lambda b: -np.nan_to_num(b.ks[0]))[:MOST]
    # Without pyplot there is no global state, and no window system is asked for.
    figure = Figure(figsize=(10, 2.6 + 0.28 * len(shown)), layout="constrained")
    first, second, third = figure.subplots(1, 3, width_ratios=(1, 1, 1))
    names = [b.name for b in shown][::-1]
    sizes = [(abs(b.smd[0]), abs(b.smd[1])) for b in shown][::-1]
    _pairs(first, names, sizes, "|standardised mean difference|")
    _pairs(second, [""] * len(names), [b.ks for b in shown][::-1], "Kolmogorov-Smirnov distance")
    first.legend(loc="lower right", fontsize=8)
    third.hist(found.weight, bins=40, color=AFTER)
    third.set_yscale("log")
    third.set_ylim(bottom=0.5)
    third.set_xlabel("weight (mean 1)")
    third.set_ylabel("units")
    third.set_title(f"effective sample share {found.share:.2f}, largest {found.largest:.1f}", fontsize=9)
    save_figure(figure, out)


def _pairs(axes: Axes, names: list[str], values: list[tuple[float, float]], title: str) -> None:
    """One line a column, from its distance before to the one after."""
    place = np.arange(len(names))
    before, after = (np.array([v[k] for v in values], dtype=np.float64) for k in (0, 1))
    finite = np.isfinite(before) & np.isfinite(after)
    axes.hlines(place[finite], before[finite], after[finite], color="0.8", zorder=1)
    axes.scatter(before[finite], place[finite], color=BEFORE, s=18, label="before")
    axes.scatter(after[finite], place[finite], color=AFTER, s=18, label="after")
    # A column's name is text as it stands: a dollar sign in it starts no formula.
    axes.set_yticks(place, names, fontsize=8, parse_math=False)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.set_xlim(left=0)
    axes.set_xlabel(title)
