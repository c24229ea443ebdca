"""The picture of a search: the best inner loss so far, job by job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from radboost.report.figures import save_figure

__all__ = ["draw_tuning"]


def draw_tuning(tuning: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Draw how far below our own settings' loss each job's search came, trial by trial, as PNG.

    Parameters
    ----------
    tuning
        As the header of a run has it: for each job its name and its trials, the first with our own settings.
    out
        The picture.

    Raises
    ------
    UserError
        It cannot be written.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for job in tuning:
        losses = np.array([trial["loss"] for trial in job["trials"]])
        best = np.minimum.accumulate(losses) - losses[0]
        numbers = np.arange(len(losses))
        [line] = axes.step(numbers, best, where="post", label=job["job"])
        axes.scatter(numbers, losses - losses[0], s=8, color=line.get_color(), alpha=0.5)
    axes.axhline(0.0, color="0.7", zorder=0)
    axes.set_xlabel("trial")
    axes.set_ylabel("inner log loss, less that of our own settings (nats)")
    axes.legend(fontsize=7, ncols=2)
    save_figure(figure, out)
