"""Pictures of a training: how scores moved, and who is called what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radboost.extractor.train.training import Training
from radboost.report.figures import save_figure

__all__ = ["draw_training"]

_COLUMNS = 3


def draw_training(training: Training) -> list[Path]:
    """Draw ``curves.png`` and ``confusion.png`` into a training's folder, from the tables in it.

    Returns
    -------
    list
        The pictures.

    Raises
    ------
    UserError
        They cannot be written.
    """
    curves, matrices = training.folder / "curves.png", training.folder / "confusion.png"
    _curves(pd.read_csv(training.folder / "epochs.csv"), curves)
    _matrices(pd.read_csv(training.folder / "confusion.csv", dtype={"true": str, "called": str}), matrices)
    return [curves, matrices]


def _curves(table: pd.DataFrame, out: Path) -> None:
    """One panel a score: inner units in full lines, training dashed, a colour a fold; stages follow one another."""
    inner = [name.removeprefix("inner_") for name in table.columns if name.startswith("inner_")]
    panels = ["objective", *inner, "rate"]
    rows = -(-len(panels) // _COLUMNS)
    figure = Figure(figsize=(4 * _COLUMNS, 2.6 * rows), layout="constrained")
    grid = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axes, name in zip(grid, panels, strict=False):
        for number, (fold, part) in enumerate(table.groupby("fold", sort=True)):
            steps = np.arange(1, len(part) + 1)
            for column, style in ((name, "-"), (f"inner_{name}", "-"), (f"train_{name}", "--")):
                if column in part.columns:
                    label = f"fold {fold}" if style == "-" else None
                    axes.plot(steps, part[column], style, color=f"C{number % 10}", label=label, linewidth=1)
        _stages(axes, table)
        axes.set_title(name.replace("_", " "), fontsize=9)
    grid[0].legend(fontsize=7)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    figure.supxlabel("epoch, over all stages; full: inner units, dashed: training", fontsize=8)
    save_figure(figure, out)


def _stages(axes: Axes, table: pd.DataFrame) -> None:
    """Mark where the first fold's stages end."""
    first = table[table["fold"] == table["fold"].iat[0]]
    for end in first.groupby("stage", sort=False).size().cumsum()[:-1]:
        axes.axvline(end + 0.5, color="0.8", zorder=0)


def _matrices(table: pd.DataFrame, out: Path) -> None:
    """One matrix a target over all folds, as shares of the true class."""
    targets = list(table["target"].unique())
    rows = -(-len(targets) // _COLUMNS)
    figure = Figure(figsize=(3.4 * min(len(targets), _COLUMNS), 3.2 * rows), layout="constrained")
    grid = figure.subplots(rows, min(len(targets), _COLUMNS), squeeze=False).ravel()
    for axes, target in zip(grid, targets, strict=False):
        own = table[table["target"] == target]
        names = list(own["true"].unique())
        counts = own.pivot_table("weight", "true", "called", "sum").loc[names, names].to_numpy()
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (true, called), value in np.ndenumerate(share):
            text = f"{value:.2f}\n{counts[true, called]:g}"
            axes.text(called, true, text, ha="center", va="center", fontsize=7, color="w" if value > 0.5 else "k")
        axes.set_xticks(range(len(names)), names, fontsize=6, rotation=30, ha="right")
        axes.set_yticks(range(len(names)), names, fontsize=6)
        axes.set_title(target, fontsize=9)
    for axes in grid[len(targets) :]:
        axes.set_axis_off()
    figure.supxlabel("called, out of fold", fontsize=8)
    figure.supylabel("true: share and weight", fontsize=8)
    save_figure(figure, out)
