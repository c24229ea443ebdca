"""The area under the ROC curve with an interval by formula: DeLong's for rows that come in clusters.

DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988; Obuchowski, Biometrics 53, 1997. Much quicker than a bootstrap,
and it gives a p-value; it holds for large numbers of groups with positives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from radboost.metrics.clustered import Scored
from radboost.metrics.inputs import FloatArray, binary

__all__ = ["Delong", "delong", "delong_difference"]


@dataclass(frozen=True)
class Delong:
    """An area, or the difference of two, with its standard error.

    Attributes
    ----------
    value, error
        The estimate and its standard error; ``nan`` where fewer than two groups have a positive, or a negative.
    low, high
        Interval: on the logit scale for an area, which keeps it within [0, 1], and symmetric for a difference.
    p_value
        Two-sided: of the area being .5, or of there being no difference.
    """

    value: float
    error: float
    low: float
    high: float
    p_value: float


def delong(rows: Scored, level: float = 0.95) -> Delong:
    r"""Area under the ROC curve, its variance clustered by group and weighted.

    With :math:`V_i` the share of negatives' weight below positive i (ties one half), :math:`U_j` the share of
    positives' weight above negative j, and A the area, each group g sums :math:`a_g = \sum_{i} w_i (V_i - A)` over its
    positives and :math:`b_g = \sum_{j} w_j (U_j - A)` over its negatives. The variance is

    .. math:: \frac{I_1}{I_1 - 1} \frac{\sum a_g^2}{W_1^2} + \frac{I_0}{I_0 - 1} \frac{\sum b_g^2}{W_0^2}
              + \frac{I}{I - 1} \frac{2 \sum a_g b_g}{W_1 W_0}

    over :math:`I_1` groups with positives, :math:`I_0` with negatives and I in all. A row of weight 2 is the row twice;
    groups of one row give DeLong's own variance.

    Parameters
    ----------
    rows
        Labels 0 or 1, scores, weights and groups.
    level
        Of the interval.
    """
    parts = _components(rows)
    value, error = parts.area, _error(parts.own, parts)
    if not 0 < value < 1 or not error > 0:
        return Delong(value, error, math.nan, math.nan, _p_value(value - 0.5, error))
    middle, reach = math.log(value / (1 - value)), norm.ppf((1 + level) / 2) * error / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-(middle + sign * reach))) for sign in (-1, 1))
    return Delong(value, error, low, high, _p_value(value - 0.5, error))


def delong_difference(a: Scored, p_b: npt.ArrayLike, level: float = 0.95) -> Delong:
    """Area of one prediction minus that of another on the same rows, paired and clustered by group.

    Parameters
    ----------
    a
        The first, with the rows' labels, weights and groups.
    p_b
        The second's scores of the rows of `a`.
    level
        Of the interval.
    """
    b = Scored(a.y, np.asarray(p_b, np.float64), a.weight, a.group)
    first, second = _components(a), _components(b)
    value = first.area - second.area
    error = _error((first.own[0] - second.own[0], first.own[1] - second.own[1]), first)
    reach = float(norm.ppf((1 + level) / 2)) * error
    return Delong(value, error, value - reach, value + reach, _p_value(value, error))


@dataclass(frozen=True)
class _Parts:
    """Sums by group of the positives' and the negatives' parts; how many groups have either; the classes' weights."""

    area: float
    own: tuple[FloatArray, FloatArray]
    groups: tuple[int, int]
    weight: tuple[float, float]


def _components(rows: Scored) -> _Parts:
    y, p, w = binary(rows.y, rows.p, rows.weight)
    names, code = np.unique(rows.group, return_inverse=True)
    sides = (y == 1, y == 0)
    totals = (float(w[sides[0]].sum()), float(w[sides[1]].sum()))
    if min(totals) <= 0:
        nothing = np.zeros(names.size)
        return _Parts(math.nan, (nothing, nothing), (0, 0), totals)
    yes, no = sides
    below, above = _share_below(p[yes], p[no], w[no], 1.0), _share_below(p[no], p[yes], w[yes], -1.0)
    area = float(w[yes] @ below / totals[0])
    a, b = (
        np.asarray(np.bincount(code[side], w[side] * (values - area), names.size), np.float64)
        for side, values in ((yes, below), (no, above))
    )
    return _Parts(area, (a, b), (len(np.unique(code[yes])), len(np.unique(code[no]))), totals)


def _share_below(score: FloatArray, other: FloatArray, weight: FloatArray, sign: float) -> FloatArray:
    """Share of the others' weight that scores less (sign 1) or more (sign -1) than each; ties count one half."""
    order = np.argsort(sign * other, kind="stable")
    ladder, sums = (sign * other)[order], np.concatenate([[0.0], np.cumsum(weight[order])])
    low, high = (sums[np.searchsorted(ladder, sign * score, side=side)] for side in ("left", "right"))
    return np.asarray((low + high) / 2 / sums[-1], np.float64)


def _error(own: tuple[FloatArray, FloatArray], parts: _Parts) -> float:
    if min(parts.groups) < 2:
        return math.nan
    a, b = own[0] / parts.weight[0], own[1] / parts.weight[1]
    n1, n0 = parts.groups
    n = a.size
    variance = n1 / (n1 - 1) * float(a @ a) + n0 / (n0 - 1) * float(b @ b) + n / (n - 1) * 2 * float(a @ b)
    return math.sqrt(max(0.0, variance))


def _p_value(value: float, error: float) -> float:
    if not error > 0:
        return math.nan if error != 0 else float(value == 0)
    return float(2 * norm.sf(abs(value) / error))
