"""One slice of a phantom spine: vertebrae, discs, canal, recesses, foramina, and what lies around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radboost.data.phantom.lumbar.planes import Plane
from radboost.data.phantom.lumbar.study import LEVELS, Spine, SpineSeries
from radboost.data.phantom.texture import power_law_field

__all__ = ["render_slice"]

Floats = NDArray[np.float32]

_BRIGHT = {
    # T1: fat is bright and water dark; T2: both are bright, water more so.
    "t1": {"muscle": 0.35, "fat": 1.0, "bone": 0.6, "disc": 0.4, "water": 0.18, "ligament": 0.22, "nerve": 0.38},
    "t2": {"muscle": 0.25, "fat": 0.75, "bone": 0.5, "disc": 0.75, "water": 1.0, "ligament": 0.12, "nerve": 0.4},
}
_EDGE_MM = 1.0
_REACH_MM = 20.0
# Marrow holds more or less fat, and water that flows gives less signal. Neither is a grade, and both change what a mean
# and a deviation say as much as a grade does.
_MARROW = 0.15
"""Deviation of a vertebra's brightness, as a share."""
_FLOW = 0.35
"""Largest share of its signal that water loses at a level."""


def render_slice(spine: Spine, series: SpineSeries, number: int, pixels: int) -> Floats:
    """Render one slice of a series.

    Parameters
    ----------
    spine
        What is there.
    series
        How it is seen.
    number
        Which slice, from 0.
    pixels
        Rows and columns.

    Returns
    -------
    Signal from 0, about 1 in the brightest tissue; float32, shape (pixels, pixels).
    """
    plane = series.planes[number]
    rng = np.random.default_rng(np.random.SeedSequence((series.seed, number)))
    values = _Slice(spine, plane, pixels, _BRIGHT["t1" if series.kind == "t1" else "t2"]).values()
    texture = power_law_field((pixels, pixels), 2.5, rng, outer=0.2)
    shade = power_law_field((pixels, pixels), 6.0, np.random.default_rng(series.seed), outer=1.0)
    values *= (1 + np.float32(0.08) * texture) * np.exp(np.float32(0.12) * shade) * np.float32(series.gain)
    # Magnitude images: noise adds to the two parts of a complex signal.
    a, b = rng.normal(0, series.noise, (2, *values.shape)).astype(np.float32)
    signal: Floats = np.hypot(values + a, b).astype(np.float32)
    return signal


def _inside(distance: NDArray[np.float64]) -> Floats:
    """1 well inside, 0 well outside of an edge at 0; distance in mm, positive inside."""
    return np.clip(distance / _EDGE_MM + 0.5, 0, 1).astype(np.float32)


def _ellipse(*parts: tuple[NDArray[np.float64], float]) -> NDArray[np.float64]:
    """Distance in mm from the edge of an ellipse, from offsets and half axes; negative outside."""
    rho = np.sqrt(sum(np.square(offset / half) for offset, half in parts))
    return np.asarray((1 - rho) * min(half for _, half in parts), np.float64)


class _Slice:
    def __init__(self, spine: Spine, plane: Plane, pixels: int, bright: dict[str, float]) -> None:
        points = plane.points(pixels)
        self.spine, self.bright = spine, bright
        x, y, self.z = points[..., 0], points[..., 1], points[..., 2]
        axis_x, axis_y = spine.axis(self.z)
        self.u, self.v = x - axis_x, y - axis_y
        self.x, self.y = x, y
        self.out = np.full(x.shape, bright["muscle"], np.float32)
        # Height above each disc's own tilted middle.
        centre, depth = spine.centre[2], spine.half[1]
        self.above = [self.z - centre - height - tilt * (self.v - depth / 2) for height, _, _, tilt in spine.discs]
        # What narrows reaches less far than this; an axial slice meets one level or none.
        near = [float(np.abs(above).min()) < _REACH_MM for above in self.above]
        rng = np.random.default_rng(spine.seed)
        self.marrow = bright["bone"] * rng.normal(1, _MARROW, len(spine.discs) + 1)
        self.flow = rng.uniform(0, _FLOW, len(spine.discs))
        self.near = [(a, level) for a, level, there in zip(self.above, LEVELS, near, strict=True) if there]

    def paint(self, mask: Floats, tissue: str | float | Floats) -> None:
        value = self.bright[tissue] if isinstance(tissue, str) else tissue
        self.out += mask * (np.float32(value) - self.out)

    def values(self) -> Floats:
        self._body()
        self._bones()
        self._canal()
        for side, name in ((1, "left"), (-1, "right")):
            self._foramina(side, f"{name}_neural_foraminal_narrowing")
            self._recess(side, f"{name}_subarticular_stenosis")
        return np.maximum(self.out, 0)

    def _body(self) -> None:
        skin = _ellipse((self.x, 165.0), (self.y - 10, 105.0))
        self.paint(_inside(25 - skin), "fat")
        self.paint(_inside(-skin), 0.0)

    def _bones(self) -> None:
        spine = self.spine
        column = _inside(_ellipse((self.u, spine.half[0]), (self.v, spine.half[1])))
        vertebra = np.sum([above < 0 for above in self.above], axis=0)
        self.paint(column, np.take(self.marrow, vertebra).astype(np.float32))
        top, pitch = spine.discs[0], spine.discs[0][0] - spine.discs[1][0]
        # Discs of the chest go on above; below the last one the sacrum is one bone.
        higher = [(self.above[0] - pitch * n, top[1] * 0.9, 0.6) for n in (1, 2)]
        lower = [(a, d[1], d[2]) for a, d in zip(self.above, spine.discs, strict=True)]
        for above, thick, water in (*higher, *lower):
            slab = column * _inside(thick / 2 - np.abs(above))
            self.paint(column * _inside(thick / 2 + 1.2 - np.abs(above)), "ligament")
            self.paint(slab, self.bright["disc"] * (0.45 + 0.35 * water))
            nucleus = _ellipse((self.u, 0.6 * spine.half[0]), (self.v, 0.6 * spine.half[1]), (above, 0.42 * thick))
            self.paint(_inside(nucleus), self.bright["disc"] * (0.45 + 0.55 * water))
        # Arches, joints and the row of spinous processes behind.
        back = self.v - spine.half[1] - 2 * spine.canal[1]
        self.paint(_inside(_ellipse((self.u, 24.0), (back - 7, 9.0))), "bone")
        comb = np.cos(2 * np.pi * self.above[2] / pitch)
        self.paint(_inside(_ellipse((self.u, 4.0), (back - 22, 18.0))) * _inside(comb * 8), "bone")
        self.paint(_inside(_ellipse((self.u, 5.0), (back - 24, 20.0))) * _inside(-comb * 8), "fat")

    def _canal(self) -> None:
        spine = self.spine
        width, depth = spine.canal
        room = np.ones_like(self.u)
        for above, level in self.near:
            taken = spine.narrowed["spinal_canal_stenosis", level]
            room -= taken * np.exp(-np.square(np.square(above / (7 * spine.size))))
        behind = self.v - spine.half[1] - depth
        self.paint(_inside(_ellipse((self.u, width + 1.5), (behind, depth + 1.5))), "fat")
        self.paint(_inside(_ellipse((self.u, width), (behind, depth))), "ligament")
        rho = np.sqrt((self.u / (width * np.sqrt(np.maximum(room, 0.05)))) ** 2 + (behind / (depth * room)) ** 2)
        water = self.bright["water"] * np.ones_like(self.u)
        for above, flow in zip(self.above, self.flow, strict=True):
            water *= 1 - flow * np.exp(-np.square(above / 14))
        self.paint(_inside((1 - rho) * depth * room), water.astype(np.float32))
        roots = 0.5 + 0.5 * np.cos(self.u * 2.4) * np.cos(behind * 2.1)
        self.paint(_inside((0.75 - rho) * depth * room) * (0.45 * roots).astype(np.float32), "nerve")

    def _foramina(self, side: int, condition: str) -> None:
        spine = self.spine
        u = side * self.u - spine.canal[0] - 8 * spine.size
        v = self.v - spine.half[1] - 4 * spine.size
        # Pedicles between them are bone.
        self.paint(_inside(_ellipse((u, 8 * spine.size), (v, 9 * spine.size))), "bone")
        for above, level in self.near:
            room = 1 - spine.narrowed[condition, level]
            up = above - 3 * spine.size
            whole = _ellipse((u, 9 * spine.size), (v, 8 * spine.size), (up, 12 * spine.size))
            self.paint(_inside(whole), "ligament")
            wide = 0.4 + 0.6 * room
            fat = _ellipse((u, 9 * spine.size), (v, 7.5 * spine.size * wide), (up, 11 * spine.size * room))
            self.paint(_inside(fat), "fat")
            nerve = _ellipse((v, 2.6 * spine.size), (up - 2, 2.6 * spine.size))
            self.paint(_inside(nerve) * _inside(9 * spine.size - np.abs(u)), "nerve")

    def _recess(self, side: int, condition: str) -> None:
        spine = self.spine
        u = side * self.u - 0.85 * spine.canal[0]
        v = self.v - spine.half[1] - 3.5 * spine.size
        for above, level in self.near:
            room = 1 - spine.narrowed[condition, level]
            whole = _ellipse((u, 4.5 * spine.size), (v, 4.5 * spine.size), (above, 8 * spine.size))
            self.paint(_inside(whole), "ligament")
            half = max(4.2 * spine.size * room, 0.4)
            self.paint(_inside(_ellipse((u, half), (v, half), (above, 8 * spine.size))), "water")
