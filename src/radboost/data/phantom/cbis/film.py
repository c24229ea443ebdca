"""One film as an array: the breast of the screening phantom with outlined findings, as a scanner digitised it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from radboost.data.phantom.breast.anatomy import background, outline_of
from radboost.data.phantom.breast.finding import position, specks
from radboost.data.phantom.breast.machine import FRAME_MM, Machine, expose
from radboost.data.phantom.cbis.patient import Abnormality, FilmPatient, View

__all__ = ["Film", "render_film", "shrink"]

_SCANNER = Machine(0, "MONOCHROME2", 16, "JPEG2000Lossless", "LINEAR", 1.0, 1.0, 0.010, 0.12)
Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Film:
    """One film with its findings.

    Attributes
    ----------
    pixels
        Stored values, uint16, (rows, columns).
    masks
        Region of each of the patient's findings, bool, the same shape.
    """

    pixels: NDArray[np.uint16]
    masks: tuple[NDArray[np.bool_], ...]


def render_film(patient: FilmPatient, view: View, pixels: int = 1024) -> Film:
    """Render one film of one patient; left breasts point right and right breasts left.

    Parameters
    ----------
    patient, view
        The patient, and one of her views.
    pixels
        Rows of the film; columns are 0.8 of it.
    """
    rng = np.random.default_rng(view.seed)
    oblique = view.view == "MLO"
    outline = outline_of(patient.anatomy, pixels, oblique=oblique, rng=rng)
    tissue, thickness = background(patient.anatomy, outline, rng)
    masks = []
    for finding in patient.findings:
        x, y = position(outline, finding.place, oblique=oblique)
        form, region = _form(finding, pixels / FRAME_MM)
        mask = np.zeros(tissue.shape, bool)
        cut = _overlap(tissue.shape, form.shape, (x, y))
        if cut is not None:
            here, there = cut
            tissue[here] += form[there] * thickness[here] * np.float32(finding.contrast)
            mask[here] = region[there]
        # An outline was drawn by hand on the film: never outside the breast, and never nothing.
        mask &= thickness > 0
        mask[y, x] = True
        masks.append(mask)
    if patient.side == "RIGHT":
        tissue = np.ascontiguousarray(tissue[:, ::-1])
        masks = [np.ascontiguousarray(mask[:, ::-1]) for mask in masks]
    return Film(expose(tissue, _SCANNER, view.exposure, rng), tuple(masks))


def _overlap(
    frame: tuple[int, ...], patch: tuple[int, ...], centre: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """Where a patch with its middle on (x, y) lies in the frame, and which part of it does."""
    slices = []
    for size, own, middle in zip(frame, patch, (centre[1], centre[0]), strict=True):
        start = middle - own // 2
        low, high = max(0, start), min(size, start + own)
        if low >= high:
            return None
        slices.append((slice(low, high), slice(low - start, high - start)))
    (a, b), (c, d) = slices
    return (a, c), (b, d)


def _form(finding: Abnormality, scale: float) -> tuple[Array, NDArray[np.bool_]]:
    """What a finding adds, with mean 0 and deviation 1 over its region, and the region.

    Neither the mean nor the deviation of a region tells a class from the other, since both are the same.
    """
    rng = np.random.default_rng(finding.seed)
    radius = finding.radius_mm * scale
    half = int(np.ceil(1.3 * radius))
    axis = np.arange(-half, half + 1, dtype=np.float32)
    x, y = axis[None, :] / np.float32(radius), axis[:, None] / np.float32(radius)
    distance, angle = np.hypot(x, y), np.arctan2(y, x)
    region = distance <= _wavy(angle, 0.08, rng)
    draw = _mass if finding.kind == "mass" else _calcification
    form = draw(finding, (distance, angle), radius, rng)
    soft = np.clip((1.15 - distance) / 0.3, 0, 1)
    form = (form - form[region].mean()) * soft
    form -= form[region].mean() * (soft * region.sum() / max(soft[region].sum(), 1e-6))
    return np.asarray(form / max(float(form[region].std()), 1e-6), dtype=np.float32), region


def _wavy(angle: Array, waves: float, rng: np.random.Generator) -> Array:
    """A border around 1, drawn as a few waves."""
    border = np.ones_like(angle)
    for k in range(2, 7):
        border += np.float32(waves * rng.normal() / (k - 1)) * np.cos(k * angle + np.float32(rng.uniform(0, 6.3)))
    return np.clip(border, 0.4, 1.6)


def _mass(finding: Abnormality, polar: tuple[Array, Array], radius: float, rng: np.random.Generator) -> Array:
    """Smooth and nearly round, or a small irregular body with rays."""
    distance, angle = polar
    if not finding.malignant:
        inside = distance / (np.float32(rng.uniform(0.5, 0.7)) * _wavy(angle, 0.05, rng))
        return np.asarray(np.sqrt(np.clip(1 - inside**2, 0, 1)), dtype=np.float32)
    core = rng.uniform(0.3, 0.45)
    form = np.exp(-((distance / (core * _wavy(angle, 0.22, rng))) ** 2.4))
    width = max(0.5 / radius, 0.035)
    for direction in np.linspace(0, 2 * np.pi, int(rng.integers(11, 19)), endpoint=False):
        turned = angle - np.float32(direction + rng.normal(0, 0.12))
        forward, aside = distance * np.cos(turned), distance * np.sin(turned)
        taper = np.clip(1 - forward / np.float32(rng.uniform(0.7, 1.1)), 0, 1) * (forward > 0)
        form = np.maximum(form, 0.9 * taper * np.exp(-((aside / np.float32(width)) ** 2)))
    return np.asarray(form, dtype=np.float32)


def _calcification(finding: Abnormality, polar: tuple[Array, Array], radius: float, rng: np.random.Generator) -> Array:
    """A few large round ones apart from each other, or many small ones of uneven brightness along a duct."""
    size = polar[0].shape[0]
    if finding.malignant:
        count = int(rng.integers(16, 30))
        turn, wide = rng.uniform(0, np.pi), rng.uniform(0.15, 0.4)
        spots = np.clip(rng.normal(size=(count, 2)), -1.8, 1.8) * (0.45, 0.45 * wide)
        spots = spots @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        sigmas, weights = rng.uniform(0.25, 0.45, count), rng.uniform(0.4, 1.5, count)
    else:
        count = int(rng.integers(3, 7))
        spots = rng.uniform(-0.55, 0.55, (count, 2))
        sigmas, weights = rng.uniform(0.9, 1.5, count), rng.uniform(0.8, 1.1, count)
    patch = specks(spots * radius, sigmas, weights, radius / finding.radius_mm)
    form = np.zeros((size, size), np.float32)
    cut = _overlap(form.shape, patch.shape, (size // 2, size // 2))
    if cut is not None:
        form[cut[0]] = patch[cut[1]]
    return form


def shrink(mask: NDArray[np.bool_], factor: float) -> NDArray[np.bool_]:
    """Give a mask another size, as some of the real ones have."""
    rows, columns = (max(1, round(n * factor)) for n in mask.shape)
    return np.asarray(cv2.resize(mask.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_AREA) > 0)
