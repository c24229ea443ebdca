"""Findings: masses, calcifications, vessels and nodes, malignant or not, added to a rendered breast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from radboost.data.phantom.breast.anatomy import Outline
from radboost.data.phantom.breast.machine import FRAME_MM

__all__ = ["Box", "Finding", "Kind", "draw_benign", "draw_malignant", "paint", "position", "specks"]

Kind = Literal["spiculated mass", "blurry mass", "cluster", "smooth mass", "coarse calcification", "vessel"]
Patch = tuple[NDArray[np.float32], float, float]


@dataclass(frozen=True)
class Box:
    """Smallest rectangle around a finding, in pixels of the stored frame; ``x1`` and ``y1`` lie outside it."""

    x0: int
    y0: int
    x1: int
    y1: int


@dataclass(frozen=True)
class Finding:
    """One finding, at one place of the breast in every view.

    Attributes
    ----------
    kind
        What it is.
    depth
        Distance from the muscle, implant or chest wall to the skin as a share of the way, in its row.
    height, across
        Position above the nipple (seen in oblique views) and to the outside of it (seen in CC), -1 to 1, as a share of
        the half height of the outline.
    size_mm
        Radius of a mass, spread of a cluster, length of a vessel; millimetres.
    contrast
        Attenuation at its centre above the tissue around it.
    seed
        Seed of its shape, so that all views show the same finding.
    malignant
        Whether it is the cancer.
    """

    kind: Kind
    depth: float
    height: float
    across: float
    size_mm: float
    contrast: float
    seed: int
    malignant: bool


def draw_malignant(rng: np.random.Generator) -> tuple[Finding, ...]:
    """Draw the findings of one cancer: a mass, a cluster or both; harder ones are smaller and fainter.

    Parameters
    ----------
    rng
        Source of the draw.

    Returns
    -------
    One or two findings at one place.
    """
    ease = rng.uniform()
    depth, height, across = _place(rng)
    found: list[Finding] = []
    sort = rng.uniform()
    if sort < 0.7:
        kind: Kind = "spiculated mass" if rng.uniform() < 0.7 else "blurry mass"
        size, contrast = 4.5 + 5.0 * ease + rng.uniform(0, 1.5), 0.14 + 0.36 * ease
        found.append(Finding(kind, depth, height, across, size, contrast, int(rng.integers(2**31)), malignant=True))
    if sort > 0.5:
        size, contrast = 4.0 + 4.0 * rng.uniform(), 0.24 + 0.60 * ease
        found.append(
            Finding("cluster", depth, height, across, size, contrast, int(rng.integers(2**31)), malignant=True)
        )
    return tuple(found)


def draw_benign(rng: np.random.Generator) -> tuple[Finding, ...]:
    """Draw the harmless findings of one breast, which often has none.

    Parameters
    ----------
    rng
        Source of the draw.

    Returns
    -------
    None to three findings.
    """
    found: list[Finding] = []
    chances: tuple[tuple[Kind, float], ...] = (("smooth mass", 0.14), ("coarse calcification", 0.16), ("vessel", 0.10))
    for kind, chance in chances:
        if rng.uniform() >= chance:
            continue
        size, contrast = {
            "smooth mass": (rng.uniform(3.5, 7), rng.uniform(0.08, 0.18)),
            "coarse calcification": (rng.uniform(0.5, 1.1), rng.uniform(0.25, 0.45)),
            "vessel": (rng.uniform(15, 35), rng.uniform(0.06, 0.14)),
        }[kind]
        found.append(Finding(kind, *_place(rng), size, contrast, int(rng.integers(2**31)), malignant=False))
    return tuple(found)


def _place(rng: np.random.Generator) -> tuple[float, float, float]:
    """Depth, height and outward position; cancers and benign findings lie in the same places."""
    return rng.uniform(0.3, 0.8), rng.uniform(-0.35, 0.6), rng.uniform(-0.45, 0.55)


def paint(
    tissue: NDArray[np.float32], thickness: NDArray[np.float32], outline: Outline, finding: Finding, *, oblique: bool
) -> Box:
    """Add one finding to a breast whose chest wall is on the left.

    Parameters
    ----------
    tissue
        Attenuation, shape (rows, columns); changed in place.
    thickness
        Relative thickness, the same shape.
    outline
        Border of the breast.
    finding
        What to paint.
    oblique
        Whether the view shows heights (MLO) or not (CC).

    Returns
    -------
    Its box, still with the chest wall on the left.
    """
    rows, columns = tissue.shape
    scale = rows / FRAME_MM
    x, y = position(outline, (finding.depth, finding.height, finding.across), oblique=oblique)

    patch, half_width, half_height = _SHAPES[finding.kind](finding, scale, np.random.default_rng(finding.seed))
    reach_y, reach_x = (n // 2 for n in patch.shape)
    top, left = max(0, y - reach_y), max(0, x - reach_x)
    bottom, right = min(rows, y + reach_y + 1), min(columns, x + reach_x + 1)
    cut = patch[top - y + reach_y : bottom - y + reach_y, left - x + reach_x : right - x + reach_x]
    tissue[top:bottom, left:right] += cut * thickness[top:bottom, left:right] * np.float32(finding.contrast)
    return Box(
        max(0, round(x - half_width)),
        max(0, round(y - half_height)),
        min(columns, round(x + half_width) + 1),
        min(rows, round(y + half_height) + 1),
    )


def position(outline: Outline, place: tuple[float, float, float], *, oblique: bool) -> tuple[int, int]:
    """Column and row of a place given by depth, height and outward position, see `Finding`."""
    depth, height, across = place
    y = int(np.clip(outline.nipple + (-height if oblique else across) * outline.half_height, 0, len(outline.edge) - 1))
    # Findings lie in front of muscle and implant, and behind the skin.
    wall, skin = float(max(outline.muscle[y], outline.implant[y])), float(outline.edge[y])
    return int(np.clip(wall + depth * (skin - wall), 0, outline.columns - 1)), y


def _grid(reach: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Columns and rows from the centre of a square patch that reaches ``reach`` pixels each way."""
    axis = np.arange(-int(np.ceil(reach)), int(np.ceil(reach)) + 1, dtype=np.float32)
    return axis[None, :], axis[:, None]


def _mass(finding: Finding, scale: float, rng: np.random.Generator) -> Patch:
    """Round body with a wavy border: nearly round when smooth, fading when blurry, with rays when spiculated."""
    radius = finding.size_mm * scale
    rays = finding.kind == "spiculated mass"
    x, y = _grid(radius * (3.2 if rays else 2.4))
    distance, angle = np.hypot(x, y), np.arctan2(y, x)
    waves = 0.04 if finding.kind == "smooth mass" else 0.14
    border = np.full_like(angle, 1.0)
    for k in range(2, 6):
        border += np.float32(waves * rng.normal() / (k - 1)) * np.cos(k * angle + np.float32(rng.uniform(0, 6.3)))
    inside = distance / (radius * np.clip(border, 0.5, 1.6))
    if finding.kind == "smooth mass":
        # A sphere's chord, so that the border is even but not a step.
        body = np.sqrt(np.clip(1 - inside**2, 0, 1))
    else:
        body = np.exp(-(inside ** (2.0 if finding.kind == "blurry mass" else 2.6)))
    if rays:
        body = np.maximum(body, _rays(distance, angle, radius, scale, rng))
    return body.astype(np.float32), 1.15 * radius, 1.15 * radius


def _rays(
    distance: NDArray[np.float32], angle: NDArray[np.float32], radius: float, scale: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Spicules: straight lines from the centre, thinner and fainter outward, each of its own length."""
    bright = np.zeros_like(distance)
    for direction in np.linspace(0, 2 * np.pi, int(rng.integers(11, 19)), endpoint=False):
        turned = angle - np.float32(direction + rng.normal(0, 0.12))
        forward, aside = distance * np.cos(turned), distance * np.sin(turned)
        length, width = radius * rng.uniform(1.6, 3.0), max(0.45 * scale, 0.5)
        taper = np.clip(1 - forward / np.float32(length), 0, 1) * (forward > 0)
        strength = np.float32(min(1.0, 0.45 * scale / width))
        np.maximum(bright, strength * taper * np.exp(-((aside / np.float32(width)) ** 2)), out=bright)
    return bright


def specks(
    places: NDArray[np.float64], sigmas_mm: NDArray[np.float64], weights: NDArray[np.float64], scale: float
) -> NDArray[np.float32]:
    """Draw small Gaussian dots on a square patch around (0, 0).

    A dot below a pixel's size spreads over the pixel and fades by the area it lost.
    """
    reach = float(np.abs(places).max()) + 4 * max(1.0, float(sigmas_mm.max()) * scale)
    x, y = _grid(reach)
    patch = np.zeros((y.size, x.size), np.float32)
    for (px, py), sigma_mm, weight in zip(places, sigmas_mm, weights, strict=True):
        sigma = sigma_mm * scale
        spread = np.hypot(sigma, 0.35)
        across = np.exp(-((x - px) ** 2) / (2 * spread**2))
        down = np.exp(-((y - py) ** 2) / (2 * spread**2))
        patch += np.float32(weight * (sigma / spread) ** 2) * (down * across).astype(np.float32)
    return patch


def _cluster(finding: Finding, scale: float, rng: np.random.Generator) -> Patch:
    """Many small irregular calcifications, spread along a duct."""
    count = int(rng.integers(10, 26))
    spread = finding.size_mm * scale * np.array([1.0, rng.uniform(0.4, 0.9)])
    turn = rng.uniform(0, np.pi)
    spots = np.clip(rng.normal(size=(count, 2)), -2, 2) * spread * 0.7
    spots = spots @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    patch = specks(spots, rng.uniform(0.22, 0.45, count), rng.uniform(0.5, 1.3, count), scale)
    half = np.abs(spots).max(axis=0) + scale
    return patch, float(half[0]), float(half[1])


def _coarse(finding: Finding, scale: float, rng: np.random.Generator) -> Patch:
    """One to three large round calcifications apart from each other."""
    count = int(rng.integers(1, 4))
    spots = rng.uniform(-6, 6, (count, 2)) * scale
    patch = specks(spots, finding.size_mm * rng.uniform(0.6, 1.1, count), np.ones(count), scale)
    half = np.abs(spots).max(axis=0) + 2 * scale
    return patch, float(half[0]), float(half[1])


def _vessel(finding: Finding, scale: float, rng: np.random.Generator) -> Patch:
    """A calcified vessel: two broken parallel tracks along a gentle arc."""
    steps = np.linspace(-0.5, 0.5, int(finding.size_mm))
    turn, bend = rng.uniform(0, np.pi), rng.normal(0, 0.25)
    along = finding.size_mm * scale * np.stack([steps, bend * steps**2], axis=1)
    aside = np.array([0.0, 1.1 * scale])
    spots = np.concatenate([along - aside, along + aside])
    spots = spots @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    patch = specks(spots, rng.uniform(0.3, 0.6, len(spots)), rng.uniform(0, 1.2, len(spots)), scale)
    half = np.abs(spots).max(axis=0) + scale
    return patch, float(half[0]), float(half[1])


_SHAPES: dict[Kind, Callable[[Finding, float, np.random.Generator], Patch]] = {
    "spiculated mass": _mass,
    "blurry mass": _mass,
    "smooth mass": _mass,
    "cluster": _cluster,
    "coarse calcification": _coarse,
    "vessel": _vessel,
}
