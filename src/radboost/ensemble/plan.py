"""How a blend is fitted: the space, how far targets share their weights, and which members take part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.ensemble.logit import LogitRows, softmax_pool, solve_logits
from radboost.ensemble.panel import Mask, Panel, fill
from radboost.ensemble.robust import least_regret
from radboost.ensemble.solver import solve

__all__ = ["Fit", "Folds", "Plan", "fit_plan", "predict_plan"]

FloatArray: TypeAlias = npt.NDArray[np.float64]
Folds: TypeAlias = frozenset[int]


@dataclass(frozen=True)
class Plan:
    """What is settled before weights are solved for.

    Attributes
    ----------
    space
        ``prob``, ``logit``, or ``hedge``: the least regret between two losses, in probability space.
    share
        Weight that the rows of the other targets have in a target's fit, 0 (each on its own) to 1 (all the same
        weights). In between, a target's weights are drawn towards those that all share: its objective is its own
        loss plus ``share / (1 - share)`` times that of all targets together.
    members
        Positions of the members that take part.
    """

    space: str
    share: float
    members: tuple[int, ...]


@dataclass(frozen=True)
class Fit:
    """A certified optimum for one target.

    Attributes
    ----------
    weights
        Shape (members,), 0 for those that take no part.
    intercepts
        In logit space one a class, else empty.
    gap
        Certified bound on the objective minus the least possible, in nats.
    iterations
        The solver's steps; a hedge, of many solves, counts none.
    """

    weights: FloatArray
    intercepts: tuple[float, ...]
    gap: float
    iterations: int


def fit_plan(panels: Sequence[Panel], plan: Plan, folds: Folds) -> tuple[Fit, ...]:
    """Fit the weights of every target on the judged rows of some folds.

    Where members lack units, the fit counts a member that is absent as the mean of those that take part and are there,
    which keeps the problem convex and its certificate whole; predictions give its weight to those that are there, each
    by its own weight (`predict_plan`).

    Parameters
    ----------
    panels
        One a target, with the same members.
    plan
        What is settled.
    folds
        Folds fitted on.

    Raises
    ------
    TableError
        No row of those folds has a weight.
    SolverError
        An optimum that could not be certified.
    """
    if plan.share == 1 or len(panels) == 1:
        return _joint(panels, plan, folds, np.ones(len(panels)))
    fits = []
    for k in range(len(panels)):
        factors = np.full(len(panels), plan.share)
        factors[k] = 1
        fits.append(_joint(panels, plan, folds, factors)[k])
    return tuple(fits)


def predict_plan(panel: Panel, plan: Plan, fit: Fit, rows: Mask | None = None) -> FloatArray:
    """Blend the rows of a panel, all unless told: (n, classes).

    A member that lacks a row leaves its weight to those that are there, each by its own weight; where none of them
    carries any, to all of them alike.
    """
    chosen = slice(None) if rows is None else rows
    values = (panel.logs if plan.space == "logit" else panel.p)[chosen]
    if panel.present is not None:
        values = fill(values, panel.present[chosen], fit.weights)
    if plan.space == "logit":
        return softmax_pool(values, fit.weights, np.asarray(fit.intercepts))
    blended: FloatArray = np.einsum("nmc,m->nc", values, fit.weights)
    return np.clip(blended, 0, 1)


@dataclass(frozen=True)
class _Rows:
    """The rows of one target that a fit sees."""

    panel: Panel
    rows: Mask
    factor: float
    columns: npt.NDArray[np.intp]

    @property
    def weight(self) -> FloatArray:
        return self.factor * self.panel.weight[self.rows]

    @property
    def target(self) -> FloatArray:
        other = self.panel.weight if self.panel.target is None else self.panel.target
        return self.factor * other[self.rows]

    @property
    def present(self) -> Mask | None:
        if self.panel.present is None:
            return None
        found: Mask = self.panel.present[self.rows][:, self.columns]
        # A unit that none of those who take part predicted is everybody's mean, which tells nothing of any.
        return np.where(found.any(axis=1, keepdims=True), found, True)

    def q(self) -> FloatArray:
        return self._filled(self.panel.q)

    def logs(self) -> FloatArray:
        return self._filled(self.panel.logs)

    def _filled(self, values: FloatArray) -> FloatArray:
        cut, present = values[self.rows][:, self.columns], self.present
        return cut if present is None else fill(cut, present, np.ones(len(self.columns)))


def _joint(panels: Sequence[Panel], plan: Plan, folds: Folds, factors: FloatArray) -> tuple[Fit, ...]:
    """Fit one weight vector on the rows of all targets, each target's counted by its factor."""
    columns = np.array(plan.members)
    numbers = sorted(folds)
    parts = [
        _Rows(panel, panel.judged & np.isin(panel.fold, numbers), float(factor), columns)
        for panel, factor in zip(panels, factors, strict=True)
    ]
    solver = {"prob": _prob, "logit": _logit, "hedge": _hedge}[plan.space]
    found = solver([part for part in parts if part.factor > 0])
    each = iter(found)
    fits = []
    for panel, part in zip(panels, parts, strict=True):
        own = next(each) if part.factor > 0 else found[0]
        weights = np.zeros(panel.members)
        weights[columns] = own.weights
        fits.append(Fit(weights, own.intercepts, own.gap, own.iterations))
    return tuple(fits)


def _prob(parts: Sequence[_Rows]) -> list[Fit]:
    solution = solve(_stack([part.q() for part in parts]), _stack([part.weight for part in parts]))
    return [Fit(solution.weights, (), solution.gap, solution.iterations)] * len(parts)


def _hedge(parts: Sequence[_Rows]) -> list[Fit]:
    plain, target = (_stack([getattr(part, name) for part in parts]) for name in ("weight", "target"))
    hedged = least_regret(_stack([part.q() for part in parts]), plain, target)
    return [Fit(hedged.weights, (), hedged.gap, 0)] * len(parts)


def _logit(parts: Sequence[_Rows]) -> list[Fit]:
    rows = [LogitRows(part.logs(), part.panel.label[part.rows], part.weight) for part in parts]
    return [
        Fit(each.weights, tuple(each.intercepts.tolist()), each.gap, each.iterations) for each in solve_logits(rows)
    ]


def _stack(arrays: Sequence[FloatArray]) -> FloatArray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
