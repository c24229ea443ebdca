"""Who is in a phantom of outlined findings: patients, films, abnormalities and their tables, before any pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from radboost.data.phantom.breast.anatomy import Anatomy, draw_anatomy
from radboost.data.phantom.ranges import check_ranges, is_mix, share

__all__ = ["Abnormality", "CbisPhantom", "FilmPatient", "Kind", "View", "draw_film_patient"]

Kind = Literal["mass", "calcification"]
_MIX: Mapping[str, float] = {"1": 0.18, "2": 0.4, "3": 0.28, "4": 0.14}
_LETTERS = dict(zip("1234", "ABCD", strict=True))
_BOTH = 0.08  # share of patients in the tables of masses and in those of calcifications
_MALIGNANT_STEP = 0.7548776662466927  # low discrepancy: any run of patients has nearly half of each class


@dataclass(frozen=True)
class CbisPhantom:
    """What a phantom cohort of outlined findings is.

    Attributes
    ----------
    patients
        Number of patients; each has masses, calcifications or both, in one breast.
    seed
        Seed of everything. Patient `i` of a seed is the same in every cohort that has the other fields in common.
    pixels
        Rows of a film; columns are 0.8 of it.
    density_mix
        Density 1 to 4 to share of patients, scaled to sum 1: another mix is another population.
    malignant
        Share of patients whose findings are cancer.
    test
        Share of a table's patients in its test set.
    swapped
        Share of abnormalities whose mask comes first in its folder, and whose mask and crop the table mixes up.
    resized
        Share of masks of another size than their film.
    first_patient
        Index of the first patient: cohorts of one seed over disjoint index ranges share no patient.

    Raises
    ------
    UserError
        When a field lies outside its range.
    """

    patients: int = 40
    seed: int = 0
    pixels: int = 1024
    density_mix: Mapping[str, float] = field(default_factory=lambda: dict(_MIX))
    malignant: float = 0.5
    test: float = 0.2
    swapped: float = 0.3
    resized: float = 0.15
    first_patient: int = 0

    def __post_init__(self) -> None:
        advice = "Give shares of at least 0, not all 0, for densities among 1 to 4."
        checks = {
            "patients": (self.patients >= 1, "Ask for at least one patient."),
            "pixels": (128 <= self.pixels <= 8192, "Give between 128 and 8192 rows."),
            "density_mix": (is_mix(self.density_mix, _LETTERS), advice),
            "malignant": share(self.malignant, "patients with cancer"),
            "test": share(self.test, "patients in the test set"),
            "swapped": share(self.swapped, "abnormalities"),
            "resized": share(self.resized, "masks"),
        }
        check_ranges(self, checks)


@dataclass(frozen=True)
class Abnormality:
    """One finding, at one place of the breast in both views.

    Attributes
    ----------
    kind, number
        Mass or calcification, and its number among those of its kind, from 1.
    malignant
        Whether it is cancer; `called_back` whether a benign one was looked at again.
    place
        Depth, height and outward position, as `radboost.data.phantom.breast.finding.Finding` has them.
    radius_mm
        Of the outlined region.
    contrast
        Standard deviation of the attenuation that it adds to the region.
    words
        Shape and margins, or type and distribution, as the table has them; assessment and subtlety.
    seed
        Of its form, so that both views show the same.
    """

    kind: Kind
    number: int
    malignant: bool
    called_back: bool
    place: tuple[float, float, float]
    radius_mm: float
    contrast: float
    words: tuple[str, str, int, int]
    seed: int

    @property
    def pathology(self) -> str:
        """As the table has it."""
        return "MALIGNANT" if self.malignant else "BENIGN" if self.called_back else "BENIGN_WITHOUT_CALLBACK"


@dataclass(frozen=True)
class View:
    """One film: its view, exposure, the seed of all else that is its own, and how its masks are stored."""

    view: str
    exposure: float
    seed: int
    swapped: tuple[bool, ...]
    resized: tuple[bool, ...]


@dataclass(frozen=True)
class FilmPatient:
    """One patient; ``tests`` says which kinds' tables have her in their test set."""

    name: str
    side: str
    density: str
    anatomy: Anatomy
    findings: tuple[Abnormality, ...]
    tests: Mapping[str, bool]
    views: tuple[View, ...]


def draw_film_patient(phantom: CbisPhantom, index: int) -> FilmPatient:
    """Draw one patient, the same whatever was drawn before.

    >>> draw_film_patient(CbisPhantom(patients=9), 3) == draw_film_patient(CbisPhantom(patients=4), 3)
    True
    """
    number = phantom.first_patient + index
    rng = np.random.default_rng(np.random.SeedSequence((phantom.seed, number)))
    start = np.random.default_rng(np.random.SeedSequence(phantom.seed)).uniform()
    malignant = bool((start + number * _MALIGNANT_STEP) % 1 < phantom.malignant)
    shares = np.array([phantom.density_mix.get(d, 0.0) for d in _LETTERS])
    density = str(rng.choice(list(_LETTERS), p=shares / shares.sum()))
    u = rng.uniform()
    kinds: tuple[Kind, ...] = ("mass", "calcification") if u < _BOTH else ("mass",) if u < 0.54 else ("calcification",)
    findings = tuple(f for kind in kinds for f in _findings(kind, malignant, rng))
    anatomy = draw_anatomy(_LETTERS[density], implant=False, rng=rng).of_side(rng)
    views = ("CC", "MLO") if rng.uniform() < 0.85 else (str(rng.choice(["CC", "MLO"])),)
    return FilmPatient(
        name=f"P_{number + 1:05d}",
        side=str(rng.choice(["LEFT", "RIGHT"])),
        density=density,
        anatomy=anatomy,
        findings=findings,
        # Each kind's tables were split apart on their own.
        tests={kind: bool(rng.uniform() < phantom.test) for kind in kinds},
        views=tuple(
            View(
                view=view,
                exposure=float(rng.normal(1, 0.04)),
                seed=int(rng.integers(2**63)),
                swapped=tuple(bool(x) for x in rng.uniform(size=len(findings)) < phantom.swapped),
                resized=tuple(bool(x) for x in rng.uniform(size=len(findings)) < phantom.resized),
            )
            for view in views
        ),
    )


def _findings(kind: Kind, malignant: bool, rng: np.random.Generator) -> list[Abnormality]:
    """One to three findings of a kind; most of a patient's are of one class."""
    made = []
    for number in range(1, 1 + int(rng.choice([1, 2, 3], p=(0.8, 0.16, 0.04)))):
        cancer = malignant if number == 1 or rng.uniform() < 0.85 else not malignant
        words = _words(kind, cancer, rng)
        made.append(
            Abnormality(
                kind=kind,
                number=number,
                malignant=cancer,
                called_back=bool(rng.uniform() < 0.65),
                place=(rng.uniform(0.25, 0.8), rng.uniform(-0.45, 0.6), rng.uniform(-0.5, 0.55)),
                # Neither size nor contrast tells: only the form does.
                radius_mm=rng.uniform(9, 15),
                contrast=rng.uniform(0.025, 0.08) if kind == "mass" else rng.uniform(0.02, 0.06),
                words=words,
                seed=int(rng.integers(2**31)),
            )
        )
    return made


_WORDS = {
    ("mass", True): (("IRREGULAR", "LOBULATED"), ("SPICULATED", "ILL_DEFINED")),
    ("mass", False): (("OVAL", "ROUND"), ("CIRCUMSCRIBED", "OBSCURED")),
    ("calcification", True): (("PLEOMORPHIC", "FINE_LINEAR_BRANCHING"), ("CLUSTERED", "SEGMENTAL")),
    ("calcification", False): (("COARSE", "LUCENT_CENTERED"), ("CLUSTERED", "N/A")),
}


def _words(kind: Kind, cancer: bool, rng: np.random.Generator) -> tuple[str, str, int, int]:
    first, second = _WORDS[kind, cancer]
    assessment = int(rng.choice([4, 5] if cancer else [2, 3, 4]))
    return str(rng.choice(first)), str(rng.choice(second)), assessment, int(rng.integers(1, 6))
