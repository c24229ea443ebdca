"""Head CT phantoms: bleeds span neighbouring slices, and no single number of a slice gives them away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radboost.data.phantom.ct import HeadPhantom, draw_head_patient, render_series
from radboost.data.phantom.ct.bleed import KINDS
from radboost.errors import UserError

PHANTOM = HeadPhantom(patients=100, seed=3, pixels=64, prevalence=0.7)


def drawn(phantom: HeadPhantom):
    for index in range(phantom.patients):
        patient = draw_head_patient(phantom, index)
        for series in patient.series:
            yield patient, series


def test_a_bleed_spans_three_to_six_neighbouring_slices_and_labels_follow_it():
    kinds = set()
    for _, series in drawn(PHANTOM):
        table = [series.labels(rank) for rank in range(len(series.names))]
        for bleed in series.bleeds:
            kinds.add(bleed.kind)
            ranks = [rank for rank, labels in enumerate(table) if labels[bleed.kind]]
            assert 3 <= len(ranks) <= 6
            assert np.all(np.diff(ranks) == 1)
            assert all(0.5 < bleed.taper(rank) <= 1 for rank in ranks)
        assert all(labels["any"] == max(labels[kind] for kind in KINDS) for labels in table)
    assert kinds == set(KINDS)


def test_a_bleed_is_denser_than_what_it_replaces_and_changes_nothing_elsewhere():
    # The same series without its bleeds has the same noise, so that the difference is the bleed alone.
    seen = set()
    for patient, series in drawn(replace(PHANTOM, patients=16, pale=0)):
        change = render_series(patient, series, 64) - render_series(patient, replace(series, bleeds=()), 64)
        for rank, values in enumerate(change):
            shown = [kind for kind in KINDS if series.labels(rank)[kind]]
            assert bool(shown) == bool(np.abs(values).max() > 5), (series.series, rank)
            if shown:
                assert values.max() > 15
                assert values.mean() > 0
                seen.update(shown)
    assert seen == set(KINDS)


def test_some_slices_show_a_bleed_pale_and_are_labelled_like_the_others():
    shares = {0.0: [], 0.5: [], 1.0: []}
    for pale, found in shares.items():
        for patient, series in drawn(replace(PHANTOM, patients=12, pale=pale, prevalence=1)):
            for bleed in series.bleeds:
                assert len(bleed.fill) == bleed.slices
                assert max(bleed.fill) == 1, "what every slice hid, no neighbour could tell"
                found += [share < 1 for share in bleed.fill]
            change = render_series(patient, series, 64) - render_series(patient, replace(series, bleeds=()), 64)
            shown = np.abs(change).max(axis=(1, 2))
            labels = np.array([series.labels(rank)["any"] for rank in range(len(shown))], dtype=bool)
            assert (shown[labels] > 1).all()
            assert (shown[~labels] == 0).all()
    assert [np.mean(shares[pale]) for pale in shares] == [0, pytest.approx(0.4, abs=0.15), pytest.approx(0.8, abs=0.1)]


def test_prevalence_and_storage_are_as_asked_for():
    for prevalence in (0.0, 0.3, 1.0):
        patients = [draw_head_patient(replace(PHANTOM, prevalence=prevalence), i) for i in range(100)]
        assert np.mean([bool(p.series[0].bleeds) for p in patients]) == pytest.approx(prevalence, abs=0.02)
    assert {draw_head_patient(replace(PHANTOM, signed=0), i).scanner.signed for i in range(9)} == {False}
    names = [name for _, series in drawn(PHANTOM) for name in series.names]
    assert len(set(names)) == len(names)
    assert names != sorted(names)
    assert {len(series.names) for _, series in drawn(PHANTOM)} <= set(range(20, 41))


@pytest.mark.parametrize(
    "field", [{"pixels": 8}, {"prevalence": 2}, {"slices": (30, 20)}, {"signed": -1}, {"seed": -1}, {"pale": 1.1}]
)
def test_what_cannot_be_drawn_is_refused(field):
    with pytest.raises(UserError, match="out of range"):
        replace(PHANTOM, **field)
