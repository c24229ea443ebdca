"""What both boosting libraries share: start at the base rate, stop by inner groups, refit on all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from radboost.booster.learner import best_round, log_rates, row_loss, to_classes
from radboost.booster.rows import FloatArray, Inner, Rows

__all__ = ["DEPTH", "LEARNING_RATE", "PATIENCE", "ROUNDS", "SHRINKAGE", "Boosted", "Trial", "boost", "column_share"]

ROUNDS = 400
PATIENCE = 30
LEARNING_RATE = 0.05
DEPTH = 3
SHRINKAGE = 10.0
"""L2 on leaf values, in units of row weight: a leaf of ten rows is halved."""

COLUMNS_A_TREE = 24.0
LEAST_SHARE = 0.05


def column_share(columns: int) -> float:
    """Share of the columns that a tree may look at: about 24 of them, and never less than 5 %."""
    return float(min(1.0, max(LEAST_SHARE, COLUMNS_A_TREE / max(1, columns))))


@dataclass(frozen=True)
class Trial:
    """One inner fit.

    Attributes
    ----------
    curve
        Validation loss after 1, 2, ... rounds.
    margin
        Gives the validation rows' margin after so many rounds, without the start: (rows, margins).
    """

    curve: list[float]
    margin: Callable[[int], FloatArray]


@dataclass(frozen=True)
class Boosted:
    """Outcome of `boost`.

    Attributes
    ----------
    rounds
        Trees that inner groups agreed on; 0 leaves the base rate.
    start
        Margin of the base rate, (1,) or (classes,).
    model
        The library's booster on all rows; None for 0 rounds.
    inner
        See `radboost.booster.learner.Fitted`.
    """

    rounds: int
    start: FloatArray
    model: Any
    inner: FloatArray


def boost(
    rows: Rows,
    inner: Inner,
    try_split: Callable[[Rows, Rows, FloatArray], Trial],
    refit: Callable[[Rows, FloatArray, int], Any],
) -> Boosted:
    """Choose the number of rounds on inner groups, then fit all rows with it.

    Parameters
    ----------
    rows, inner
        Training rows and their inner folds.
    try_split
        Fits inner training rows and watches the validation rows, from a start margin.
    refit
        Fits all rows from a start margin for so many rounds.
    """
    curves, weights, trials = [], [], []
    for train, held in inner:
        start, seen = log_rates(rows.take(train).rates), rows.take(held)
        trial = try_split(rows.take(train), seen, start)
        prior = float(np.average(row_loss(seen.y, _base(start, len(seen))), weights=seen.weight))
        curves.append(np.array([prior, *trial.curve]))
        weights.append(float(seen.weight.sum()))
        trials.append((held, start, trial))
    rounds = best_round(curves, weights)
    out = np.full((len(rows), rows.classes), np.nan)
    for held, start, trial in trials:
        most = min(rounds, len(trial.curve))
        out[held] = _base(start, int(held.sum())) if most == 0 else to_classes(trial.margin(most) + start)
    start = log_rates(rows.rates)
    return Boosted(rounds, start, refit(rows, start, rounds) if rounds else None, out)


def _base(start: FloatArray, n: int) -> FloatArray:
    return to_classes(np.tile(start, (n, 1)))
