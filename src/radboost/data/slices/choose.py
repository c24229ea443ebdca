"""Which slices are shown: whole ones under a budget, and crops round points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from radboost.data.slices.stack import Floats, Stack

__all__ = ["chosen", "nearest", "square"]

Place = tuple[int, int]
"""Number of the stack, and of the slice in it."""

FAR_MM = 20.0
"""A slice farther from a point than this does not show it."""


def nearest(stacks: Sequence[Stack], point: Floats, most: int) -> list[tuple[Place, Floats]]:
    """Give the slices nearest to a point whose frames show it, the nearest first, with the point's pixel (2,) there.

    Slices without a place, and those farther than `FAR_MM`, are none of them.
    """
    found = []
    for number, stack in enumerate(stacks):
        distance, pixel = stack.project(point)
        inside = ((pixel >= -0.5) & (pixel <= stack.size[:, ::-1] - 0.5)).all(axis=1)
        rows = np.flatnonzero(inside & (distance <= FAR_MM))
        found += [(float(distance[row]), (number, int(row)), pixel[row]) for row in rows]
    # Slices of one distance keep the order of their series.
    return [(place, pixel) for _, place, pixel in sorted(found, key=lambda each: each[:2])[:most]]


def chosen(stacks: Sequence[Stack], always: Sequence[Place], most: int) -> list[Place]:
    """Choose whole slices: those that must be there, and the rest of the budget spread evenly over the others.

    Parameters
    ----------
    stacks
        Series of one kind.
    always
        Slices that are among them in any case, even if there are more than the budget.
    most
        The budget over all of them.
    """
    must = set(always)
    others = [(n, row) for n, stack in enumerate(stacks) for row in range(len(stack)) if (n, row) not in must]
    room = min(max(0, most - len(must)), len(others))
    spread = ((np.arange(room) + 0.5) * len(others) / max(room, 1)).astype(np.int64)
    return sorted(must | {others[place] for place in spread.tolist()})


def square(stack: Stack, row: int, pixel: Floats, side_mm: float) -> tuple[float, float, float, float]:
    """Box of so many millimetres round a pixel: left, top, right, bottom in whole pixels, cut at the frame's edges."""
    half = side_mm / 2 / stack.spacing[row]
    # A pixel's centre lies half a pixel from its left and top edge.
    low, high = np.rint(pixel + 0.5 - half), np.rint(pixel + 0.5 + half)
    edge: npt.NDArray[np.float64] = stack.size[row, ::-1].astype(np.float64)
    low, high = np.clip(low, 0, edge - 1), np.clip(high, 1, edge)
    return float(low[0]), float(low[1]), float(max(high[0], low[0] + 1)), float(max(high[1], low[1] + 1))
