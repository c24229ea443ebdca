"""Mammography machines and sites: from tissue to stored values, each machine with a look of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["FRAME_MM", "MACHINES", "SITES", "Machine", "Site", "display", "expose", "windows_of"]

FRAME_MM = 290.0  # long side of the field of view


@dataclass(frozen=True)
class Machine:
    """How one machine turns tissue into stored values.

    Attributes
    ----------
    machine_id
        Number in the table.
    photometric
        MONOCHROME1 stores bright tissue as low values.
    bits
        Bits stored.
    transfer_syntax
        Name that ``data.dicom.write`` knows.
    voi_function
        VOI LUT function of the window.
    gamma
        Exponent of the tissue curve: below 1 lifts the dark parts.
    gain
        Factor on tissue before the curve.
    noise
        Standard deviation of the quantum noise at 1024 pixels, as a share of the tissue range.
    blur_mm
        Standard deviation of the detector's point spread, in millimetres.
    windows
        How many windows the header lists; the first is the one to display.
    """

    machine_id: int
    photometric: Literal["MONOCHROME1", "MONOCHROME2"]
    bits: Literal[12, 16]
    transfer_syntax: Literal["JPEG2000Lossless", "JPEGLosslessSV1"]
    voi_function: Literal["LINEAR", "SIGMOID"]
    gamma: float
    gain: float
    noise: float
    blur_mm: float
    windows: int = 1


@dataclass(frozen=True)
class Site:
    """One screening site.

    Attributes
    ----------
    site_id
        Number in the table.
    machines
        Machine numbers and the share of patients each sees.
    age
        Mean age of the women without cancer, in years.
    risk
        Shift of the cancer rate: the rate is ``r + risk * r * (1 - r)`` before the mix is evened out.
    reads_density
        Whether the site fills in density and BI-RADS.
    """

    site_id: int
    machines: tuple[tuple[int, float], ...]
    age: float
    risk: float
    reads_density: bool


MACHINES = {
    m.machine_id: m
    for m in (
        Machine(21, "MONOCHROME2", 12, "JPEG2000Lossless", "LINEAR", 1.0, 1.00, 0.008, 0.10),
        Machine(49, "MONOCHROME2", 12, "JPEGLosslessSV1", "SIGMOID", 0.9, 0.95, 0.006, 0.14, windows=3),
        Machine(93, "MONOCHROME1", 16, "JPEG2000Lossless", "LINEAR", 1.1, 1.05, 0.011, 0.08),
        Machine(29, "MONOCHROME1", 16, "JPEG2000Lossless", "SIGMOID", 0.85, 0.97, 0.009, 0.12),
        Machine(48, "MONOCHROME1", 16, "JPEGLosslessSV1", "LINEAR", 1.0, 1.02, 0.007, 0.16, windows=2),
        Machine(170, "MONOCHROME2", 12, "JPEGLosslessSV1", "LINEAR", 1.05, 0.93, 0.013, 0.10),
    )
}
SITES = {
    s.site_id: s
    for s in (
        Site(1, ((49, 0.6), (21, 0.3), (93, 0.1)), age=57.5, risk=-0.15, reads_density=True),
        Site(2, ((48, 0.55), (29, 0.45)), age=59.0, risk=0.15, reads_density=False),
        Site(3, ((170, 0.7), (21, 0.3)), age=60.5, risk=0.35, reads_density=True),
    )
}


def expose(
    tissue: NDArray[np.float32], machine: Machine, exposure: float, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Store tissue as one machine would.

    Parameters
    ----------
    tissue
        Attenuation, 0 in air and near 1 in the densest tissue, shape (rows, columns). Overwritten.
    machine
        The machine.
    exposure
        Factor of this one exposure, near 1.
    rng
        Source of the noise.

    Returns
    -------
    Stored values, shape (rows, columns), within the machine's bits.
    """
    pixels = max(tissue.shape)
    blur = machine.blur_mm * pixels / FRAME_MM
    if blur > 0.2:
        cv2.GaussianBlur(tissue, (0, 0), blur, dst=tissue)
    # Air is exactly 0 after the detector's cut-off, as vendors' processing leaves it.
    air = tissue < 0.02
    # Larger pixels gather more quanta.
    noise = rng.standard_normal(tissue.shape, dtype=np.float32)
    noise *= np.float32(machine.noise * min(1.0, pixels / 1024))
    tissue += noise
    tissue *= np.float32(machine.gain * exposure)
    np.clip(tissue, 0, 1.25, out=tissue)
    if machine.gamma != 1.0:
        cv2.pow(tissue, machine.gamma, dst=tissue)
    tissue[air] = 0
    top = _white(machine)
    tissue *= np.float32(top)
    stored = np.rint(np.minimum(tissue, np.float32(2**machine.bits - 1))).astype(np.uint16)
    if machine.photometric == "MONOCHROME1":
        np.subtract(np.uint16(2**machine.bits - 1), stored, out=stored)
    return stored


def _white(machine: Machine) -> float:
    """Stored value of tissue 1, before inversion: the headroom above it is left to implants and markers."""
    return 3000.0 if machine.bits == 12 else 24000.0


def windows_of(machine: Machine) -> tuple[tuple[float, float], ...]:
    """Window centres and widths for the header, in stored values; the first is meant for display."""
    white = _white(machine)
    middle, width = 0.5 * white, 1.05 * white
    if machine.voi_function == "SIGMOID":
        width *= 0.6
    values = [(middle, width), (middle * 1.15, width * 0.8), (middle * 0.9, width * 1.3)][: machine.windows]
    if machine.photometric == "MONOCHROME1":
        values = [(2**machine.bits - 1 - centre, wide) for centre, wide in values]
    return tuple((float(round(centre)), float(round(wide))) for centre, wide in values)


def display(stored: NDArray[np.uint16], machine: Machine) -> NDArray[np.float32]:
    """What a viewer shows: first window, then inversion of MONOCHROME1 (PS3.3 C.11.2.1.2 and C.7.6.3.1.2).

    Parameters
    ----------
    stored
        Stored values.
    machine
        The machine that stored them.

    Returns
    -------
    Brightness from 0 (black) to 1 (white), the shape of ``stored``.
    """
    centre, width = windows_of(machine)[0]
    levels = np.arange(2**machine.bits, dtype=np.float32)
    if machine.voi_function == "SIGMOID":
        table = 1 / (1 + np.exp(-4 * (levels - centre) / width))
    else:
        table = np.clip((levels - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    if machine.photometric == "MONOCHROME1":
        table = 1 - table
    return np.asarray(table, dtype=np.float32)[stored]
