"""Whether probabilities are the rates that they stand for."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from radboost.metrics import Estimate, reliability
from radboost.report.evaluation.numbers import calibration_bins, number
from radboost.report.evaluation.subject import Question, Settings
from radboost.report.page import Figure, Item, Number, Table, colour, draw, isolate

__all__ = ["calibration_items"]


def calibration_items(name: str, question: Question, found: dict[str, Estimate], settings: Settings) -> list[Item]:
    """Draw the reliability diagram of a question and list its bins with their counts."""
    rows = question.rows
    bins = reliability(rows.y, rows.p, rows.weight)
    rate, _ = calibration_bins(question, settings)
    top = min(1.0, 1.08 * float(np.nanmax([*bins.predicted, *bins.observed, *np.nan_to_num(rate.high)])) + 0.01)

    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=colour("soft"), linestyle=":", linewidth=1, label="as it should be")
        known = ~np.isnan(rate.low)
        axes.vlines(bins.predicted[known], rate.low[known], rate.high[known], color=colour(0), linewidth=1.2)
        size = 12 + 60 * bins.weight / bins.weight.max()
        axes.scatter(
            bins.predicted, bins.observed, s=size, color=colour(0), zorder=3, label="bins of rising probability"
        )
        axes.set(
            xlabel="mean probability", ylabel="share that is positive", xlim=(0, top), ylim=(0, top), aspect="equal"
        )
        axes.legend(loc="best")

    error = number(found["calibration error (ECE)"]).text
    away = (rate.low > bins.predicted) | (rate.high < bins.predicted)
    said = (
        "every bin's interval holds its mean probability"
        if not away.any()
        else f"{int(away.sum())} of {len(away)} bins lie away from their mean probability by more than their interval"
    )
    who = isolate(question.positive)
    caption = f"Calibration of {who}: {said}. Expected calibration error {error}. Larger dots hold more weight."
    table = Table(
        f"{name}-calibration-bins",
        f"The bins of the diagram for {who}, of about equal weight; equal probabilities share a bin.",
        ("bin", "mean probability", "share that is positive", "units"),
        [
            (
                k + 1,
                Number(float(bins.predicted[k])),
                Number(float(bins.observed[k]), float(rate.low[k]), float(rate.high[k])),
                int(bins.rows[k]),
            )
            for k in range(len(bins.rows))
        ],
    )
    alt = f"Observed share against mean probability in {len(bins.rows)} bins; {said}."
    return [Figure(f"{name}-calibration", caption, alt, draw(paint, height=4.0)), table]
