"""From which blocks of columns a model's probability comes, in shares that add up.

Trees are asked for the TreeSHAP values of their own libraries, which add up to the margin; of a linear model the terms
of the sum are what each column says, against the training mean. Both are exact in the margin, and
`radboost.booster.shares` takes them from there to the probability. Other learners are asked what they say with blocks
hidden (at their training mean), block after block in several fixed orders: Shapley values by sampling, in the
probability itself (Strumbelj and Kononenko, Knowledge and Information Systems 2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.booster.forest import Forest
from radboost.booster.learner import Fitted, FittedInOrder, predict, to_classes
from radboost.booster.linear import Logistic
from radboost.booster.member import MemberModel
from radboost.booster.objective import Loss
from radboost.booster.rows import FloatArray, IntArray, Matrix, Order
from radboost.booster.shares import through_each, through_margin

__all__ = ["EXACT", "SAMPLED", "Asked", "model_shares"]

EXACT, SAMPLED = "TreeSHAP or linear", "blocks hidden in turn"
"""How a model was asked."""

ORDERS = 8
"""Orders in which blocks are hidden, and as many backwards."""

TINY = 1e-300

Shares: TypeAlias = tuple[FloatArray, FloatArray]
"""Base (n, classes), and shares (n, groups, classes) that sum to the probabilities minus it."""


@dataclass(frozen=True)
class Asked:
    """Rows whose probability is explained.

    Attributes
    ----------
    x
        Shape (n, d): prepared columns of all rows that a learner may look at.
    rows
        Numbers of those that are explained.
    group
        Shape (d,): group of each column, 0 to `groups` - 1.
    groups
        How many there are.
    order
        Where rows stand in series, for learners that look at neighbours.
    """

    x: Matrix
    rows: IntArray
    group: IntArray
    groups: int
    order: Order | None = None


def model_shares(model: MemberModel, asked: Asked) -> tuple[FloatArray, FloatArray, str]:
    """Explain one member's model.

    Parameters
    ----------
    model
        Fitted on one fold.
    asked
        Rows and groups of columns.

    Returns
    -------
    tuple
        Base (rows, classes): what the model says of a row of which nothing is known. Shares (rows, groups, classes),
        which sum to its probabilities minus the base. And how it was asked: `EXACT` or `SAMPLED`.
    """
    found = [_part_shares(fitted, columns, asked) for fitted, columns in model.parts]
    how = SAMPLED if any(each[2] == SAMPLED for each in found) else EXACT
    if len(found) == 1:
        return found[0]
    # Independent evidence: the log odds beyond the base rates add up, see `MemberModel`.
    logs = [through_each(_log, base, parts) for base, parts, _ in found]
    rates = np.log(model.rates)
    start = rates + np.sum([base - rates for base, _ in logs], axis=0)
    return *_softmax(start, np.sum([parts for _, parts in logs], axis=0)), how


def _part_shares(fitted: Fitted, columns: IntArray, asked: Asked) -> tuple[FloatArray, FloatArray, str]:
    x, group = asked.x[asked.rows][:, columns], asked.group[columns]
    if isinstance(fitted, Logistic):
        terms = x.astype(np.float64)[:, :, None] * fitted.coefficients[None]
        start = np.tile(fitted.intercept, (len(x), 1))
        return *_corrected(fitted.loss, through_margin(start, _grouped(terms, group, asked.groups))), EXACT
    if isinstance(fitted, Forest):
        return *_forest(fitted, x, group, asked.groups), EXACT
    return *_hidden(fitted, columns, asked), SAMPLED


def _forest(fitted: Forest, x: Matrix, group: IntArray, groups: int) -> Shares:
    start = np.tile(fitted.loss.start, (len(x), 1))
    if not fitted.models:
        base = fitted.loss.corrected(to_classes(start))
        return base, np.zeros((len(x), groups, base.shape[1]))
    # Each seed's trees by their own margin; seeds are averaged as probabilities, and so are their shares.
    each = [
        through_margin(values[:, -1], _grouped(values[:, :-1], group, groups))
        for values in fitted.trees.told(fitted.models, x, start)
    ]
    base, parts = (np.mean(found, axis=0) for found in zip(*each, strict=True))
    return _corrected(fitted.loss, (base, parts))


def _grouped(values: FloatArray, group: IntArray, groups: int) -> FloatArray:
    """Sum columns (n, d, m) by group."""
    out = np.zeros((values.shape[0], groups, values.shape[2]))
    for number in np.unique(group):
        out[:, number] = values[:, group == number].sum(axis=1)
    return out


def _corrected(loss: Loss, shares: Shares) -> Shares:
    """Take shares through `Loss.corrected`: a map of each probability by itself, then a division by their sum."""
    base, parts = shares
    if loss.focal == 0 and (loss.factor == loss.factor[0]).all():
        return shares
    return _softmax(*through_each(loss.corrected_logs, base, parts))


def _log(p: FloatArray) -> FloatArray:
    return np.log(np.maximum(p, TINY))


def _softmax(logs: FloatArray, parts: FloatArray) -> Shares:
    """Take shares of logits (n, classes) to those of probabilities."""
    if logs.shape[1] == 2:
        return through_margin(logs[:, 1:] - logs[:, :1], parts[:, :, 1:] - parts[:, :, :1])
    return through_margin(logs, parts)


def _hidden(fitted: Fitted, columns: IntArray, asked: Asked) -> Shares:
    """Show group after group of a row whose columns all stand at their training mean."""
    used = np.unique(asked.group[columns])
    random = np.random.default_rng(0)
    orders = [random.permutation(used) for _ in range(ORDERS)]
    orders += [order[::-1] for order in orders]
    base, out = None, None
    for order in orders:
        shown = [np.isin(asked.group[columns], order[:count]) for count in range(len(used) + 1)]
        steps = np.stack([_partly(fitted, columns, asked, mask) for mask in shown])
        if base is None or out is None:
            base, out = steps[0], np.zeros((len(asked.rows), asked.groups, steps.shape[2]))
        for place, number in enumerate(order):
            out[:, number] += (steps[place + 1] - steps[place]) / len(orders)
    if base is None or out is None:
        base = _partly(fitted, columns, asked, np.zeros(len(columns), dtype=bool))
        out = np.zeros((len(asked.rows), asked.groups, base.shape[1]))
    return base, out


def _partly(fitted: Fitted, columns: IntArray, asked: Asked, shown: npt.NDArray[np.bool_]) -> FloatArray:
    """Probabilities of the rows with some of their columns alone; neighbours in the series stay as they are."""
    x = asked.x[:, columns]
    if asked.order is None or not isinstance(fitted, FittedInOrder):
        return predict(fitted, np.where(shown, x[asked.rows], np.float32(0)))
    found = []
    for row in asked.rows.tolist():
        changed = x.copy()
        changed[row] = np.where(shown, x[row], 0)
        found.append(predict(fitted, changed, asked.order)[row])
    return np.stack(found)
