"""The breast without findings: outline, compressed thickness, glandular tissue, pectoral muscle, skin, implant."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from radboost.data.phantom.breast.machine import FRAME_MM
from radboost.data.phantom.texture import power_law_field

__all__ = ["Anatomy", "Outline", "background", "draw_anatomy", "outline_of"]

_DENSITY = {"A": -1.6, "B": -0.8, "C": 0.1, "D": 1.0}
_COLUMNS_PER_ROW = 0.8
_IMPLANT_CENTRE, _IMPLANT_RADIUS = 0.05, 0.5  # as shares of the breast's depth


@dataclass(frozen=True)
class Anatomy:
    """What the four views of one patient have in common, sides apart from a small jitter.

    Lengths are millimetres. ``density`` is the bias of the glandular field, ``beta`` the exponent of its power
    spectrum, ``cords`` the brightness of connective strands and ``muscle`` the brightness of the pectoral muscle.
    """

    depth: float
    half_height: float
    roll: float
    density: float
    beta: float
    outer: float
    cords: float
    fat: float
    muscle: float
    implant: bool

    def of_side(self, rng: np.random.Generator) -> Anatomy:
        """Anatomy of one breast: the patient's, with the small asymmetry that healthy breasts have."""
        return replace(
            self,
            depth=self.depth * rng.normal(1, 0.03),
            half_height=self.half_height * rng.normal(1, 0.02),
            density=self.density + rng.normal(0, 0.08),
            fat=self.fat + rng.normal(0, 0.005),
        )


@dataclass(frozen=True)
class Outline:
    """Border of the breast in one view with the chest wall on the left.

    ``edge`` is the distance of the skin from the chest wall in pixels, one value a row; ``nipple`` its row, ``depth``
    and ``half_height`` its extent, all in pixels; ``muscle`` is the width of the pectoral muscle in each row and
    ``implant`` that of the implant, 0 where none is.
    """

    edge: NDArray[np.float32]
    muscle: NDArray[np.float32]
    implant: NDArray[np.float32]
    nipple: float
    depth: float
    half_height: float
    columns: int


def draw_anatomy(density: str, *, implant: bool, rng: np.random.Generator) -> Anatomy:
    """Draw one patient's anatomy.

    Parameters
    ----------
    density
        BI-RADS density, A to D.
    implant
        Whether both breasts carry an implant.
    rng
        Source of the draw.

    Returns
    -------
    The anatomy.
    """
    size = float(np.clip(rng.normal(1.0, 0.14), 0.7, 1.3))
    return Anatomy(
        depth=108 * size * rng.uniform(0.9, 1.12),
        half_height=104 * size * rng.uniform(0.92, 1.08),
        roll=rng.uniform(18, 30),
        density=_DENSITY[density] + rng.normal(0, 0.2),
        beta=rng.normal(3.0, 0.1),
        outer=rng.uniform(0.1, 0.2),
        cords=rng.uniform(0.03, 0.08),
        fat=rng.normal(0.24, 0.02),
        muscle=rng.uniform(0.44, 0.56),
        implant=implant,
    )


def outline_of(anatomy: Anatomy, pixels: int, *, oblique: bool, rng: np.random.Generator) -> Outline:
    """Draw the border of the breast in one view.

    Parameters
    ----------
    anatomy
        The breast.
    pixels
        Rows of the frame.
    oblique
        Whether the view shows the axilla and the pectoral muscle (MLO and the other lateral views).
    rng
        Source of the positioning.

    Returns
    -------
    The border.
    """
    scale = pixels / FRAME_MM
    columns = round(pixels * _COLUMNS_PER_ROW)
    y = np.arange(pixels, dtype=np.float32)
    depth = min(anatomy.depth * scale * rng.normal(1, 0.03), 0.8 * columns)
    half = min(anatomy.half_height * scale * rng.normal(1, 0.03), 0.46 * pixels)
    power = rng.uniform(2.0, 2.5)
    muscle = np.zeros(pixels, np.float32)
    if oblique:
        nipple = pixels * rng.uniform(0.54, 0.6)
        half = min(half, 0.98 * (pixels - nipple))
        above = np.abs(y - nipple) / np.where(y < nipple, 1.25 * half, half)
        edge = depth * np.sqrt(np.clip(1 - above**power, 0, 1))
        axilla = depth * rng.uniform(0.5, 0.75) * np.clip(1 - y / (1.15 * nipple), 0, 1) ** 0.7
        edge = np.cbrt(edge**3 + axilla**3)
        width, length = depth * rng.uniform(0.35, 0.55), nipple * rng.uniform(0.75, 1.05)
        muscle = width * np.clip(1 - y / length, 0, 1) ** rng.uniform(0.75, 1.05)
    else:
        nipple = pixels * rng.normal(0.5, 0.02)
        half = min(half, 0.98 * nipple, 0.98 * (pixels - nipple))
        edge = depth * np.sqrt(np.clip(1 - (np.abs(y - nipple) / half) ** power, 0, 1))
    edge = edge + rng.uniform(1.5, 4) * scale * np.exp(-(((y - nipple) / (4.5 * scale)) ** 2)) * (edge > 0)
    implant = np.zeros(pixels, np.float32)
    if anatomy.implant:
        radius = _IMPLANT_RADIUS * depth
        implant += _IMPLANT_CENTRE * depth + radius * np.sqrt(np.clip(1 - ((y - nipple) / (1.25 * radius)) ** 2, 0, 1))
        implant[np.abs(y - nipple) > 1.25 * radius] = 0
    return Outline(
        edge=edge.astype(np.float32),
        muscle=np.minimum(muscle, edge).astype(np.float32),
        implant=np.minimum(implant, edge).astype(np.float32),
        nipple=float(nipple),
        depth=depth,
        half_height=half,
        columns=columns,
    )


def background(
    anatomy: Anatomy, outline: Outline, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Attenuation of one healthy breast, chest wall on the left.

    Parameters
    ----------
    anatomy
        The breast.
    outline
        Its border in this view.
    rng
        Source of the texture.

    Returns
    -------
    Attenuation (0 in air, near 1 in the densest tissue) and relative thickness (0 in air, 1 where the breast touches
    both plates), both of shape (rows, columns).
    """
    rows, columns = len(outline.edge), outline.columns
    scale = rows / FRAME_MM
    x = np.arange(columns, dtype=np.float32)[None, :]
    y = np.arange(rows, dtype=np.float32)[:, None]
    inside = x < outline.edge[:, None]
    skin_distance = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 3) / np.float32(scale)
    thickness = 1 - np.clip(1 - skin_distance / np.float32(anatomy.roll), 0, 1) ** 2
    cv2.sqrt(thickness, dst=thickness)

    field = power_law_field((rows, columns), anatomy.beta, rng, outer=anatomy.outer)
    tissue = _gland(anatomy, outline, field, rng)
    tissue += _cords(anatomy, (rows, columns), rng)
    tissue += np.float32(0.03) * field

    muscle = outline.muscle[:, None]
    if muscle.any():
        # The muscle's border is soft over about 2 mm; where it lies, it hides what is below.
        share = np.clip((muscle - x) / np.float32(2 * scale) + np.float32(0.5), 0, 1) * (muscle > 0)
        tissue += share * (np.float32(anatomy.muscle) + np.float32(0.02) * field - tissue)
    if anatomy.implant:
        centre, radius = _IMPLANT_CENTRE * outline.depth, _IMPLANT_RADIUS * outline.depth
        r2 = ((x - centre) / radius) ** 2 + ((y - outline.nipple) / (1.25 * radius)) ** 2
        share = np.clip((1 - r2) * np.float32(6), 0, 1)
        tissue += share * (np.float32(0.97) - tissue)
    tissue *= thickness
    # Skin is about 1.5 mm thick and seen edge-on at the border.
    tissue += np.float32(0.16) * np.exp(-(((skin_distance - np.float32(1.0)) / np.float32(0.9)) ** 2))
    tissue *= inside
    return tissue, thickness


def _gland(
    anatomy: Anatomy, outline: Outline, field: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Fat and glandular tissue: the field decides where gland lies, the distance from the nipple how likely."""
    rows, columns = field.shape
    centre = outline.depth * rng.uniform(0.5, 0.62)
    x = ((np.arange(columns, dtype=np.float32) - centre) / (0.46 * outline.depth)) ** 2
    y = ((np.arange(rows, dtype=np.float32) - outline.nipple + 0.08 * rows) / (0.62 * outline.half_height)) ** 2
    prior = np.exp(-y, dtype=np.float32)[:, None] * np.exp(-x, dtype=np.float32)[None, :]
    logit = np.float32(1.4) * field
    logit += np.float32(5.0) * prior
    logit += np.float32(2.2 * anatomy.density - 2.4)
    gland = np.exp(-logit, out=logit)
    gland += 1
    np.reciprocal(gland, out=gland)
    gland *= np.float32(0.27)
    gland += np.float32(anatomy.fat)
    return np.asarray(gland, dtype=np.float32)


def _cords(anatomy: Anatomy, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Strands of connective tissue: thin lines where a smooth field crosses zero, drawn at half resolution."""
    half = ((shape[0] + 1) // 2, (shape[1] + 1) // 2)
    field = power_law_field(half, 3.6, rng, outer=0.12)
    strands = np.exp(-((field / np.float32(0.13)) ** 2))
    strands *= np.float32(anatomy.cords)
    return np.asarray(cv2.resize(strands, shape[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.float32)
