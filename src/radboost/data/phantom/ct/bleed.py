"""The five kinds of bleed: where each lies, how dense it is, and the shape it has in a slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "Bleed", "Plane", "draw_bleed", "paint", "soft"]

Floats = NDArray[np.float32]

KINDS = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
"""In the order in which the competition's tables list them."""

_DENSITY = {"epidural": 70, "intraparenchymal": 68, "intraventricular": 64, "subarachnoid": 62, "subdural": 62}
_THICKNESS = {"epidural": (10.0, 20.0), "subdural": (6.0, 11.0)}
_WIDTH = {"epidural": (24.0, 38.0), "subdural": (60.0, 95.0), "subarachnoid": (40.0, 70.0)}
_LEVEL = (-6.0, 8.0)
_SULCUS = 0.3
_PALE = (0.15, 0.35)
_HEIGHT = (12.0, 26.0)
_ENDS = 0.6


@dataclass(frozen=True)
class Bleed:
    """One bleed of a series, in neighbouring slices `first` to `first + slices - 1`.

    Attributes
    ----------
    kind
        One of `KINDS`.
    first, slices
        Rank of the lowest slice along the normal, and how many slices it spans, 3 to 6.
    density
        HU at its centre.
    angle
        Direction from the centre of the head in radians, 0 to the patient's left.
    reach
        Of a parenchymal bleed: its distance from the centre as a share of the brain's radius.
    size
        Of a parenchymal bleed the mean radius, of a lens or crescent its thickness, mm; of a ventricular one the height
        above the middle of the ventricles up to which blood has sunk, mm.
    width
        Half its length along the skull, mm; of a parenchymal bleed the ratio of its two radii.
    fill
        For each of its slices from the lowest, the share of the slice's thickness that it takes, above 0 to 1. What it
        takes a little of, a slice shows pale.
    """

    kind: str
    first: int
    slices: int
    density: float
    angle: float
    reach: float
    size: float
    width: float
    fill: tuple[float, ...]

    def taper(self, rank: int) -> float:
        """Share of its size that it has in a slice, 0 outside: an ellipsoid's profile."""
        if not self.first <= rank < self.first + self.slices:
            return 0.0
        # Half a slice more than it spans, so that the outermost slices still show it.
        off = (rank - self.first - (self.slices - 1) / 2) / ((self.slices + 0.4) / 2)
        return float(np.sqrt(1 - off**2))


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice's coordinates and masks, each of shape (pixels, pixels).

    ``x`` and ``y`` are mm to the patient's left and back from the head's centre, ``rho`` the distance from there as a
    share of the brain's radius, ``depth`` mm below the inner table and ``ventricle`` the share of a pixel that is
    ventricle. ``sulci`` is a field whose zero lines run as the sulci do, and ``pixel`` the side of a pixel in mm.
    """

    x: Floats
    y: Floats
    rho: Floats
    depth: Floats
    ventricle: Floats
    sulci: Floats
    radii: tuple[float, float]
    pixel: float


def draw_bleed(kind: str, ranks: range, spacing: float, pale: float, rng: np.random.Generator) -> Bleed:
    """Draw one bleed.

    Parameters
    ----------
    kind
        One of `KINDS`.
    ranks
        Slices among which it may lie.
    spacing
        Distance of slices, mm.
    pale
        How probably a slice shows it pale, 0 to 1. One slice never does.
    rng
        Source of the draw.
    """
    # Some mm, whatever the slices' distance: else a slice of few would bleed more often than one of many.
    slices = min(int(np.clip(round(rng.uniform(*_HEIGHT) / spacing), 3, 6)), len(ranks))
    size, width = rng.uniform(10, 19), rng.uniform(0.65, 1.0)
    if kind in _THICKNESS:
        size = rng.uniform(*_THICKNESS[kind])
    if kind == "intraventricular":
        size = rng.uniform(*_LEVEL)
    if kind in _WIDTH:
        width = rng.uniform(*_WIDTH[kind])
    fill = np.where(rng.uniform(size=slices) < pale, rng.uniform(*_PALE, slices), 1.0)
    fill[rng.integers(slices)] = 1.0
    return Bleed(
        kind=kind,
        # Rather at the ends, which fewer bleeds reach: the middle slices shall not be known by their place.
        first=ranks.start + round(float(rng.beta(_ENDS, _ENDS)) * (len(ranks) - slices)),
        slices=slices,
        density=float(rng.normal(_DENSITY[kind], 4)),
        angle=float(rng.uniform(-np.pi, np.pi)),
        reach=float(rng.uniform(0.35, 0.65)),
        size=float(size),
        width=float(width),
        fill=tuple(fill.tolist()),
    )


def soft(inside: Floats, pixel: float) -> Floats:
    """Share of each pixel within a border, from the distance to it in mm, positive inside."""
    share: Floats = np.clip(inside / np.float32(pixel) + np.float32(0.5), 0, 1)
    return share


def paint(values: Floats, plane: Plane, bleed: Bleed, rank: int) -> None:
    """Put what a slice shows of a bleed into its HU, in place.

    Parameters
    ----------
    values
        HU, shape (pixels, pixels).
    plane
        The slice.
    bleed
        What.
    rank
        Of the slice, along the normal.
    """
    taper = bleed.taper(rank)
    if taper == 0:
        return
    amount = _SHAPES[bleed.kind](plane, bleed, np.float32(taper)) * soft(plane.depth, plane.pixel)
    amount *= np.float32(bleed.fill[rank - bleed.first])
    values += amount * (np.float32(bleed.density) - values)


def _arc(plane: Plane, bleed: Bleed) -> Floats:
    """Distance along the skull from the bleed's middle, mm."""
    turn = np.arctan2(plane.y, plane.x) - np.float32(bleed.angle)
    radius = np.float32(np.sqrt(plane.radii[0] * plane.radii[1]))
    arc: Floats = np.abs(np.angle(np.exp(1j * turn)).astype(np.float32)) * radius
    return arc


def _lens(plane: Plane, bleed: Bleed, taper: np.float32) -> Floats:
    along = _arc(plane, bleed) / (np.float32(bleed.width) * taper)
    return soft(np.float32(bleed.size) * taper * (1 - along**2) - plane.depth, plane.pixel)


def _crescent(plane: Plane, bleed: Bleed, taper: np.float32) -> Floats:
    along = _arc(plane, bleed) / (np.float32(bleed.width) * taper)
    return soft(np.float32(bleed.size) * taper * (1 - along**6) - plane.depth, plane.pixel)


def _lump(plane: Plane, bleed: Bleed, taper: np.float32) -> Floats:
    cos, sin = np.float32(np.cos(bleed.angle)), np.float32(np.sin(bleed.angle))
    x, y = (
        v - np.float32(bleed.reach * r) * c for v, r, c in zip((plane.x, plane.y), plane.radii, (cos, sin), strict=True)
    )
    out, across = (x * cos + y * sin) / np.float32(bleed.width), y * cos - x * sin
    return soft(np.float32(bleed.size) * taper - np.sqrt(out**2 + across**2), plane.pixel)


def _sunk(plane: Plane, bleed: Bleed, taper: np.float32) -> Floats:
    # The patient lies on the back: blood sinks to the ventricles' back and leaves a level.
    return plane.ventricle * soft(plane.y - np.float32(8 - bleed.size) * (2 - taper), plane.pixel)


def _sulcal(plane: Plane, bleed: Bleed, taper: np.float32) -> Floats:
    near = soft(np.float32(bleed.width) * taper - _arc(plane, bleed), 8 * plane.pixel)
    outer = soft(np.float32(28) - plane.depth, 4 * plane.pixel)
    filled: Floats = np.exp(-((plane.sulci / np.float32(_SULCUS)) ** 2)) * near * outer
    return filled


_SHAPES = {
    "epidural": _lens,
    "intraparenchymal": _lump,
    "intraventricular": _sunk,
    "subarachnoid": _sulcal,
    "subdural": _crescent,
}
