"""The convex core of the blend: a certified optimum over the simplex.

Members are mixed in probability space, so that the weighted negative log likelihood of weights ``a`` is
``f(a) = -sum_i c_i log(q_i . a)``, with ``q_i`` the probabilities that the members give to row i's true class and the
row weights ``c`` summing to one. ``f`` is convex and, since every ``q_i`` is linear in ``a``, three facts carry the
solver:

- ``f(a) - f* <= log(max_k(-grad_k f(a)))`` on the simplex (Jensen on ``sum_i c_i log(q_i.b / q_i.a)``): a certificate
  that needs no second solver.
- ``f(t a) = f(a) - log t``: minimising ``f(a) + sum(a)`` over ``a >= 0`` has the same minimiser, so the equation
  ``sum(a) = 1`` never enters the quadratic subproblem, and scaling to the simplex never makes it worse.
- the same scaling gives ``H a = -g``, which is the subproblem's linear term.

Sequential quadratic programming of this kind for mixture proportions: Kim, Carbonetto, Stephens and Anitescu, "A fast
algorithm for maximum likelihood estimation of mixture proportions using sequential quadratic programming", Journal of
Computational and Graphical Statistics 29 (2020).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.ensemble.active_set import nonnegative_quadratic
from radboost.errors import SolverError, TableError, offenders
from radboost.metrics import CLIP

__all__ = ["CERTIFIED_GAP", "SLACK", "Solution", "SolverConfig", "solve"]

FloatArray: TypeAlias = npt.NDArray[np.float64]

CERTIFIED_GAP = 1e-8
"""An answer that cannot be certified this near to the optimum, in nats, is an error."""

SLACK = 1e-9
"""Loss in nats that the choice among tied weights may cost at most; in practice it costs rounding."""

_AIM = 1e-13
_RIDGE = 1e-13
_TIED = 1e-7
_UNUSED = 1e-6


@dataclass(frozen=True)
class SolverConfig:
    """Bounds on the work.

    Attributes
    ----------
    block
        Rows held in float64 at once; changes the result by rounding only.
    iterations
        Newton steps at most.
    """

    block: int = 8192
    iterations: int = 200


@dataclass(frozen=True)
class Solution:
    """A certified optimum.

    Attributes
    ----------
    weights
        Shape (members,), not negative, summing to one.
    loss
        Weighted mean of ``-log(q_i . weights)``, in nats.
    iterations
        Newton steps taken.
    gap
        Upper bound on ``loss`` minus the best loss possible, in nats, at most `CERTIFIED_GAP`.
    """

    weights: FloatArray
    loss: float
    iterations: int
    gap: float


@dataclass(frozen=True)
class _Point:
    a: FloatArray
    loss: float
    gradient: FloatArray
    hessian: FloatArray

    @property
    def gap(self) -> float:
        # a.(-gradient) = 1 exactly, so that the maximum falls below 1 through rounding only.
        return max(0.0, math.log(float(np.max(-self.gradient))))


def solve(q: npt.ArrayLike, weight: npt.ArrayLike | None = None, config: SolverConfig | None = None) -> Solution:
    """Find the convex combination of members with the least weighted log loss, and prove it.

    Parameters
    ----------
    q
        Shape (n, members): each member's probability of the row's true class, in [0, 1]; taken as within
        ``[CLIP, 1 - CLIP]``. A memory map is read in blocks of rows.
    weight
        Shape (n,), finite, not negative, not all zero; ones when absent. Only ratios matter.
    config
        Bounds on the work.

    Returns
    -------
    The optimum. Where several weights are optimal (copies, collinear or constant members), those nearest to equal
    weights are returned, so the answer is unique.

    Raises
    ------
    TableError
        On shapes that differ, no row, no member, no weight, or a probability outside [0, 1].
    SolverError
        When the optimum cannot be certified to `CERTIFIED_GAP`.
    """
    problem = _Problem.of(q, weight, config or SolverConfig())
    point = problem.at(np.full(problem.members, 1 / problem.members))
    steps = 0
    while steps < problem.config.iterations:
        improved = _step(problem, point)
        if improved is None:
            break
        steps += 1
        done, point = point.gap <= _AIM, improved
        if done:  # one step beyond the aim: Newton squares the error, the certificate only bounds the loss
            break
    point = _nearest_to_uniform(problem, point)
    if not point.gap <= CERTIFIED_GAP:
        raise SolverError(
            f"the blend's optimum is certified to {point.gap:.1e} nats only, {CERTIFIED_GAP:.0e} is asked",
            where="blend solver",
            got=f"{steps} iterations on {problem.members} members",
            do="Look for members whose probabilities are damaged",
        )
    return Solution(point.a, point.loss, steps, point.gap)


@dataclass(frozen=True)
class _Problem:
    q: npt.NDArray[np.floating]
    c: FloatArray
    config: SolverConfig
    clip: bool = True

    @classmethod
    def of(cls, q: npt.ArrayLike, weight: npt.ArrayLike | None, config: SolverConfig) -> _Problem:
        table = q if isinstance(q, np.ndarray) else np.asarray(q, dtype=np.float64)
        if table.ndim != 2 or 0 in table.shape:
            raise TableError("the blend needs rows and members", where="blend solver", got=f"shape {table.shape}")
        c = np.ones(len(table)) if weight is None else np.asarray(weight, dtype=np.float64)
        if c.shape != (len(table),):
            raise TableError("there must be one weight a row", where="blend solver", got=f"shape {c.shape}")
        bad = c[~(np.isfinite(c) & (c >= 0))]
        if bad.size:
            raise TableError("weights must be finite and not negative", where="weight", got=offenders(bad.tolist()))
        total = float(c.sum())
        if not total > 0:
            raise TableError("no row has a weight", where="blend solver", got=f"{len(table)} rows")
        problem = cls(table, c / total, config, clip=False)
        low, high = 1.0, 0.0
        for block, _ in problem.blocks():
            # NaN is in neither range and makes both ends NaN.
            least, most = float(block.min(initial=1)), float(block.max(initial=0))
            if not (least >= 0 and most <= 1):
                bad = block[~((block >= 0) & (block <= 1))]
                got = offenders(bad.tolist())
                raise TableError("probabilities must lie in [0, 1]", where="blend solver", got=got)
            low, high = min(low, least), max(high, most)
        return cls(table, c / total, config, clip=low < CLIP or high > 1 - CLIP)

    @property
    def members(self) -> int:
        return int(self.q.shape[1])

    def blocks(self) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Rows of positive weight, a block at a time, with their weights; not to be written to."""
        for start in range(0, len(self.c), self.config.block):
            rows = slice(start, start + self.config.block)
            c, block = self.c[rows], np.asarray(self.q[rows], dtype=np.float64)
            if not c.all():
                c, block = c[c > 0], block[c > 0]
            yield (np.clip(block, CLIP, 1 - CLIP) if self.clip else block), c

    def at(self, a: FloatArray) -> _Point:
        """Loss, gradient and Hessian in one pass over the rows."""
        losses: list[float] = []
        gradient, hessian = np.zeros(a.size), np.zeros((a.size, a.size))
        buffer = np.empty((min(self.config.block, len(self.c)), a.size))
        for block, c in self.blocks():
            mixed = block @ a
            losses.append(-float(c @ np.log(mixed)))
            share = c / mixed
            gradient -= share @ block
            scaled = np.multiply(block, np.sqrt(share / mixed)[:, None], out=buffer[: len(block)])
            hessian += scaled.T @ scaled
        return _Point(a, math.fsum(losses), gradient, hessian)

    def factor(self, a: FloatArray, columns: npt.NDArray[np.bool_]) -> FloatArray:
        """Triangular R with R'R the Hessian of `columns`, without squaring the members' differences.

        Singular values of R below 1e-8 of the largest are lost in the Hessian; ties are found by them.
        """
        kept = np.zeros((0, int(columns.sum())))
        for block, c in self.blocks():
            scaled = block[:, columns] * (np.sqrt(c) / (block @ a))[:, None]
            kept = np.asarray(np.linalg.qr(np.vstack([kept, scaled]), mode="r"))
        return kept


def _step(problem: _Problem, point: _Point) -> _Point | None:
    """One Newton step with an Armijo search along it; None when nothing better can be told from rounding."""
    # Each member's own scale: curvatures differ by the square of what a member alone gives a row, up to 1 / CLIP^2.
    ridge = _RIDGE * np.diag(point.hessian)
    hessian = point.hessian + np.diag(ridge)
    # grad(f + sum) - H a = g + 1 + g, and the ridge pulls towards where we stand.
    linear = 2 * point.gradient + 1 - ridge * point.a
    direction = nonnegative_quadratic(hessian, linear, point.a) - point.a
    slope = float((point.gradient + 1) @ direction)
    if not slope < 0:
        return None
    length = 1.0
    while length > 1e-10:
        trial = np.maximum(point.a + length * direction, 0)
        trial /= trial.sum()
        there = problem.at(trial)
        if there.loss <= point.loss + 1e-4 * length * slope:
            return there
        # Near the optimum the loss no longer resolves progress; the certificate still does.
        if length == 1 and there.loss <= point.loss + 1e-14 * max(1.0, abs(point.loss)) and there.gap < point.gap:
            return there
        length /= 2
    return None


def _nearest_to_uniform(problem: _Problem, best: _Point) -> _Point:
    """Of all weights with the same blended probabilities, those nearest to equal weights.

    Only members that are optimal (-gradient of one) can carry weight at an optimum; among these, weights may move along
    the directions that the rows do not see.
    """
    candidates = (-best.gradient >= 1 - _UNUSED) | (best.a > 0)
    size = int(candidates.sum())
    spectrum = np.linalg.eigvalsh(best.hessian[np.ix_(candidates, candidates)])
    if size == 1 or spectrum[0] > 1e-10 * spectrum[-1]:
        return best
    _, singular, basis = np.linalg.svd(problem.factor(best.a, candidates))
    seen = np.zeros(size, dtype=bool)
    seen[: singular.size] = singular > _TIED * singular[0]
    fixed = basis[seen].T @ basis[seen]
    # Least distance to uniform, with the seen part of the weights held by a stiff spring.
    stiff = 1e9 * fixed
    linear = -np.full(size, 1 / problem.members) - stiff @ best.a[candidates]
    moved = np.zeros(problem.members)
    moved[candidates] = nonnegative_quadratic(stiff + np.eye(size), linear, best.a[candidates])
    there = problem.at(moved / moved.sum())
    return there if there.loss <= best.loss + SLACK and there.gap <= max(best.gap, CERTIFIED_GAP / 10) else best
