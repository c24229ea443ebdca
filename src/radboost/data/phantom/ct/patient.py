"""Who is in a phantom head CT cohort: patients, their series, scanners and bleeds, before any pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radboost.data.phantom.ct.bleed import KINDS, Bleed, draw_bleed
from radboost.data.phantom.ranges import check_ranges, share

__all__ = ["FIELD_MM", "Anatomy", "HeadPatient", "HeadPhantom", "HeadSeries", "Scanner", "draw_head_patient"]

FIELD_MM = 230.0
"""Side of the square field of view, before a series' own zoom."""
LOWEST, HIGHEST = -55.0, 70.0
"""Height of the first and last slice above the middle of the head, mm."""
VENTRICLES = (5.0, 34.0)
"""Middle of the ventricles above the middle of the head, and half their height, mm."""
_ROOMY = (-52.0, 67.0)
_SECOND_KIND, _SECOND_SERIES = 0.4, 0.15
_MOST_SERIES, _MOST_SLICES = 2, 128  # numbers set aside for a patient and a series
# As in the breast phantom: powers of the inverse plastic number spread prevalence and kinds evenly over any run.
_STEP_BLEED, _STEP_KIND = 0.7548776662466927, 0.5698402909980532


@dataclass(frozen=True)
class HeadPhantom:
    """What a phantom head CT cohort is.

    Attributes
    ----------
    patients
        Number of patients.
    seed
        Seed of everything. Patient `i` of a seed is the same in every cohort size.
    pixels
        Rows and columns of a slice; 512 as the real ones.
    prevalence
        Share of patients with any bleed, 0 to 1.
    signed
        Share of patients whose scanner stores 16-bit signed pixels, 0 to 1; the others' are 12-bit unsigned.
    slices
        Least and most slices of a series.
    repeated
        Images whose rows stand in the table twice.
    bad
        Images whose pixels are cut short.
    first_patient
        Index of the first patient: cohorts of one seed over disjoint index ranges share no patient.
    test
        Write the sample submission and the test images, without labels.
    pale
        Share of a bleed's slices that show it pale, since it takes little of their thickness, 0 to 1: those are hard to
        tell without their neighbours, as they often are in life, and are labelled like the others.

    Raises
    ------
    UserError
        When a field lies outside its range.
    """

    patients: int = 20
    seed: int = 0
    pixels: int = 128
    prevalence: float = 0.5
    signed: float = 0.4
    slices: tuple[int, int] = (20, 40)
    repeated: int = 2
    bad: int = 1
    first_patient: int = 0
    test: bool = False
    pale: float = 0.3

    def __post_init__(self) -> None:
        checks = {
            "patients": (self.patients >= 1, "Ask for at least one patient."),
            "pixels": (32 <= self.pixels <= 1024, "Give between 32 and 1024 rows."),
            "prevalence": share(self.prevalence, "patients with a bleed"),
            "signed": share(self.signed, "patients"),
            "slices": (20 <= self.slices[0] <= self.slices[1] <= 80, "Give least and most slices between 20 and 80."),
            "repeated": (0 <= self.repeated <= 20, "Repeat at most 20 images."),
            "bad": (0 <= self.bad <= 10, "Ask for at most 10 bad images."),
            "pale": share(self.pale, "a bleed's slices"),
        }
        check_ranges(self, checks)


@dataclass(frozen=True)
class Scanner:
    """How a series is stored: signed 16-bit with intercept 0, or unsigned 12-bit with -1024; and its noise in HU."""

    signed: bool
    transfer_syntax: str
    windows: tuple[tuple[float, float], ...]
    noise: float


@dataclass(frozen=True)
class Anatomy:
    """What the series of one patient share; lengths in mm, densities in HU, ``seed`` of the textures."""

    radii: tuple[float, float, float]
    skull: float
    bone: float
    brain: float
    ventricle: float
    seed: int


@dataclass(frozen=True)
class HeadSeries:
    """One series to render.

    ``names`` are the images' ids along the normal from below, ``spacing`` the distance of slices and ``tilt`` that of
    the gantry in radians; ``zoom`` scales the field of view, ``shift`` moves the head in it, mm.
    """

    study: str
    series: str
    names: tuple[str, ...]
    spacing: float
    tilt: float
    zoom: float
    shift: tuple[float, float]
    bleeds: tuple[Bleed, ...]
    seed: int

    def heights(self) -> np.ndarray:
        """Height of each slice above the middle of the head, mm."""
        return LOWEST + self.spacing * np.arange(len(self.names))

    def labels(self, rank: int) -> dict[str, int]:
        """1 for each kind of bleed that a slice shows, and for any of them under ``any``."""
        shown = {b.kind for b in self.bleeds if b.taper(rank) > 0}
        return {kind: int(kind in shown) for kind in KINDS} | {"any": int(bool(shown))}


@dataclass(frozen=True)
class HeadPatient:
    """One patient with one or two series, each a study of its own."""

    name: str
    scanner: Scanner
    anatomy: Anatomy
    series: tuple[HeadSeries, ...]


def draw_head_patient(phantom: HeadPhantom, index: int) -> HeadPatient:
    """Draw one patient, the same whatever was drawn before.

    Parameters
    ----------
    phantom
        The cohort.
    index
        Number of the patient in the cohort, from 0.

    >>> draw_head_patient(HeadPhantom(patients=9), 3) == draw_head_patient(HeadPhantom(patients=4), 3)
    True
    """
    number = phantom.first_patient + index
    rng = np.random.default_rng(np.random.SeedSequence((phantom.seed, number)))
    start = np.random.default_rng(np.random.SeedSequence(phantom.seed)).uniform(size=2)
    signed = bool(rng.uniform() < phantom.signed)
    syntax = str(rng.choice(["ExplicitVRLittleEndian", "ImplicitVRLittleEndian"]))
    windows = ((40.0, 80.0),) if signed else ((36.0, 80.0), (36.0, 80.0))
    scanner = Scanner(signed, syntax, windows, float(rng.uniform(2.5, 5)))
    size = rng.normal(1, 0.05)
    anatomy = Anatomy(
        radii=(float(70 * size), float(88 * size), float(98 * size)),
        skull=float(rng.uniform(5, 8)),
        bone=float(rng.uniform(900, 1300)),
        brain=float(rng.normal(34, 1.5)),
        ventricle=float(rng.uniform(0.7, 1.4)),
        seed=int(rng.integers(2**63)),
    )
    kinds: list[str] = []
    if (start[0] + number * _STEP_BLEED) % 1 < phantom.prevalence:
        kinds = [KINDS[int((start[1] + number * _STEP_KIND) % 1 * len(KINDS))]]
        if rng.uniform() < _SECOND_KIND:
            kinds.append(str(rng.choice([k for k in KINDS if k not in kinds])))
    count = 1 + int(rng.uniform() < _SECOND_SERIES)
    series = tuple(_draw_series(phantom, number * _MOST_SERIES + each, kinds, rng) for each in range(count))
    return HeadPatient(_name(0, phantom.seed, number), scanner, anatomy, series)


def _draw_series(phantom: HeadPhantom, number: int, kinds: list[str], rng: np.random.Generator) -> HeadSeries:
    slices = int(rng.integers(phantom.slices[0], phantom.slices[1] + 1))
    spacing = (HIGHEST - LOWEST) / (slices - 1)
    middle, half = VENTRICLES
    ranges = {kind: _ROOMY for kind in kinds} | {"intraventricular": (middle - half + 4, middle + half - 4)}
    names = tuple(_name(3, phantom.seed, number * _MOST_SLICES + rank) for rank in range(slices))
    return HeadSeries(
        study=_name(1, phantom.seed, number),
        series=_name(2, phantom.seed, number),
        names=names,
        spacing=spacing,
        tilt=float(rng.uniform(0.05, 0.35)) if rng.uniform() < 0.5 else 0.0,
        zoom=float(rng.uniform(0.95, 1.1)),
        shift=(float(rng.normal(0, 4)), float(rng.normal(0, 4))),
        bleeds=tuple(draw_bleed(kind, _ranks(ranges[kind], spacing), spacing, phantom.pale, rng) for kind in kinds),
        seed=int(rng.integers(2**63)),
    )


def _ranks(heights: tuple[float, float], spacing: float) -> range:
    low, high = ((h - LOWEST) / spacing for h in heights)
    return range(int(np.ceil(low)), int(np.floor(high)) + 1)


def _name(kind: int, seed: int, number: int) -> str:
    """Name in the competition's form, ``ID_`` and nine hexadecimal digits; distinct within a kind and seed."""
    # Odd factors and shifted sums can be undone, so that no two numbers below 2^36 get one name.
    value = number + (kind << 34)
    for factor in (0x9E3779B97 | 1, 0x85EBCA6B5 | 1):
        value = (value * factor + seed) % (1 << 36)
        value ^= value >> 18
    return f"ID_{value:09x}"
