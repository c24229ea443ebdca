"""Who is in a phantom cohort: patients, their breasts, labels and views, before any pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from radboost.data.phantom.breast.anatomy import Anatomy, draw_anatomy
from radboost.data.phantom.breast.finding import Finding, draw_benign, draw_malignant
from radboost.data.phantom.breast.machine import MACHINES, SITES, Machine
from radboost.data.phantom.ranges import check_ranges, is_mix, share

__all__ = ["Breast", "BreastPhantom", "Patient", "View", "draw_patient"]

Side = Literal["L", "R"]
_DEFAULT_MIX: Mapping[int, float] = {1: 0.5, 2: 0.35, 3: 0.15}
_BILATERAL = 0.04  # share of women with cancer who have it in both breasts
_AGE_SHIFT = 3.0  # years by which women with cancer are older on average
_SLOTS = 8  # image numbers set aside for one patient
# Steps of a two-dimensional low-discrepancy sequence (powers of the inverse plastic number): any run of patients has
# nearly the requested prevalence and site mix, and patient i is the same in every cohort size.
_STEP_CANCER, _STEP_SITE = 0.7548776662466927, 0.5698402909980532


@dataclass(frozen=True)
class BreastPhantom:
    """What a phantom breast-screening cohort is.

    Attributes
    ----------
    patients
        Number of patients.
    seed
        Seed of everything. Patient `i` of a seed is the same whatever the other fields that do not concern her.
    pixels
        Rows of a frame (its long side); columns are 0.8 of it.
    prevalence
        Share of *breasts* (units, patient and laterality) with cancer, 0 to 1. At .15 about 29 % of patients have it.
    site_mix
        Site number to share of patients; the shares are scaled to sum 1. Another mix is another distribution: sites
        differ in machines, age and risk.
    first_patient
        Index of the first patient: cohorts of one seed over disjoint index ranges share no patient.
    test
        Write ``test.csv`` and ``test_images`` without label columns instead of ``train.csv`` and ``train_images``.

    Raises
    ------
    UserError
        When a field lies outside its range.
    """

    patients: int = 100
    seed: int = 0
    pixels: int = 1024
    prevalence: float = 0.15
    site_mix: Mapping[int, float] = field(default_factory=lambda: dict(_DEFAULT_MIX))
    first_patient: int = 0
    test: bool = False

    def __post_init__(self) -> None:
        advice = f"Give shares of at least 0, not all 0, for sites among {', '.join(map(str, SITES))}."
        checks = {
            "patients": (self.patients >= 1, "Ask for at least one patient."),
            "pixels": (64 <= self.pixels <= 8192, "Give between 64 and 8192 rows."),
            "prevalence": share(self.prevalence, "breasts with cancer"),
            "site_mix": (is_mix(self.site_mix, SITES), advice),
        }
        check_ranges(self, checks)


@dataclass(frozen=True)
class Breast:
    """One breast with its labels as the table holds them; ``birads`` is None where the reader left it empty."""

    laterality: Side
    anatomy: Anatomy
    findings: tuple[Finding, ...]
    cancer: bool
    biopsy: bool
    invasive: bool
    birads: int | None
    difficult_negative_case: bool


@dataclass(frozen=True)
class View:
    """One image to render: its number, side, view position and exposure, and the seed of all else that is its own."""

    image_id: int
    laterality: Side
    view: str
    exposure: float
    seed: int


@dataclass(frozen=True)
class Patient:
    """One patient; ``age`` is years or None, ``density`` A to D (what she has; the table may leave it empty)."""

    patient_id: int
    site_id: int
    machine: Machine
    age: int | None
    implant: bool
    density: str
    density_read: bool
    breasts: Mapping[str, Breast]
    views: tuple[View, ...]

    @property
    def cancer(self) -> bool:
        """Whether either breast has cancer."""
        return any(breast.cancer for breast in self.breasts.values())


def draw_patient(phantom: BreastPhantom, index: int) -> Patient:
    """Draw one patient, the same whatever was drawn before.

    Parameters
    ----------
    phantom
        The cohort.
    index
        Number of the patient in the cohort, from 0.

    Returns
    -------
    The patient.

    >>> draw_patient(BreastPhantom(patients=9), 3) == draw_patient(BreastPhantom(patients=4), 3)
    True
    """
    number = phantom.first_patient + index
    rng = np.random.default_rng(np.random.SeedSequence((phantom.seed, number)))
    start = np.random.default_rng(np.random.SeedSequence(phantom.seed)).uniform(size=2)
    site = SITES[_draw_site(phantom, (start[1] + number * _STEP_SITE) % 1)]
    machines, shares = zip(*site.machines, strict=True)
    machine = MACHINES[int(rng.choice(machines, p=shares))]

    sides = _draw_cancer(phantom, site.site_id, (start[0] + number * _STEP_CANCER) % 1, rng)
    age = int(np.clip(round(rng.normal(site.age + _AGE_SHIFT * bool(sides), 10)), 26, 89))
    density = str(rng.choice(list("ABCD"), p=(0.12, 0.42, 0.38, 0.08)))
    implant = bool(rng.uniform() < 0.027)
    anatomy = draw_anatomy(density, implant=implant, rng=rng)
    breasts = {side: _draw_breast(side, side in sides, anatomy, rng, reads=site.reads_density) for side in ("L", "R")}
    return Patient(
        patient_id=10_000 + 7 * number + int(rng.integers(7)),
        site_id=site.site_id,
        machine=machine,
        age=age if rng.uniform() >= 0.02 else None,
        implant=implant,
        density=density,
        density_read=bool(site.reads_density and rng.uniform() < 0.95),
        breasts=breasts,
        views=_draw_views(number, rng),
    )


def _draw_site(phantom: BreastPhantom, u: float) -> int:
    sites = sorted(phantom.site_mix)
    shares = np.cumsum([phantom.site_mix[s] for s in sites])
    return sites[min(int(np.searchsorted(shares, u * shares[-1], side="right")), len(sites) - 1)]


def _draw_cancer(phantom: BreastPhantom, site_id: int, u: float, rng: np.random.Generator) -> frozenset[Side]:
    """Breasts with cancer: patients at rate r, where r (1 + bilateral) / 2 is the prevalence, more at sites of risk."""
    bilateral = max(_BILATERAL, 2 * phantom.prevalence - 1)
    rate = 2 * phantom.prevalence / (1 + bilateral)
    total = sum(phantom.site_mix.values())
    typical = sum(share * SITES[s].risk for s, share in phantom.site_mix.items()) / total
    rate += (SITES[site_id].risk - typical) * rate * (1 - rate)
    side, both = rng.uniform(size=2)
    if u >= rate:
        return frozenset()
    if both < bilateral:
        return frozenset(("L", "R"))
    return frozenset(("L",) if side < 0.5 else ("R",))


def _draw_breast(side: Side, cancer: bool, anatomy: Anatomy, rng: np.random.Generator, *, reads: bool) -> Breast:
    """Labels that agree with each other: a cancer was biopsied and recalled, only a cancer can be invasive."""
    malignant, benign = draw_malignant(rng), draw_benign(rng)
    recall, biopsy, invasive, read, hard = rng.uniform(size=5)
    recalled = cancer or recall < (0.3 if benign else 0.04)
    birads = 0 if recalled else (2 if benign else 1)
    return Breast(
        laterality=side,
        anatomy=anatomy.of_side(rng),
        findings=(*malignant, *benign) if cancer else benign,
        cancer=cancer,
        biopsy=bool(cancer or (recalled and biopsy < 0.3)),
        invasive=bool(cancer and invasive < 0.7),
        birads=birads if reads and read < 0.9 else None,
        difficult_negative_case=bool(recalled and not cancer and hard < 0.8),
    )


def _draw_views(number: int, rng: np.random.Generator) -> tuple[View, ...]:
    """Four views; 6 % of patients have one more, 3 % lack one."""
    views: list[tuple[Side, str]] = [("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")]
    odd, which = rng.uniform(), int(rng.integers(4))
    if odd < 0.06:
        views.append((views[which][0], str(rng.choice(["CC", "MLO", "ML", "LM"], p=(0.4, 0.4, 0.1, 0.1)))))
    elif odd < 0.09:
        del views[which]
    return tuple(
        View(
            image_id=100_000_000 + (number * _SLOTS + slot) * 1009 + int(rng.integers(1009)),
            laterality=side,
            view=view,
            exposure=float(rng.normal(1, 0.04)),
            seed=int(rng.integers(2**63)),
        )
        for slot, (side, view) in enumerate(views)
    )
