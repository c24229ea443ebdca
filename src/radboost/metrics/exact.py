"""Exact intervals of shares."""

from __future__ import annotations

import math

from scipy.stats import beta

from radboost.errors import UserError

__all__ = ["clopper_pearson"]


def clopper_pearson(hits: int, of: int, level: float = 0.95) -> tuple[float, float]:
    r"""Exact binomial interval of a share (Clopper and Pearson, Biometrika 26, 1934).

    The quantiles :math:`B(\alpha/2; k, n-k+1)` and :math:`B(1-\alpha/2; k+1, n-k)` of the beta distribution. For
    independent units of equal weight: the coverage is at least `level` whatever the share, and more for most shares.
    Units that come in clusters, or have weights, want `radboost.metrics.clustered_interval`.

    Parameters
    ----------
    hits, of
        Counts, 0 <= hits <= of.
    level
        Of the interval.

    Returns
    -------
    Low and high within [0, 1]; ``nan`` where `of` is 0.

    >>> [round(edge, 4) for edge in clopper_pearson(0, 10)]
    [0.0, 0.3085]
    """
    if not 0 <= hits <= of or hits != int(hits) or of != int(of):
        raise UserError("a share needs counts, no more hits than units", where="metrics", got=f"{hits} of {of}")
    if of == 0:
        return math.nan, math.nan
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, of - hits + 1))
    high = 1.0 if hits == of else float(beta.ppf(1 - tail, hits + 1, of - hits))
    return low, high
