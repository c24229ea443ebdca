"""What calling the highest scores positive gives, for every threshold at once: sorted once, weighed at will."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radboost.metrics.inputs import FloatArray, IntArray, binary

__all__ = ["Ladder", "Steps"]


@dataclass(frozen=True)
class Steps:
    """Weight called positive at every threshold, from "nobody" to "everybody".

    Attributes
    ----------
    threshold
        Shape (K + 1,), falling: infinity, then K scores that occur. Called is who scores at least this.
    tp, fp
        Shape (K + 1,), rising from 0: weight of the positives and of the negatives that are called.
    """

    threshold: FloatArray
    tp: FloatArray
    fp: FloatArray

    @property
    def positives(self) -> float:
        """Weight of all positives."""
        return float(self.tp[-1])

    @property
    def negatives(self) -> float:
        """Weight of all negatives."""
        return float(self.fp[-1])

    @property
    def defined(self) -> bool:
        """Whether both classes have weight."""
        return self.positives > 0 and self.negatives > 0

    def at(self, threshold: float) -> tuple[float, float]:
        """Weight of the true and of the false positives when who scores at least `threshold` is called."""
        place = int(np.searchsorted(-self.threshold, -threshold, side="right")) - 1
        return float(self.tp[place]), float(self.fp[place])

    def roc(self) -> tuple[FloatArray, FloatArray]:
        """False-positive and true-positive rates, each (K + 1,); ``nan`` where a class has no weight."""
        nothing = np.full(self.tp.shape, math.nan)
        return (
            self.fp / self.negatives if self.negatives > 0 else nothing,
            self.tp / self.positives if self.positives > 0 else nothing,
        )


@dataclass(frozen=True)
class Ladder:
    """Rows in falling order of their score, and the rungs at which they are counted.

    Attributes
    ----------
    order
        Row numbers (n,), the highest score first.
    positive
        Label of each in that order (n,).
    first
        Place (K,) in that order where each rung starts; no threshold parts equal scores.
    threshold
        As `Steps.threshold`.
    """

    order: IntArray
    positive: FloatArray
    first: IntArray
    threshold: FloatArray

    @classmethod
    def of(cls, y: npt.ArrayLike, p: npt.ArrayLike, keep: Collection[float] | None = None) -> Ladder:
        """Sort labels 0 or 1 by their finite scores, both of shape (n,), n at least 1.

        Parameters
        ----------
        y, p
            Labels and scores.
        keep
            Give a rung only to the corners of the ROC curve and to these thresholds: the areas under curves, the most
            that can be found within a limit, and what is called at these thresholds stay as they are, and cost less.
        """
        truth, score, _ = binary(y, p, None)
        order = np.argsort(-score, kind="stable").astype(np.int64)
        ranked, positive = score[order], truth[order]
        last = np.append(np.flatnonzero(np.diff(ranked)), ranked.size - 1).astype(np.int64)
        if keep is not None:
            has = np.add.reduceat(positive, np.append(0, last[:-1] + 1)) > 0
            corner = has | np.append(has[1:], True)
            places = np.searchsorted(-ranked[last], -np.array(list(keep), np.float64), side="right") - 1
            corner[places[places >= 0]] = True
            last = last[corner]
        first = np.append(0, last[:-1] + 1).astype(np.int64)
        return cls(order, positive, first, np.concatenate([[math.inf], ranked[last]]))

    def steps(self, weight: FloatArray) -> Steps:
        """Weigh the rows, (n,), in their own order."""
        w = weight[self.order]
        true = w * self.positive
        tp, fp = (
            np.concatenate([[0.0], np.cumsum(np.add.reduceat(values, self.first))]) for values in (true, w - true)
        )
        return Steps(self.threshold, tp, fp)
