"""Metrics of a ranking and of thresholds upon it; each is a `radboost.metrics.Metric` of labels 0 or 1 and scores.

Weights, labels and errors are those of `radboost.metrics.auc`. No threshold parts rows of equal scores, and only the
areas under the ROC curve interpolate between thresholds: their ties count one half.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from radboost.errors import UserError
from radboost.metrics.inputs import FloatArray, binary
from radboost.metrics.steps import Ladder, Steps

__all__ = [
    "Area",
    "AtThreshold",
    "AveragePrecision",
    "NetBenefit",
    "PartialAuc",
    "Ranked",
    "SensitivityAt",
    "interpolated_roc",
]

SLACK = 1e-9
"""Share of a class by which a rate may pass its limit: rates are ratios of running sums."""


class Ranked:
    """A metric that the running sums of a ranking are enough for; `of` computes it from them."""

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Thresholds that it asks about, beside the corners of the ROC curve."""
        return ()

    def of(self, steps: Steps) -> float:
        """Give the metric, ``nan`` where it is not defined."""
        raise NotImplementedError

    def __call__(self, y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
        """Give the metric of rows, all arrays of shape (n,)."""
        truth, score, w = binary(y, p, weight)
        return self.of(Ladder.of(truth, score).steps(w)) if truth.size else math.nan


@dataclass(frozen=True)
class Area(Ranked):
    """Area under the whole ROC curve, as `radboost.metrics.auc`, from running sums."""

    def of(self, steps: Steps) -> float:
        """Give the area within [0, 1]."""
        if not steps.defined:
            return math.nan
        return float(np.trapezoid(steps.tp, steps.fp) / (steps.positives * steps.negatives))


@dataclass(frozen=True)
class PartialAuc(Ranked):
    r"""Area under the part of the ROC curve where specificity, or sensitivity, is at least `floor`, standardised.

    :math:`\frac12 \left(1 + \frac{A - f^2/2}{f - f^2/2}\right)` with :math:`A` the area above false-positive rates up
    to :math:`f = 1 - \text{floor}`: .5 for chance, 1 for a perfect order (McClish, Medical Decision Making 9, 1989). Of
    sensitivity it is the area beside the curve above `floor`, that is the same of the curve with its axes exchanged
    and turned round (Jiang, Metz and Nishikawa, Radiology 201, 1996).

    Attributes
    ----------
    floor
        Least specificity or sensitivity, in (0, 1).
    of_what
        ``specificity`` or ``sensitivity``.

    >>> PartialAuc(0.5)([0, 1, 0, 1], [0.1, 0.4, 0.3, 0.2])
    0.6666666666666666
    """

    floor: float
    of_what: Literal["specificity", "sensitivity"] = "specificity"

    def __post_init__(self) -> None:
        if not 0 < self.floor < 1:
            raise UserError("a partial area needs a floor between 0 and 1", got=self.floor)

    def of(self, steps: Steps) -> float:
        """Give the standardised area, at most 1; below .5 where the order is worse than chance."""
        if not steps.defined:
            return math.nan
        x, y = steps.roc()
        if self.of_what == "sensitivity":
            x, y = 1 - y[::-1], 1 - x[::-1]
        width = 1 - self.floor
        stop = int(np.searchsorted(x, width, side="right"))
        edge = np.interp(width, x[stop - 1 : stop + 1], y[stop - 1 : stop + 1])
        area = np.trapezoid(np.append(y[:stop], edge), np.append(x[:stop], width))
        least = width**2 / 2
        return float(0.5 * (1 + (area - least) / (width - least)))


@dataclass(frozen=True)
class AveragePrecision(Ranked):
    r"""Mean of the precisions, each weighed by the recall that it adds: :math:`\sum_k (R_k - R_{k-1}) P_k`."""

    def of(self, steps: Steps) -> float:
        """Give it within [0, 1]; the share of positives for an order by chance."""
        if steps.positives <= 0:
            return math.nan
        tp, called = steps.tp[1:], steps.tp[1:] + steps.fp[1:]
        precision = np.divide(tp, called, out=np.zeros_like(tp), where=called > 0)
        return float(np.diff(steps.tp) @ precision / steps.positives)


@dataclass(frozen=True)
class SensitivityAt(Ranked):
    """Greatest sensitivity that a threshold reaches while specificity, or the share called, keeps within its limit.

    Attributes
    ----------
    limit
        Least specificity, or largest share of all weight that is called: the recall rate of a screening programme.
    of_what
        ``specificity`` or ``recall rate``.

    >>> SensitivityAt(0.5)([0, 1, 0, 1], [0.1, 0.4, 0.3, 0.2])
    1.0
    """

    limit: float
    of_what: Literal["specificity", "recall rate"] = "specificity"

    def place(self, steps: Steps) -> int:
        """Give the place in `steps` of the lowest threshold within the limit; 0 where nobody may be called."""
        if self.of_what == "specificity":
            counted, allowed = steps.fp, 1 - self.limit
        else:
            counted, allowed = steps.tp + steps.fp, self.limit
        total = float(counted[-1])
        return int(np.searchsorted(counted, (allowed + SLACK) * total, side="right")) - 1

    def of(self, steps: Steps) -> float:
        """Give it within [0, 1]."""
        return float(steps.tp[self.place(steps)]) / steps.positives if steps.defined else math.nan


Rate = Literal["sensitivity", "specificity", "PPV", "NPV", "recall rate", "F1"]


@dataclass(frozen=True)
class AtThreshold(Ranked):
    """A rate of calling positive who scores at least `threshold`; what is not defined (PPV of nobody) is ``nan``."""

    rate: Rate
    threshold: float

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The one that it asks about."""
        return (self.threshold,)

    def of(self, steps: Steps) -> float:
        """Give it within [0, 1]."""
        tp, fp = steps.at(self.threshold)
        positives, negatives = steps.positives, steps.negatives
        top, bottom = {
            "sensitivity": (tp, positives),
            "specificity": (negatives - fp, negatives),
            "PPV": (tp, tp + fp),
            "NPV": (negatives - fp, positives - tp + negatives - fp),
            "recall rate": (tp + fp, positives + negatives),
            "F1": (2 * tp, tp + fp + positives),
        }[self.rate]
        return top / bottom if bottom > 0 else math.nan


@dataclass(frozen=True)
class NetBenefit(Ranked):
    r"""Net benefit of acting from a probability `threshold` t on, :math:`\frac{TP}{n} - \frac{FP}{n} \frac{t}{1-t}`.

    In true positives a unit (Vickers and Elkin, Medical Decision Making 26, 2006). Acting on nobody has 0.
    """

    threshold: float

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The one that it asks about."""
        return (self.threshold,)

    def of(self, steps: Steps) -> float:
        """Give it; at most the share of positives, without a lower bound."""
        total = steps.positives + steps.negatives
        if total <= 0:
            return math.nan
        tp, fp = steps.at(self.threshold)
        return (tp - fp * self.threshold / (1 - self.threshold)) / total


def interpolated_roc(steps: Steps, at: FloatArray) -> FloatArray:
    """Sensitivity at given false-positive rates, both (m,), along the curve's straight pieces."""
    x, y = steps.roc()
    return np.interp(at, x, y) if steps.defined else np.full(at.shape, math.nan)
