"""How far a blend's weights would move with other patients, from the fits that leave one fold out."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

__all__ = ["jackknife"]

FloatArray: TypeAlias = npt.NDArray[np.float64]


def jackknife(values: FloatArray, left_out: FloatArray, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """Give intervals of numbers that were fitted to all folds, by the delete-a-group jackknife.

    The variance of a number is ``(K - 1) / K`` times the sum of squared deviations of its K values without one fold
    from their mean (Kott 2001, Journal of Official Statistics 17, 521), and the interval that of a t distribution with
    K - 1 degrees of freedom. Folds hold whole patients, so it is clustered by patient; all that is chosen anew without
    a fold, such as which members are dropped, is in it.

    Parameters
    ----------
    values
        Shape (m,): fitted to all folds.
    left_out
        Shape (K, m), K at least 2: fitted without each fold.
    level
        Coverage in (0, 1).

    Returns
    -------
    Low and high (m,), not cut to any range.
    """
    k = len(left_out)
    deviation = np.sqrt((k - 1) / k * np.square(left_out - left_out.mean(axis=0)).sum(axis=0))
    reach = stdtrit(k - 1, (1 + level) / 2) * deviation
    return values - reach, values + reach
