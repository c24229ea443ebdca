"""A target of several classes: what is taken for what."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from radboost.data.predictions import Block
from radboost.metrics import (
    Scored,
    accuracy,
    balanced_accuracy,
    brier,
    clustered_estimates,
    clustered_sums,
    divided,
    exact_where_flat,
    log_loss,
)
from radboost.metrics.inputs import FloatArray
from radboost.report.evaluation.numbers import number
from radboost.report.evaluation.subject import Settings, answered
from radboost.report.page import Cell, Figure, Item, Number, Table, colour, draw, isolate, plain

__all__ = ["class_items", "class_numbers"]

MOST = 12


def class_numbers(block: Block, settings: Settings) -> dict[str, Number]:
    """Give what speaks of all classes at once: log loss, Brier score, accuracy and balanced accuracy."""
    known = answered(block)
    rows = Scored(known.label, known.p[:, 0], known.task_weight, known.group)
    metrics = {"log loss": log_loss, "Brier score": brier, "accuracy": accuracy, "balanced accuracy": balanced_accuracy}
    found = clustered_estimates(metrics, rows, settings.how)
    return {name: number(each, 4 if name in ("log loss", "Brier score") else 3) for name, each in found.items()}


def class_items(name: str, block: Block, classes: tuple[str, ...], settings: Settings) -> list[Item]:
    """Draw and table which class is taken for which, by the most probable one."""
    known = answered(block)
    k = len(classes)
    taken = known.p[:, 0].argmax(axis=1)
    cell = known.label * k + taken
    columns = np.eye(k * k)[cell] * known.task_weight[:, None]

    def shares(sums: FloatArray) -> FloatArray:
        table = sums.reshape(k, k)
        return divided(table, np.repeat(table.sum(axis=1, keepdims=True), k, axis=1)).ravel()

    band = clustered_sums(columns, known.group, shares, settings.how)
    band = exact_where_flat(
        band, np.repeat([len(np.unique(known.group[known.label == i])) for i in range(k)], k).tolist()
    )
    share, low, high = (values.reshape(k, k) for values in (band.value, band.low, band.high))
    counts = np.bincount(cell, minlength=k * k).reshape(k, k)
    rows: list[tuple[Cell, ...]] = [
        (
            classes[i],
            int(counts[i].sum()),
            *(Number(float(share[i, j]), float(low[i, j]), float(high[i, j])) for j in range(k)),
        )
        for i in range(k)
    ]
    worst = np.where(np.eye(k, dtype=bool), -1, np.nan_to_num(share))
    i, j = np.unravel_index(int(worst.argmax()), worst.shape)
    said = f"{isolate(classes[i])} is most often taken for {isolate(classes[j])}, in {share[i, j]:.0%} of its weight"
    table = Table(
        f"{name}-confusion",
        f"Share of each true class (rows) that is taken for each class (columns). {said}.",
        ("true class", "units", *(f"taken for {each}" for each in classes)),
        rows,
        ("The most probable class is taken; shares are of task weight, their intervals clustered by patient.",),
    )
    if k > MOST:
        return [table]

    def paint(axes: Axes) -> None:
        axes.grid(visible=False)
        for a in range(k):
            for b in range(k):
                depth = float(np.nan_to_num(share[a, b]))
                axes.add_patch(_square(b, a, 0.5 * depth))
                axes.text(b, a, f"{share[a, b]:.0%}\n{counts[a, b]:,}", ha="center", va="center", fontsize=8)
        names = [plain(each if len(each) < 16 else f"{each[:15]}…") for each in classes]
        axes.set_xticks(range(k), names)
        axes.set_yticks(range(k), names)
        axes.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5), xlabel="taken for", ylabel="truth", aspect="equal")

    figure = Figure(
        f"{name}-classes", f"Confusion. {said}.", f"A square of {k} by {k} shares. {said}.", draw(paint, height=4.0)
    )
    return [figure, table]


def _square(x: float, y: float, alpha: float) -> Rectangle:
    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour(0), alpha=alpha, edgecolor=colour("line"))
