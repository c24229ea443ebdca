"""The blend of least regret between two losses: the data as they are, and the target set that the weights simulate.

With ``f0`` and ``f1`` the two weighted losses and ``m0``, ``m1`` the least that each can be, the regret of weights
``a`` is ``max(f0(a) - m0, f1(a) - m1)``. Its minimum is a saddle point: at some mixing weight ``t`` the minimiser of
``(1 - t) f0 + t f1`` has equal regrets, and since that mixture is again a weighted log loss, the same solver finds it.
The regret of the first loss never falls and that of the second never rises as ``t`` grows, so ``t`` is found by
bisection. For any ``t``, ``(1 - t)(f0(a_t) - m0) + t (f1(a_t) - m1)`` bounds the least worst regret from below, which
certifies the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.ensemble.solver import CERTIFIED_GAP, Solution, SolverConfig, solve
from radboost.errors import SolverError
from radboost.metrics import CLIP

__all__ = ["Hedge", "least_regret"]

FloatArray: TypeAlias = npt.NDArray[np.float64]

_STEPS = 60


@dataclass(frozen=True)
class Hedge:
    """A certified least-regret blend.

    Attributes
    ----------
    weights
        Shape (members,), not negative, summing to one.
    mixing
        Weight of the second loss at the saddle point, 0 to 1.
    regrets
        By how much each loss exceeds the least it can be, in nats, the plain one first.
    gap
        Upper bound on the worst regret minus the least possible, in nats, at most `CERTIFIED_GAP`.
    """

    weights: FloatArray
    mixing: float
    regrets: tuple[float, float]
    gap: float


@dataclass
class _Losses:
    q: npt.NDArray[np.floating]
    rows: tuple[FloatArray, FloatArray]
    config: SolverConfig
    least: tuple[Solution, Solution] = field(init=False)

    def __post_init__(self) -> None:
        first, second = (solve(self.q, rows, self.config) for rows in self.rows)
        self.least = first, second

    def regrets(self, weights: FloatArray) -> tuple[float, float]:
        sums = [0.0, 0.0]
        for start in range(0, len(self.q), self.config.block):
            part = slice(start, start + self.config.block)
            mixed = np.log(np.clip(np.asarray(self.q[part], np.float64), CLIP, 1 - CLIP) @ weights)
            for k in range(2):
                sums[k] -= float(self.rows[k][part] @ mixed)
        # Rounding must not make a regret of less than nothing.
        return max(0.0, sums[0] - self.least[0].loss), max(0.0, sums[1] - self.least[1].loss)

    def at(self, mixing: float) -> Hedge:
        blended = solve(self.q, (1 - mixing) * self.rows[0] + mixing * self.rows[1], self.config)
        return self.hedge(blended.weights, mixing, blended.gap)

    def hedge(self, weights: FloatArray, mixing: float, gap: float) -> Hedge:
        regrets = self.regrets(weights)
        bound = (1 - mixing) * regrets[0] + mixing * regrets[1]
        # What the solver leaves open of the mixture, and of the least losses that regrets are counted from.
        open_ends = gap + max(self.least[0].gap, self.least[1].gap)
        return Hedge(weights, mixing, regrets, max(0.0, max(regrets) - bound) + open_ends)


def least_regret(
    q: npt.NDArray[np.floating],
    plain: npt.NDArray[np.floating],
    target: npt.NDArray[np.floating],
    config: SolverConfig | None = None,
) -> Hedge:
    """Find the convex combination whose worse regret of two losses is least, and prove it.

    Parameters
    ----------
    q
        As for `radboost.ensemble.solver.solve`.
    plain, target
        Weights of the rows (n,) in the one loss and in the other; only ratios within each matter.
    config
        Bounds on the work.

    Raises
    ------
    TableError
        As `radboost.ensemble.solver.solve`.
    SolverError
        The answer cannot be certified to `CERTIFIED_GAP`.
    """
    rows = tuple(
        np.asarray(each, np.float64) / max(float(np.sum(each)), np.finfo(float).tiny) for each in (plain, target)
    )
    losses = _Losses(q, (rows[0], rows[1]), config or SolverConfig())
    low, high = (losses.hedge(losses.least[k].weights, float(k), losses.least[k].gap) for k in range(2))
    best = min(low, high, key=lambda hedge: max(hedge.regrets))
    for step in range(_STEPS):
        if best.gap <= CERTIFIED_GAP / 2:
            break
        middle = losses.at(_next(low, high, step))
        best = min(best, middle, key=lambda hedge: hedge.gap)
        if middle.regrets[0] < middle.regrets[1]:
            low = middle
        else:
            high = middle
    if best.gap > CERTIFIED_GAP:
        # Where the mixture's minimiser jumps, the saddle lies between the two sides of the jump.
        best = min(best, _between(losses, low, high), key=lambda hedge: hedge.gap)
    if best.gap > CERTIFIED_GAP:
        raise SolverError(
            f"the least regret is certified to {best.gap:.1e} nats only, {CERTIFIED_GAP:.0e} is asked",
            where="blend solver",
            got=f"{_STEPS} bisections",
            do="Look for members whose probabilities are damaged",
        )
    return best


def _next(low: Hedge, high: Hedge, step: int) -> float:
    """Where the straight line between two regret differences crosses zero; every third time the middle."""
    first, second = (hedge.regrets[0] - hedge.regrets[1] for hedge in (low, high))
    if step % 3 == 2 or second <= first:
        return (low.mixing + high.mixing) / 2
    at = low.mixing - first * (high.mixing - low.mixing) / (second - first)
    return float(np.clip(at, low.mixing + 1e-12, high.mixing - 1e-12))


def _between(losses: _Losses, low: Hedge, high: Hedge) -> Hedge:
    """Of the blends on the way from one side of a jump to the other, the one of equal regrets."""
    a, b = 0.0, 1.0
    for _ in range(_STEPS):
        share = (a + b) / 2
        regrets = losses.regrets((1 - share) * low.weights + share * high.weights)
        a, b = (share, b) if regrets[0] < regrets[1] else (a, share)
    share = (a + b) / 2
    return losses.hedge((1 - share) * low.weights + share * high.weights, (low.mixing + high.mixing) / 2, 0.0)
