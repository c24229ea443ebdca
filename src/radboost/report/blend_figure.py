"""The picture of a sweep: what each policy costs in worlds between the data and the target set, and beyond."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radboost.report.figures import save_figure

if TYPE_CHECKING:
    from radboost.ensemble.result import Sweep

__all__ = ["draw_sweeps"]

MOST = 12
"""Targets drawn; sweep.json holds all."""

COLOURS = {"safe": "#2a6fb0", "risky": "#b0602a", "robust": "#3a8a4a"}
AXES = {
    "strength": "power of the target weights (0: the data, 1: the target set)",
    "prevalence": "prevalence of the last class",
}


def draw_sweeps(sweeps: Sequence[Sweep], out: Path) -> None:
    """Draw each policy's loss above the best one's along every axis, as PNG; equal sweeps give equal bytes.

    Raises
    ------
    UserError
        It cannot be written.
    """
    targets = list(dict.fromkeys(sweep.target for sweep in sweeps))[:MOST]
    # Without pyplot there is no global state, and no window system is asked for.
    figure = Figure(figsize=(10, 0.6 + 2.6 * len(targets)), layout="constrained")
    grid = figure.subplots(len(targets), len(AXES), squeeze=False)
    for sweep in sweeps:
        if sweep.target in targets:
            _curves(grid[targets.index(sweep.target), list(AXES).index(sweep.axis)], sweep)
    grid[0, 0].legend(fontsize=8)
    save_figure(figure, out)


def _curves(axes: Axes, sweep: Sweep) -> None:
    losses = np.array(list(sweep.losses.values()))
    above = losses - losses.min(axis=0)
    for name, values in zip(sweep.losses, above, strict=True):
        axes.plot(sweep.at, values, color=COLOURS[name], marker="o", markersize=3, label=name)
    for place, _, _ in sweep.crossings():
        axes.axvline(place, color="0.7", linestyle=":", zorder=0)
    if sweep.axis == "prevalence" and sweep.at[0] > 0:
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(sweep.at, [f"{rate:.2g}" for rate in sweep.at], fontsize=8)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(AXES[sweep.axis], fontsize=8)
    axes.set_ylabel("log loss above the best", fontsize=8)
    # A target's name is text as it stands: a dollar sign in it starts no formula.
    axes.set_title(sweep.target, fontsize=9, parse_math=False)
