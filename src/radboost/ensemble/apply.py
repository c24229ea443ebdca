"""A blend's weights on predictions of new units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.ensemble.logit import log_probabilities, softmax_pool
from radboost.errors import MismatchError, TableError, offenders

__all__ = ["apply_blend"]

FloatArray: TypeAlias = npt.NDArray[np.float64]


def apply_blend(
    weights: Mapping[str, float],
    probabilities: Mapping[str, npt.ArrayLike],
    intercepts: Sequence[float] = (),
    units: int | None = None,
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
    needed = [name for name, weight in weights.items() if weight > 0]
    absent = [name for name in needed if name not in probabilities]
    if absent or not (needed or len(intercepts)):
        raise MismatchError("the blend needs members that did not predict", got=offenders(absent) or "no weights")
    parts = [np.asarray(probabilities[name], dtype=np.float64) for name in needed]
    shapes = sorted({part.shape for part in parts})
    if len(shapes) > 1:
        raise MismatchError("the members' predictions differ in shape", got=offenders(shapes))
    bad = [name for name, part in zip(needed, parts, strict=True) if not ((part >= 0) & (part <= 1)).all()]
    if bad:
        raise TableError("probabilities must lie in [0, 1], and none may be missing", got=offenders(bad))
    if len(intercepts):
        if units is None:
            units = len(np.asarray(next(iter(probabilities.values()))))
        return _pooled(parts, [weights[name] for name in needed], np.asarray(intercepts), units)
    blended = np.zeros(shapes[0])
    for name, part in zip(needed, parts, strict=True):
        blended += weights[name] * part
    return np.clip(blended, 0, 1)


def _pooled(parts: list[FloatArray], weights: list[float], intercepts: FloatArray, units: int) -> FloatArray:
    if not parts:
        # No member tells anything: the intercepts alone are the prior.
        return softmax_pool(np.zeros((units, 1, intercepts.size)), np.zeros(1), intercepts)
    stacked = np.stack(parts, axis=1)
    if stacked.ndim != 3 or stacked.shape[2] != intercepts.size:
        got = f"{stacked.shape} for {intercepts.size} classes"
        raise MismatchError("a blend in logit space needs a probability for each class", got=got)
    if intercepts.size > 2:
        stacked = stacked / stacked.sum(axis=2, keepdims=True)
    return softmax_pool(log_probabilities(stacked), np.array(weights), intercepts)
