"""A blend's weights on predictions of new units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.ensemble.logit import log_probabilities, softmax_pool
from radboost.ensemble.panel import Mask, fill
from radboost.errors import MismatchError, TableError, offenders

__all__ = ["apply_blend"]

FloatArray: TypeAlias = npt.NDArray[np.float64]


def apply_blend(
    weights: Mapping[str, float],
    probabilities: Mapping[str, npt.ArrayLike],
    intercepts: Sequence[float] = (),
    units: int | None = None,
    missing: str = "error",
) -> FloatArray:
    """Blend new predictions.

    Parameters
    ----------
    weights
        Weight by member name (`radboost.ensemble.blend.TargetBlend.weights`).
    probabilities
        Probabilities by member name, all of one shape, (n,) or (n, classes). Members of weight 0 may be absent, and
        members without a weight are left aside.
    intercepts
        Of a blend in logit space (`radboost.ensemble.blend.TargetBlend.intercepts`); its probabilities are
        (n, classes).
    units
        n, where members may be absent altogether: a blend in logit space that found nothing in any is its intercepts.
    missing
        ``renormalise``: a member that is absent, or NaN for a unit, leaves its weight to those that are there, each by
        its own weight. A unit that only members of no weight predicted is their mean; without any it is NaN.

    Returns
    -------
    Probabilities of the members' shape.

    Raises
    ------
    MismatchError
        A member that carries weight is absent, or shapes differ.
    TableError
        A value is missing or outside [0, 1].

    >>> apply_blend({"a": 0.25, "b": 0.75, "c": 0.0}, {"a": [1.0, 0.0], "b": [0.0, 0.0]})
    array([0.25, 0.  ])
    """
    spread = missing == "renormalise"
    needed = [name for name, weight in weights.items() if weight > 0 or (spread and name in probabilities)]
    absent = [name for name in needed if name not in probabilities]
    if (absent and (not spread or len(absent) == len(needed))) or not (needed or len(intercepts)):
        raise MismatchError("the blend needs members that did not predict", got=offenders(absent) or "no weights")
    parts = {name: np.asarray(probabilities[name], dtype=np.float64) for name in needed if name not in absent}
    shapes = sorted({part.shape for part in parts.values()})
    if len(shapes) > 1:
        raise MismatchError("the members' predictions differ in shape", got=offenders(shapes))
    bad = [name for name, part in parts.items() if not ((part >= 0) & (part <= 1) | (spread & np.isnan(part))).all()]
    if bad:
        raise TableError("probabilities must lie in [0, 1], and none may be missing", got=offenders(bad))
    if not needed:
        if units is None:
            units = len(np.asarray(next(iter(probabilities.values()))))
        # No member tells anything: the intercepts alone are the prior.
        return softmax_pool(np.zeros((units, 1, len(intercepts))), np.zeros(1), np.asarray(intercepts))
    stacked = np.stack([parts[name] if name in parts else np.full(shapes[0], np.nan) for name in needed], axis=1)
    carried = np.array([weights[name] for name in needed])
    if len(intercepts):
        return _pooled(stacked, carried, np.asarray(intercepts))
    blended: FloatArray = np.einsum("nm...,m->n...", _filled(stacked, carried), carried)
    return np.clip(blended, 0, 1)


def _pooled(stacked: FloatArray, weights: FloatArray, intercepts: FloatArray) -> FloatArray:
    if stacked.ndim != 3 or stacked.shape[2] != intercepts.size:
        got = f"{stacked.shape} for {intercepts.size} classes"
        raise MismatchError("a blend in logit space needs a probability for each class", got=got)
    if intercepts.size > 2:
        stacked = stacked / stacked.sum(axis=2, keepdims=True)
    return softmax_pool(_filled(log_probabilities(stacked), weights), weights, intercepts)


def _filled(stacked: FloatArray, weights: FloatArray) -> FloatArray:
    flat = stacked.reshape(*stacked.shape[:2], -1)
    present: Mask = np.logical_not(np.isnan(flat).any(axis=2))
    if present.all():
        return stacked
    there = present.any(axis=1)
    filled = stacked.copy()
    filled[there] = fill(stacked[there], present[there], weights)
    return filled
