"""One series as HU: skull, brain, ventricles, bleeds and noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radboost.data.phantom.ct.bleed import Plane, paint, soft
from radboost.data.phantom.ct.patient import FIELD_MM, VENTRICLES, Anatomy, HeadPatient, HeadSeries
from radboost.data.phantom.texture import power_law_field

__all__ = ["render_series"]

Floats = NDArray[np.float32]
AIR = -1000.0
_SCALP, _SCALP_MM = -20.0, 5.0
_FLUID = 8.0
_TEXTURE = 2.5
_CALCIFIED = 110.0


def render_series(patient: HeadPatient, series: HeadSeries, pixels: int) -> Floats:
    """Render one series.

    Parameters
    ----------
    patient
        For the anatomy and the scanner's noise.
    series
        One of ``patient.series``.
    pixels
        Rows and columns.

    Returns
    -------
    HU, float32, shape (slices, pixels, pixels), along the normal from below.
    """
    anatomy, rng = patient.anatomy, np.random.default_rng(series.seed)
    textures = _Textures(anatomy, pixels)
    return np.stack([_slice(series, rank, textures, patient.scanner.noise, rng) for rank in range(len(series.names))])


class _Textures:
    """Fields that change slowly from slice to slice, as anatomy does: two drawn ones, turned into each other."""

    def __init__(self, anatomy: Anatomy, pixels: int) -> None:
        rng = np.random.default_rng(anatomy.seed)
        self.anatomy, self.pixels = anatomy, pixels
        self._brain, self._sulci = (
            [power_law_field((pixels, pixels), beta, rng, outer=outer) for _ in range(2)]
            for beta, outer in ((3.0, 0.3), (5.0, 0.12))
        )

    def at(self, height: float) -> tuple[Floats, Floats]:
        """Texture of the brain and field of the sulci at a height in mm."""
        turn = np.float32(height / 25)
        cos, sin = np.cos(turn), np.sin(turn)
        return self._brain[0] * cos + self._brain[1] * sin, self._sulci[0] * cos + self._sulci[1] * sin


def _slice(series: HeadSeries, rank: int, textures: _Textures, noise: float, rng: np.random.Generator) -> Floats:
    anatomy = textures.anatomy
    height, pixels = float(series.heights()[rank]), textures.pixels
    brain, sulci = textures.at(height)
    plane = _plane(anatomy, series, height, pixels, sulci)
    # Below the brain's greatest width lies the skull's base: bone that comes and goes between the fossae.
    base = soft(sulci * 6 - np.float32(8 + (height + 50) * 0.5), plane.pixel)
    inside = np.float32(anatomy.brain + rng.normal(0, 0.7)) + np.float32(_TEXTURE) * brain
    # Beam hardening brightens what lies next to bone.
    inside += np.float32(7) * np.exp(-np.maximum(plane.depth, 0) / np.float32(6))
    inside -= np.float32(6) * np.exp(-((sulci / np.float32(0.2)) ** 2)) * soft(np.float32(18) - plane.depth, 8.0)
    falx = np.exp(-((plane.x / np.float32(1.2)) ** 2)) * soft(np.abs(plane.y) - np.float32(22), 4.0)
    inside += np.float32(14) * falx
    inside += plane.ventricle * (np.float32(_FLUID) - inside)
    _calcify(inside, plane, anatomy, height)
    for bleed in series.bleeds:
        paint(inside, plane, bleed, rank)
    inside += base * (np.float32(0.7 * anatomy.bone) - inside)
    bone = np.float32(anatomy.bone) * (1 + np.float32(0.08) * brain)
    values = bone + soft(plane.depth, plane.pixel) * (inside - bone)
    outer = plane.depth + np.float32(anatomy.skull)
    values = np.float32(_SCALP) + soft(outer, plane.pixel) * (values - np.float32(_SCALP))
    values = np.float32(AIR) + soft(outer + np.float32(_SCALP_MM), plane.pixel) * (values - np.float32(AIR))
    values += rng.normal(0, noise, values.shape).astype(np.float32)
    return values


def _plane(anatomy: Anatomy, series: HeadSeries, height: float, pixels: int, sulci: Floats) -> Plane:
    pixel = FIELD_MM * series.zoom / pixels
    along = ((np.arange(pixels) - (pixels - 1) / 2) * pixel).astype(np.float32)
    x, y = along[None, :] - np.float32(series.shift[0]), along[:, None] - np.float32(series.shift[1])
    x, y = np.broadcast_arrays(x, y)
    share = np.sqrt(1 - (height / anatomy.radii[2]) ** 2)
    radii = (anatomy.radii[0] * share, anatomy.radii[1] * share)
    rho = np.sqrt((x / np.float32(radii[0])) ** 2 + (y / np.float32(radii[1])) ** 2)
    depth = (1 - rho) * np.float32(np.sqrt(radii[0] * radii[1]))
    return Plane(x, y, rho, depth, _ventricles(x, y, anatomy, height, pixel), sulci, radii, pixel)


def _ventricles(x: Floats, y: Floats, anatomy: Anatomy, height: float, pixel: float) -> Floats:
    """Two lateral ventricles: bent bodies beside the midline, widest at their middle."""
    off = (height - VENTRICLES[0]) / VENTRICLES[1]
    if abs(off) >= 1:
        return np.zeros_like(x)
    size = anatomy.ventricle * np.sqrt(1 - off**2)
    centre = np.float32(9) + np.float32(0.012) * y**2
    across = (np.abs(x) - centre) / np.float32(6 * size)
    return soft((1 - np.sqrt(across**2 + (y / np.float32(26 * size)) ** 2)) * np.float32(6 * size), pixel)


def _calcify(inside: Floats, plane: Plane, anatomy: Anatomy, height: float) -> None:
    """Calcified choroid plexus in the ventricles of many patients: as dense as a bleed, and none."""
    rng = np.random.default_rng(anatomy.seed ^ 1)
    side, level, radius = rng.choice([-1.0, 1.0]), rng.uniform(-8, 15), rng.uniform(2, 4)
    if rng.uniform() < 0.4 or abs(height - level) >= 2 * radius:
        return
    distance = np.sqrt((plane.x - np.float32(side * 12)) ** 2 + (plane.y - np.float32(14)) ** 2)
    inside += soft(np.float32(radius) - distance, plane.pixel) * (np.float32(_CALCIFIED) - inside)
