"""Who is in a phantom lumbar cohort: studies, their spines, grades and series, before any pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radboost.data.phantom.lumbar.planes import Plane, axial_planes, sagittal_planes
from radboost.data.phantom.ranges import check_ranges, share

__all__ = [
    "CONDITIONS",
    "KINDS",
    "LEVELS",
    "LumbarPhantom",
    "Spine",
    "SpineSeries",
    "SpineStudy",
    "draw_spine_study",
]

LEVELS = ("l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1")
CONDITIONS = {
    "spinal_canal_stenosis": "t2",
    "left_neural_foraminal_narrowing": "t1",
    "right_neural_foraminal_narrowing": "t1",
    "left_subarticular_stenosis": "axial",
    "right_subarticular_stenosis": "axial",
}
"""Each condition, and the kind of series in which it is marked."""
KINDS = {"t1": "Sagittal T1", "t2": "Sagittal T2/STIR", "axial": "Axial T2"}

_CUTS = (0.45, 1.2)  # of the latent severity: moderate from the first on, severe from the second
_LEVEL_EFFECT = (-0.15, -0.1, 0.0, 0.15, 0.1)
_BODY_MM, _DISC_MM = 27.0, 10.5


@dataclass(frozen=True)
class LumbarPhantom:
    """What a phantom lumbar cohort is.

    Attributes
    ----------
    studies
        Number of studies, each of one patient.
    seed
        Seed of everything. Study `i` of a seed is the same in every cohort size.
    pixels
        Rows and columns of a slice; the real ones have about 320 to 640.
    severity
        Added to every latent severity, -2 to 2: how ill the cohort is. About 0.7 is a standard deviation.
    unlabelled
        Share of grades that nobody gave, 0 to 1.
    lacking
        Share of studies that lack one kind of series, 0 to 1.
    twice
        Share of studies with two axial series, the lower levels apart, or two sagittal T2 ones; 0 to 1.
    thick
        Share of studies from a site with thicker and noisier slices, 0 to 1.
    first_study
        Index of the first study: cohorts of one seed over disjoint index ranges share none.
    test
        Write the tables and images of new exams: neither grades nor coordinates.

    Raises
    ------
    UserError
        When a field lies outside its range.
    """

    studies: int = 20
    seed: int = 0
    pixels: int = 96
    severity: float = 0.0
    unlabelled: float = 0.05
    lacking: float = 0.1
    twice: float = 0.2
    thick: float = 0.3
    first_study: int = 0
    test: bool = False

    def __post_init__(self) -> None:
        checks = {
            "studies": (self.studies >= 1, "Ask for at least one study."),
            "pixels": (48 <= self.pixels <= 1024, "Give between 48 and 1024 rows."),
            "severity": (-2 <= self.severity <= 2, "Give a shift from -2 to 2."),
            "unlabelled": share(self.unlabelled, "grades"),
            "lacking": share(self.lacking, "studies"),
            "twice": share(self.twice, "studies"),
            "thick": share(self.thick, "studies"),
        }
        check_ranges(self, checks)


@dataclass(frozen=True)
class Spine:
    """The anatomy of one patient, in mm: x to the left, y to the back, z to the head.

    ``centre`` is the middle of disc L3/L4, ``bend`` how much the spine's ends lie behind its middle, ``lean`` its
    slope to the side, ``half`` the half width and depth of a vertebra, ``canal`` the half width and depth of the
    canal. ``discs`` holds (height above the centre, thickness, water content, tilt) from L1/L2 down; ``narrowed`` the
    share of room that each condition takes at each level; ``seed`` that of marrow and flow.
    """

    centre: tuple[float, float, float]
    bend: float
    lean: float
    half: tuple[float, float]
    canal: tuple[float, float]
    discs: tuple[tuple[float, float, float, float], ...]
    narrowed: dict[tuple[str, str], float]
    size: float
    seed: int

    def axis(self, z: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give x and y of the vertebrae's middle at heights z."""
        away = np.asarray(z, np.float64) - self.centre[2]
        return self.centre[0] + self.lean * away, self.centre[1] + self.bend * (away / 75) ** 2

    def level(self, number: int) -> tuple[float, float, float]:
        """Middle of a disc."""
        z = self.centre[2] + self.discs[number][0]
        x, y = self.axis(np.array(z))
        return float(x), float(y), z

    def point(self, condition: str, number: int) -> tuple[float, float, float]:
        """Where a condition is marked at a level."""
        x, y, z = self.level(number)
        side = {"left": 1, "right": -1}.get(condition.split("_")[0], 0)
        depth, width = self.half[1], self.canal[0]
        if "foraminal" in condition:
            return x + side * (width + 8 * self.size), y + depth + 4 * self.size, z + 3 * self.size
        if "subarticular" in condition:
            return x + side * 0.85 * width, y + depth + 3.5 * self.size, z
        return x, y + depth + self.canal[1], z


@dataclass(frozen=True)
class SpineSeries:
    """One series: its name, kind, planes in the order of their Instance Numbers, brightness, noise and seed."""

    name: str
    kind: str
    planes: tuple[Plane, ...]
    gain: float
    noise: float
    seed: int


@dataclass(frozen=True)
class SpineStudy:
    """One study; ``grades`` by condition and level, 0 to 2, ``unlabelled`` those nobody gave, ``thickness`` in mm."""

    name: str
    spine: Spine
    grades: dict[tuple[str, str], int]
    unlabelled: frozenset[tuple[str, str]]
    series: tuple[SpineSeries, ...]
    thickness: float


def draw_spine_study(phantom: LumbarPhantom, index: int) -> SpineStudy:
    """Draw one study, the same whatever was drawn before.

    Parameters
    ----------
    phantom
        The cohort.
    index
        Number of the study in the cohort, from 0.

    >>> draw_spine_study(LumbarPhantom(studies=9), 3) == draw_spine_study(LumbarPhantom(studies=4), 3)
    True
    """
    number = phantom.first_study + index
    rng = np.random.default_rng(np.random.SeedSequence((phantom.seed, number)))
    illness = rng.normal(phantom.severity, 0.6)
    grades, narrowed = {}, {}
    for condition in CONDITIONS:
        for place, level in enumerate(LEVELS):
            latent = illness + _LEVEL_EFFECT[place] + rng.normal(0, 0.9)
            grade = int(np.searchsorted(_CUTS, latent, side="right"))
            grades[condition, level] = grade
            narrowed[condition, level] = float(np.clip((0.22, 0.4, 0.58)[grade] + rng.normal(0, 0.14), 0, 0.85))
    spine = _draw_spine(rng, narrowed)
    thick = bool(rng.uniform() < phantom.thick)
    unlabelled = frozenset(key for key in grades if rng.uniform() < phantom.unlabelled)
    return SpineStudy(
        str(1_000_000 + (number * 7_368_787 + phantom.seed * 104_729) % 899_999_981),
        spine,
        grades,
        unlabelled,
        tuple(_draw_series(phantom, spine, rng, 1.4 if thick else 1.0)),
        5.0 if thick else 4.0,
    )


def _draw_spine(rng: np.random.Generator, narrowed: dict[tuple[str, str], float]) -> Spine:
    size = float(np.clip(rng.normal(1, 0.07), 0.82, 1.2))
    thick = [float(_DISC_MM * size * f * rng.uniform(0.85, 1.1)) for f in (0.85, 0.92, 1.0, 1.05, 0.95)]
    bend = float(rng.uniform(8, 22))
    bodies = [float(_BODY_MM * size * rng.uniform(0.96, 1.04)) for _ in range(4)]
    heights = [0.0] * 5
    for place in (1, 0):
        heights[place] = heights[place + 1] + bodies[place] + (thick[place] + thick[place + 1]) / 2
    for place in (3, 4):
        heights[place] = heights[place - 1] - bodies[place - 1] - (thick[place] + thick[place - 1]) / 2
    discs = []
    for z, thickness in zip(heights, thick, strict=True):
        # A disc stands square to the spine's axis.
        tilt = float(-2 * bend * z / 75**2 + rng.normal(0, 0.03))
        discs.append((z, thickness, float(rng.uniform(0.35, 1)), tilt))
    return Spine(
        centre=(float(rng.normal(0, 4)), float(rng.normal(-5, 8)), float(rng.normal(0, 12))),
        bend=bend,
        lean=float(rng.normal(0, 0.03)),
        half=(22 * size, 16.5 * size),
        canal=(10.5 * size, 8 * size * float(rng.uniform(0.8, 1.2))),
        discs=tuple(discs),
        narrowed=narrowed,
        size=size,
        seed=int(rng.integers(2**62)),
    )


def _draw_series(phantom: LumbarPhantom, spine: Spine, rng: np.random.Generator, noisy: float) -> list[SpineSeries]:
    wanted = ["t1", "t2", "axial"]
    kinds = wanted.copy()
    if rng.uniform() < phantom.lacking:
        kinds.remove(str(rng.choice(wanted)))
    again = str(rng.choice(["t2", "axial"])) if rng.uniform() < phantom.twice else ""
    series = []
    for kind in kinds:
        if kind == "axial":
            parts = [range(3), range(3, 5)] if again == "axial" else [range(5)]
            stacks = [axial_planes([(spine.level(n), spine.discs[n][3]) for n in part], rng) for part in parts]
        else:
            # A second one is shifted by part of a slice.
            stacks = [sagittal_planes(spine.centre[0], rng) for _ in range(2 if again == kind else 1)]
        for planes in stacks:
            name = str(int(rng.integers(10**8, 4 * 10**9)))
            drawn = (float(rng.uniform(0.6, 1.4)), noisy * float(rng.uniform(0.03, 0.06)), int(rng.integers(2**62)))
            series.append(SpineSeries(name, kind, tuple(planes), *drawn))
    return series
