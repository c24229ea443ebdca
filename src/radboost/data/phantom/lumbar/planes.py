"""Where the slices of a series are put: sagittal stacks across the spine, and axial blocks along its discs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Plane", "axial_planes", "sagittal_planes"]

_SAGITTAL_MM, _AXIAL_MM = 4.6, 4.0


@dataclass(frozen=True)
class Plane:
    """One slice: the middle of its frame in mm, directions of rows and of columns, and the side of the frame in mm."""

    middle: tuple[float, float, float]
    right: tuple[float, float, float]
    down: tuple[float, float, float]
    field: float

    def corner(self, pixels: int) -> NDArray[np.float64]:
        """Centre of the first pixel (PS3.3 C.7.6.2.1.1)."""
        way = (pixels - 1) / 2 * self.field / pixels
        corner: NDArray[np.float64] = np.array(self.middle) - way * (np.array(self.right) + np.array(self.down))
        return corner

    def points(self, pixels: int) -> NDArray[np.float64]:
        """Centres of all pixels, (pixels, pixels, 3)."""
        along = np.arange(pixels) * self.field / pixels
        right, down = np.array(self.right), np.array(self.down)
        points: NDArray[np.float64] = self.corner(pixels) + along[None, :, None] * right + along[:, None, None] * down
        return points

    def pixel(self, point: Sequence[float], pixels: int) -> tuple[float, float, float]:
        """X and y of a point's pixel, and its distance from the slice in mm."""
        away = np.array(point) - self.corner(pixels)
        right, down = np.array(self.right), np.array(self.down)
        scale = pixels / self.field
        return float(away @ right * scale), float(away @ down * scale), abs(float(away @ np.cross(right, down)))


def sagittal_planes(spine: float, rng: np.random.Generator) -> list[Plane]:
    """A stack about a spine at some x, turned by a few degrees, counted from either side."""
    slices, turn = int(rng.integers(11, 14)), float(rng.uniform(-0.05, 0.05))
    field, first = float(rng.uniform(215, 265)), spine + float(rng.normal(0, 1.5))
    middle = (first, float(rng.normal(0, 6)), float(rng.normal(0, 8)))
    right = (-float(np.sin(turn)), float(np.cos(turn)), 0.0)
    normal = np.cross(right, (0.0, 0.0, -1.0))
    steps = (np.arange(slices) - (slices - 1) / 2) * _SAGITTAL_MM * rng.choice([-1, 1])
    return [Plane(_moved(middle, step * normal), right, (0.0, 0.0, -1.0), field) for step in steps]


def axial_planes(discs: Sequence[tuple[tuple[float, float, float], float]], rng: np.random.Generator) -> list[Plane]:
    """Three slices along each disc, at its own tilt, as one series from the head down."""
    field = float(rng.uniform(150, 190))
    planes = []
    for (x, y, z), tilt in discs:
        down = np.array([0.0, 1.0, tilt + float(rng.normal(0, 0.03))])
        down /= np.linalg.norm(down)
        normal = np.cross((1.0, 0.0, 0.0), down)
        # The frame lies about the canal, off its middle by what a technician does.
        middle = (x + float(rng.normal(0, 3)), y + 20 + float(rng.normal(0, 4)), z)
        for step in (1, 0, -1):
            away = (step * _AXIAL_MM + float(rng.normal(0, 0.4))) * normal
            planes.append(Plane(_moved(middle, away), (1.0, 0.0, 0.0), tuple(down.tolist()), field))
    return planes


def _moved(point: tuple[float, float, float], way: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (np.array(point) + way).tolist()
    return x, y, z
