"""What both boosting libraries share: start at the base rate, stop by inner groups, refit on all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from radboost.booster.learner import best_round, log_rates, lowest_round, row_loss, to_classes
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


class Trial(Protocol):
    """One inner fit, grown round by round."""

    def step(self) -> float:
        """Add a round; give the loss of the validation rows, weighted by row."""

    def margin(self, rounds: int) -> FloatArray:
        """Margin of the validation rows after so many rounds, without the start: (rows, margins)."""


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
    begin: Callable[[Rows, Rows, FloatArray], Trial],
    refit: Callable[[Rows, FloatArray, int], Any],
) -> Boosted:
    """Choose the number of rounds on inner groups, then fit all rows with it.

    The splits grow in step. Stopped each by itself, those that got worse would stop early and look harmless, and one
    lucky split would choose for all.

    Parameters
    ----------
    rows, inner
        Training rows and their inner folds.
    begin
        Begins an inner fit: inner training rows, validation rows, start margin.
    refit
        Fits all rows from a start margin for so many rounds.
    """
    splits = []
    for train, seen, held in inner.cut(rows):
        start = log_rates(train.rates)
        splits.append((held, start, seen, begin(train, seen, start)))
    weights = [float(seen.weight.sum()) for _, _, seen, _ in splits]
    curves = [[float(np.average(row_loss(s.y, _base(m, len(s))), weights=s.weight))] for _, m, s, _ in splits]
    for reached in range(1, ROUNDS + 1):
        for curve, (_, _, _, trial) in zip(curves, splits, strict=True):
            curve.append(trial.step())
        if reached - lowest_round(curves, weights) >= PATIENCE:
            break
    best = best_round(curves, weights)
    out = np.full((len(rows), rows.classes), np.nan)
    for held, start, _, trial in splits:
        out[held] = to_classes(trial.margin(best) + start) if best else _base(start, int(held.sum()))
    start = log_rates(rows.rates)
    return Boosted(best, start, refit(rows, start, best) if best else None, out)


def _base(start: FloatArray, n: int) -> FloatArray:
    return to_classes(np.tile(start, (n, 1)))
