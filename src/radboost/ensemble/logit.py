"""The blend in logit space: a softmax of a weighted sum of log probabilities, with an intercept for each class.

With ``L_imc`` the log probability that member m gives to class c of row i, ``z_ic = b_c + sum_m a_m L_imc`` and
``p_i = softmax(z_i)``. For two classes this is Platt's calibration of a weighted sum of logits. The weights ``a`` are
not negative, and need not sum to one: their sum sharpens or softens the members. The weighted log loss is convex in
``(a, b)``. A ridge of strength `RIDGE` towards equal weights and no intercepts makes the optimum unique, also for
copies of a member and for rows that a member tells apart without fail, and certifies it: of a function with that much
curvature, ``f* >= min_y [f(x) + g.(y - x) + RIDGE / 2 |y - x|^2]`` over the feasible y, which has a closed form.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.ensemble.active_set import nonnegative_quadratic
from radboost.ensemble.solver import CERTIFIED_GAP, SolverConfig
from radboost.errors import SolverError, TableError
from radboost.metrics import CLIP

__all__ = ["RIDGE", "LogitRows", "LogitSolution", "log_probabilities", "softmax_pool", "solve_logit", "solve_logits"]

FloatArray: TypeAlias = npt.NDArray[np.float64]

RIDGE = 1e-8
"""Curvature, in nats, that is added to a loss whose row weights sum to one."""
_AIM = 1e-13


@dataclass(frozen=True)
class LogitSolution:
    """A certified optimum.

    Attributes
    ----------
    weights
        Shape (members,), not negative.
    intercepts
        Shape (classes,), 0 for the first class.
    loss
        Weighted log loss in nats, without the ridge.
    iterations
        Newton steps taken.
    gap
        Upper bound on the objective, ridge included, minus the least possible; at most `CERTIFIED_GAP`.
    """

    weights: FloatArray
    intercepts: FloatArray
    loss: float
    iterations: int
    gap: float


def log_probabilities(p: npt.ArrayLike) -> FloatArray:
    """Take logarithms of probabilities (n, members, classes) within ``[CLIP, 1 - CLIP]``."""
    return np.log(np.clip(np.asarray(p, np.float64), CLIP, 1 - CLIP))


def softmax_pool(logs: FloatArray, weights: FloatArray, intercepts: FloatArray) -> FloatArray:
    """Pool log probabilities (n, members, classes) to probabilities (n, classes)."""
    z = np.einsum("nmc,m->nc", logs, weights) + intercepts
    z -= z.max(axis=1, keepdims=True)
    pooled: FloatArray = np.exp(z)
    pooled /= pooled.sum(axis=1, keepdims=True)
    return pooled


def solve_logit(
    logs: FloatArray, label: npt.NDArray[np.int64], weight: npt.ArrayLike, config: SolverConfig | None = None
) -> LogitSolution:
    """Find the weights and intercepts of least weighted log loss, and prove it.

    Parameters
    ----------
    logs
        Shape (n, members, classes), of `log_probabilities`.
    label
        True class (n,), 0 to classes - 1.
    weight
        Shape (n,), finite, not negative, not all zero; only ratios matter.
    config
        Bounds on the work.

    Raises
    ------
    TableError
        On shapes that differ, no row or no weight.
    SolverError
        When the optimum cannot be certified to `CERTIFIED_GAP`.
    """
    return solve_logits([LogitRows(logs, label, np.asarray(weight, np.float64))], config)[0]


@dataclass(frozen=True)
class LogitRows:
    """Rows that share their intercepts: those of one target. Fields as `solve_logit` takes them."""

    logs: FloatArray
    label: npt.NDArray[np.int64]
    weight: FloatArray


def solve_logits(parts: Sequence[LogitRows], config: SolverConfig | None = None) -> list[LogitSolution]:
    """Find the weights that all parts share, and intercepts of each, of least weighted log loss over all their rows.

    Parameters
    ----------
    parts
        Of equally many members; at least one row of all has a weight.
    config
        Bounds on the work.

    Returns
    -------
    list
        One a part, which differ in their intercepts only; loss and gap are those of all rows together.

    Raises
    ------
    TableError, SolverError
        As `solve_logit`.
    """
    config = config or SolverConfig()
    for part in parts:
        logs, c = part.logs, part.weight
        if logs.ndim != 3 or not logs.shape[1] or c.shape != (len(logs),) or part.label.shape != (len(logs),):
            got = f"{logs.shape}, {part.label.shape} and {c.shape}"
            do = "rows, members and classes, labels and weights"
            raise TableError(f"the blend needs {do}", where="blend solver", got=got)
    total = math.fsum(float(part.weight.sum()) for part in parts)
    if not (math.isfinite(total) and total > 0 and all((part.weight >= 0).all() for part in parts)):
        raise TableError("weights must be finite, not negative, and not all zero", where="blend solver")
    problem = _Problem(tuple(parts), total, config.block)
    point = problem.at(problem.start())
    steps = 0
    while steps < config.iterations and point.gap > _AIM:
        improved = _step(problem, point)
        if improved is None:
            break
        point, steps = improved, steps + 1
    if point.gap > CERTIFIED_GAP:
        raise SolverError(
            f"the blend's optimum is certified to {point.gap:.1e} nats only, {CERTIFIED_GAP:.0e} is asked",
            where="blend solver, logit space",
            got=f"{steps} iterations on {problem.members} members",
            do="Look for members whose probabilities are damaged, or use --space prob",
        )
    weights = point.x[: problem.members]
    return [
        LogitSolution(weights, problem.intercepts(point.x, k), point.loss, steps, point.gap) for k in range(len(parts))
    ]


@dataclass(frozen=True)
class _Point:
    x: FloatArray
    loss: float
    objective: float
    gradient: FloatArray
    hessian: FloatArray
    gap: float


@dataclass(frozen=True)
class _Problem:
    parts: tuple[LogitRows, ...]
    total: float
    block: int

    @property
    def members(self) -> int:
        return int(self.parts[0].logs.shape[1])

    def place(self, k: int) -> slice:
        """Where the intercepts of part k are: one for each class but the first."""
        sizes = [part.logs.shape[2] - 1 for part in self.parts]
        start = self.members + sum(sizes[:k])
        return slice(start, start + sizes[k])

    def start(self) -> FloatArray:
        """Equal weights, no intercepts: where the ridge pulls to."""
        x = np.zeros(self.place(len(self.parts) - 1).stop)
        x[: self.members] = 1 / self.members
        return x

    def intercepts(self, x: FloatArray, k: int) -> FloatArray:
        found: FloatArray = np.r_[0.0, x[self.place(k)]]
        return found

    def blocks(self) -> Iterator[tuple[int, FloatArray, npt.NDArray[np.int64], FloatArray]]:
        for k, part in enumerate(self.parts):
            for start in range(0, len(part.weight), self.block):
                rows = slice(start, start + self.block)
                kept = part.weight[rows] > 0
                yield k, part.logs[rows][kept], part.label[rows][kept], part.weight[rows][kept] / self.total

    def at(self, x: FloatArray) -> _Point:
        m = self.members
        losses: list[float] = []
        gradient, hessian = np.zeros(x.size), np.zeros((x.size, x.size))
        for k, logs, label, c in self.blocks():
            p = softmax_pool(logs, x[:m], self.intercepts(x, k))
            own = np.arange(len(label))
            losses.append(-float(c @ np.log(np.maximum(p[own, label], np.finfo(float).tiny))))
            place = np.r_[:m, self.place(k)]
            slope, curvature = (_binary if p.shape[1] == 2 else _several)(logs, label, c, p)
            gradient[place] += slope
            hessian[np.ix_(place, place)] += curvature
        loss = math.fsum(losses)
        away = x - self.start()
        gradient += RIDGE * away
        hessian[np.diag_indices(x.size)] += RIDGE
        return _Point(x, loss, loss + RIDGE / 2 * float(away @ away), gradient, hessian, self._gap(x, gradient))

    def _gap(self, x: FloatArray, gradient: FloatArray) -> float:
        """Strong convexity's bound, coordinate by coordinate; weights stay above zero, intercepts are free."""
        lowest = x - gradient / RIDGE
        lowest[: self.members] = np.maximum(lowest[: self.members], 0)
        move = lowest - x
        return float(-(gradient * move + RIDGE / 2 * move**2).sum())


def _binary(
    logs: FloatArray, label: npt.NDArray[np.int64], c: FloatArray, p: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Gradient and Hessian by weights and the one intercept."""
    features = np.concatenate([logs[:, :, 1] - logs[:, :, 0], np.ones((len(label), 1))], axis=1)
    slope: FloatArray = (c * (p[:, 1] - label)) @ features
    features *= np.sqrt(c * p[:, 0] * p[:, 1])[:, None]
    curvature: FloatArray = features.T @ features
    return slope, curvature


def _several(
    logs: FloatArray, label: npt.NDArray[np.int64], c: FloatArray, p: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Gradient and Hessian by weights and intercepts."""
    n, classes = p.shape
    # Features of a row and class: each member's log probability, and one for each class but the first.
    ones = np.broadcast_to(np.eye(classes)[:, 1:], (n, classes, classes - 1))
    features = np.concatenate([logs.transpose(0, 2, 1), ones], axis=2)
    mean = np.einsum("nc,ncd->nd", p, features)
    slope: FloatArray = c @ (mean - features[np.arange(n), label])
    features = (features - mean[:, None]) * np.sqrt(c[:, None] * p)[:, :, None]
    flat = features.reshape(-1, features.shape[2])
    return slope, flat.T @ flat


def _step(problem: _Problem, point: _Point) -> _Point | None:
    """One Newton step on weights that may not fall below zero, intercepts eliminated, with an Armijo search."""
    m = problem.members
    h, g = point.hessian, point.gradient
    inner = np.linalg.solve(h[m:, m:], np.column_stack([h[m:, :m], g[m:]]))
    reduced = h[:m, :m] - h[:m, m:] @ inner[:, :m]
    # Rounding of the difference must not cost the ridge that is in it.
    reduced = (reduced + reduced.T) / 2
    reduced[np.diag_indices(m)] += max(0.0, RIDGE - float(np.linalg.eigvalsh(reduced)[0]))
    linear = g[:m] - h[:m, m:] @ inner[:, m] - reduced @ point.x[:m]
    across = nonnegative_quadratic(reduced, linear, point.x[:m]) - point.x[:m]
    direction = np.r_[across, -inner[:, m] - inner[:, :m] @ across]
    slope = float(g @ direction)
    if not slope < 0:
        return None
    length = 1.0
    while length > 1e-10:
        x = point.x + length * direction
        x[:m] = np.maximum(x[:m], 0)
        there = problem.at(x)
        if there.objective <= point.objective + 1e-4 * length * slope:
            return there
        # Near the optimum the loss no longer resolves progress; the certificate still does.
        level = point.objective + 1e-14 * max(1.0, abs(point.objective))
        if length == 1 and there.objective <= level and there.gap < point.gap:
            return there
        length /= 2
    return None
