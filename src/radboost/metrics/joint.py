"""The log loss of several targets as one number: every labelled row of every target under its task weight."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from radboost.errors import TableError
from radboost.metrics.clustered import Scored
from radboost.metrics.inputs import FloatArray, weights
from radboost.metrics.scores import log_loss, true_class_probability

__all__ = ["JOINT", "joint_log_loss", "joint_rows"]

JOINT = "all targets"
"""What tables of scores call the rows of all targets together."""


def joint_log_loss(
    y: Sequence[npt.ArrayLike], p: Sequence[npt.ArrayLike], weight: Sequence[npt.ArrayLike | float] | None = None
) -> float:
    r"""Weighted mean log loss over the rows of several targets.

    :math:`-\sum_t \sum_i w_{ti} \log q_{ti} / \sum_t \sum_i w_{ti}`, with q the probability of the true class. Where
    every row is labelled and a target's rows share one weight, this is the weighted mean of the targets' own losses:
    with weight 2 for *any* and 1 for five types, :math:`(2 LL_{any} + \sum_5 LL) / 7`, the metric of the RSNA
    haemorrhage challenge of 2019. An unlabelled row is no row.

    Parameters
    ----------
    y
        By target, shape (n_t,): 0 or 1, or the class index; -1 or ``nan`` where unlabelled.
    p
        By target, shape (n_t,) or (n_t, K_t), as :func:`radboost.metrics.log_loss` takes them. Probabilities of the
        true class are clipped to ``[CLIP, 1 - CLIP]``, 1e-15 as the challenge did, so that a sure mistake costs 34.5
        nats and not infinity.
    weight
        By target: one number, or shape (n_t,); finite and not negative. All ones when absent.

    Returns
    -------
    In nats, within ``[0, -log(CLIP)]``; ``nan`` without a labelled row of positive weight.

    Raises
    ------
    TableError
        The three differ in length, or as :func:`radboost.metrics.log_loss`.

    >>> round(joint_log_loss([[1, 0], [1, -1]], [[0.5, 0.5], [0.25, 0.9]], [1, 2]), 6)
    1.039721
    """
    given = [1.0] * len(y) if weight is None else list(weight)
    if not len(y) == len(p) == len(given):
        got = f"{len(y)}, {len(p)} and {len(given)}"
        raise TableError("there must be labels, probabilities and weights for each target", where="metrics", got=got)
    parts = []
    for truth, values, own in zip(y, p, given, strict=True):
        label = np.asarray(truth, dtype=np.float64)
        known = ~np.isnan(label) & (label != -1)
        shown, n = np.asarray(values, dtype=np.float64)[known], int(known.sum())
        heavy = np.asarray(own, dtype=np.float64)
        w = np.full(n, heavy) if heavy.ndim == 0 else heavy[known]
        parts.append(Scored(label[known].astype(np.int64), shown, weights(w, n), np.zeros(n)))
    rows = joint_rows(parts)
    return log_loss(rows.y, rows.p, rows.weight)


def joint_rows(parts: Sequence[Scored]) -> Scored:
    """Put the labelled rows of several targets under one another, each with the probability of its true class.

    The log loss of these rows, of which every one is a 1, is that of the parts together; so are its intervals, drawn
    by the parts' groups.

    Parameters
    ----------
    parts
        One a target; `p` of shape (n,) or (n, K).

    Returns
    -------
    `y` all 1, `p` the probability of the true class, `weight` and `group` as they were.
    """
    q = [true_class_probability(part.y, part.p) if len(part.y) else np.empty(0) for part in parts]
    told: FloatArray = np.concatenate([*q, np.empty(0)])
    weight: FloatArray = np.concatenate([*(part.weight for part in parts), np.empty(0)])
    group = np.concatenate([part.group for part in parts]) if parts else np.empty(0, str)
    return Scored(np.ones(len(told), np.int64), told, weight, group)
