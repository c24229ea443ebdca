"""Blended probabilities moved to where the labels' own logic allows them to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.data.task import AnyOf

__all__ = ["any_of", "project"]

FloatArray: TypeAlias = npt.NDArray[np.float64]


def any_of(whole: FloatArray, parts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bring "any" between the largest of its parts and their sum.

    Where it is below the largest part it is raised to it; where it exceeds the sum of the parts, both move to their
    mean, each part by its share of the sum.

    Parameters
    ----------
    whole
        Shape (n,), in [0, 1].
    parts
        Shape (n, k), in [0, 1].

    >>> any_of(np.array([0.1, 0.6]), np.array([[0.3, 0.2], [0.1, 0.3]]))
    (array([0.3, 0.5]), array([[0.3  , 0.2  ],
           [0.125, 0.375]]))
    """
    whole = np.maximum(whole, parts.max(axis=1))
    total = parts.sum(axis=1)
    above = whole > total
    mean = np.where(above, (whole + total) / 2, whole)
    even = np.full_like(parts, 1 / parts.shape[1])
    share = np.divide(parts, total[:, None], out=even, where=total[:, None] > 0)
    return mean, np.where(above[:, None], mean[:, None] * share, parts)


def project(
    constraints: Sequence[AnyOf], p: Mapping[str, FloatArray], units: Mapping[str, npt.NDArray[np.generic]]
) -> dict[str, FloatArray]:
    """Apply the constraints of a task, one after another.

    Parameters
    ----------
    constraints
        Of binary targets.
    p
        Probabilities (n, classes) by target.
    units
        Units (n,) by target, each once. A unit that lacks one of a constraint's targets stays as it is.

    Returns
    -------
    dict
        As `p`; its arrays are not changed.
    """
    moved = dict(p)
    for constraint in constraints:
        names = (constraint.whole, *constraint.parts)
        if not all(name in moved for name in names):
            continue
        shared = units[names[0]]
        for name in names[1:]:
            shared = np.intersect1d(shared, units[name])
        rows = {name: np.flatnonzero(np.isin(units[name], shared)) for name in names}
        # In one order for all of them.
        rows = {name: found[np.argsort(units[name][found], kind="stable")] for name, found in rows.items()}
        values = [moved[name][rows[name], 1] for name in names]
        whole, parts = any_of(values[0], np.stack(values[1:], axis=1))
        for k, name in enumerate(names):
            positive = whole if k == 0 else parts[:, k - 1]
            moved[name] = moved[name].copy()
            moved[name][rows[name]] = np.stack([1 - positive, positive], axis=1)
    return moved
