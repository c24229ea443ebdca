"""A small strictly convex quadratic programme with non-negative variables."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["nonnegative_quadratic"]

_ROUNDING = 1e-14


def nonnegative_quadratic(
    hessian: npt.NDArray[np.float64], linear: npt.NDArray[np.float64], start: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Minimise ``x.hessian.x / 2 + linear.x`` over ``x >= 0`` by a primal active-set method.

    Each round solves for the free variables, walks towards that solution until the first of them reaches zero, and
    frees the bound variable with the steepest descent once there is nowhere to walk (Nocedal and Wright, "Numerical
    Optimization", algorithm 16.3). Every round lowers the objective or shrinks the free set, so it ends.

    Parameters
    ----------
    hessian
        Shape (k, k), symmetric, positive definite.
    linear, start
        Shape (k,); `start` is feasible.

    Returns
    -------
    Shape (k,), never worse than `start`.

    >>> nonnegative_quadratic(np.eye(2), np.array([-1.0, 1.0]), np.array([0.5, 0.5]))
    array([1., 0.])
    """
    # A unit diagonal first: members of tiny probability and good ones then cost the same digits.
    unit = 1 / np.sqrt(np.diag(hessian))
    hessian, linear = hessian * np.outer(unit, unit), linear * unit
    x = np.asarray(start, dtype=np.float64) / unit
    free = x > 0
    for _ in range(20 * x.size + 100):
        inside = np.flatnonzero(free)
        goal = np.zeros_like(x)
        goal[inside] = np.linalg.solve(hessian[np.ix_(inside, inside)], -linear[inside])
        falling = inside[goal[inside] < 0]
        if falling.size:
            # A free variable at zero that wants to fall stops the walk at once and is bound again.
            room = x[falling] / (x[falling] - goal[falling])
            x += float(room.min()) * (goal - x)
            bound = falling[room <= room.min()]
            x[bound] = 0
            free[bound] = False
            continue
        x = goal
        slope = hessian @ x + linear
        # Below the rounding of its own terms a slope has no sign.
        slope[free | (np.abs(slope) <= _ROUNDING * (np.abs(hessian) @ x + np.abs(linear)))] = 0
        steepest = int(slope.argmin())
        if not slope[steepest] < 0:
            break
        free[steepest] = True
    return np.maximum(x, 0) * unit
