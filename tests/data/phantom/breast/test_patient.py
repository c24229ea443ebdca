"""Who is in a cohort: prevalence, shift, labels that agree, and independence of order and size."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from radboost.data.phantom.breast.patient import BreastPhantom, draw_patient
from radboost.errors import UserError


def draw(phantom):
    return [draw_patient(phantom, index) for index in range(phantom.patients)]


def breasts(phantom):
    return [breast for patient in draw(phantom) for breast in patient.breasts.values()]


@pytest.mark.parametrize("prevalence", [0.0, 0.02, 0.15, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("seed", [0, 7])
def test_prevalence_is_the_share_of_breasts(prevalence, seed):
    share = np.mean([b.cancer for b in breasts(BreastPhantom(patients=600, seed=seed, prevalence=prevalence))])
    assert share == pytest.approx(prevalence, abs=0.025)
    if prevalence in (0.0, 1.0):
        assert share == prevalence


def test_small_cohorts_keep_the_prevalence_too():
    # A demo of 60 patients without enough cancers could not be learned from, whatever the seed.
    for seed in range(20):
        patients = draw(BreastPhantom(patients=60, seed=seed))
        assert sum(p.cancer for p in patients) == pytest.approx(60 * 0.29, abs=4)


def test_a_patient_does_not_depend_on_the_cohort_around_her():
    few, many = BreastPhantom(patients=5, seed=3), BreastPhantom(patients=50, seed=3)
    assert draw(few) == draw(many)[:5]
    later = BreastPhantom(patients=5, seed=3, first_patient=20)
    assert draw(later) == draw(many)[20:25]


def test_another_seed_is_another_cohort():
    a, b = (draw(BreastPhantom(patients=20, seed=seed)) for seed in (0, 1))
    assert all(p.views[0].seed != q.views[0].seed for p, q in zip(a, b, strict=True))


def test_numbers_are_unique():
    patients = draw(BreastPhantom(patients=500))
    assert len({p.patient_id for p in patients}) == 500
    images = [v.image_id for p in patients for v in p.views]
    assert len(set(images)) == len(images)


def test_site_mix_shifts_the_cohort_and_not_its_prevalence():
    near = BreastPhantom(patients=500)
    far = replace(near, site_mix={1: 0.1, 3: 0.9})
    assert Counter(p.site_id for p in draw(far))[3] == pytest.approx(450, abs=10)
    assert 2 not in {p.site_id for p in draw(far)}
    assert {p.machine.machine_id for p in draw(far)} != {p.machine.machine_id for p in draw(near)}
    assert np.mean([b.cancer for b in breasts(far)]) == pytest.approx(0.15, abs=0.025)


def test_sites_differ_in_risk():
    # Without a difference, weights that simulate another site mix would have nothing to correct.
    patients = draw(BreastPhantom(patients=3000, site_mix={1: 0.5, 3: 0.5}))
    rate = {site: np.mean([p.cancer for p in patients if p.site_id == site]) for site in (1, 3)}
    assert rate[3] > rate[1] + 0.04


def test_age_carries_a_little_risk():
    patients = [p for p in draw(BreastPhantom(patients=3000)) if p.age is not None]
    ages = {sick: np.mean([p.age for p in patients if p.cancer == sick]) for sick in (True, False)}
    assert 1.5 < ages[True] - ages[False] < 4.5


def test_labels_agree_with_each_other():
    found = breasts(BreastPhantom(patients=1500))
    for breast in found:
        assert breast.cancer == any(f.malignant for f in breast.findings)
        assert breast.biopsy or not breast.cancer
        assert breast.cancer or not breast.invasive
        assert not (breast.cancer and breast.difficult_negative_case)
        if breast.cancer:
            assert breast.birads in (0, None)
    # Each of the rarer kinds is there at all.
    assert any(b.biopsy and not b.cancer for b in found)
    assert any(b.difficult_negative_case for b in found)
    assert {b.birads for b in found} == {0, 1, 2, None}
    assert {b.invasive for b in found if b.cancer} == {True, False}


def test_gaps_and_oddities_are_there_and_rare():
    patients = draw(BreastPhantom(patients=1000))
    counts = Counter(len(p.views) for p in patients)
    assert set(counts) == {3, 4, 5}
    assert counts[4] > 850
    assert 3 <= sum(p.age is None for p in patients) <= 50
    assert 8 <= sum(p.implant for p in patients) <= 60
    assert {v.view for p in patients for v in p.views} >= {"CC", "MLO", "ML", "LM"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("patients", 0),
        ("seed", -1),
        ("pixels", 8),
        ("prevalence", 1.5),
        ("prevalence", float("nan")),
        ("first_patient", -2),
        ("site_mix", {}),
        ("site_mix", {9: 1.0}),
        ("site_mix", {1: -1.0, 2: 2.0}),
        ("site_mix", {1: 0.0}),
    ],
)
def test_a_value_out_of_range_is_named(field, value):
    with pytest.raises(UserError, match=f"BreastPhantom.{field}"):
        BreastPhantom(**{field: value})
