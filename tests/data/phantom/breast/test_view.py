"""One view: sides, lesions where the truth says, no shortcut through brightness, every machine's display alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radboost.data.phantom.breast.machine import MACHINES
from radboost.data.phantom.breast.patient import BreastPhantom, draw_patient
from radboost.data.phantom.breast.view import render_view

PIXELS = 320


@pytest.fixture(scope="module")
def patients():
    phantom = BreastPhantom(patients=40)
    return [draw_patient(phantom, index) for index in range(phantom.patients)]


@pytest.fixture(scope="module")
def rendered(patients):
    return [(p, v, render_view(p, v, PIXELS)) for p in patients for v in p.views]


def healthy(patient):
    """Give the same patient without any finding."""
    return replace(patient, breasts={side: replace(b, findings=()) for side, b in patient.breasts.items()})


def test_equal_input_gives_equal_pixels(patients):
    patient = patients[0]
    first = [render_view(patient, v, PIXELS).pixels for v in patient.views]
    second = [render_view(patient, v, PIXELS).pixels for v in reversed(patient.views)][::-1]
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_stored_values_fit_the_machine(rendered):
    for _, _, view in rendered:
        assert view.pixels.shape == (PIXELS, round(0.8 * PIXELS))
        assert view.pixels.dtype == np.uint16
        assert view.pixels.max() < 2**view.machine.bits
        assert np.ptp(view.pixels) > 2 ** (view.machine.bits - 2)


def test_chest_wall_is_left_in_left_breasts_and_right_in_right_ones(rendered):
    for _, view, image in rendered:
        shown = image.display()
        near, far = (shown[:, :20], shown[:, -20:]) if view.laterality == "L" else (shown[:, -20:], shown[:, :20])
        assert near.mean() > far.mean() + 0.05


def test_air_is_dark_and_tissue_is_bright_on_every_machine(patients):
    # MONOCHROME1 read without its inversion, or a window off its place, would turn this round.
    patient = patients[0]
    for machine in MACHINES.values():
        image = render_view(replace(patient, machine=machine), patient.views[0], PIXELS)
        shown, box = image.display(), image.breast
        corner = shown[-15:, -15:] if patient.views[0].laterality == "L" else shown[-15:, :15]
        assert corner.max() < 0.06
        assert 0.15 < shown[box.y0 : box.y1, box.x0 : box.x1].mean() < 0.75


def test_marker_lies_outside_the_breast(rendered):
    for _, _, image in rendered:
        shown, box = image.display().copy(), image.breast
        shown[box.y0 : box.y1, box.x0 : box.x1] = 0
        beyond = shown[: PIXELS // 4]
        assert beyond.max() > 0.8


def test_side_views_show_the_muscle(rendered):
    # The upper corner at the chest wall is air in CC and muscle in MLO.
    for _, view, image in rendered:
        shown = image.display() if view.laterality == "L" else image.display()[:, ::-1]
        corner = shown[3:10, :6].mean()
        assert (corner > 0.2) == (view.view != "CC")


def test_difference_to_the_healthy_breast_peaks_in_the_lesion_box(rendered):
    seen = set()
    for patient, view, image in rendered:
        breast = patient.breasts[view.laterality]
        if not breast.cancer:
            continue
        change = np.abs(image.display() - render_view(healthy(patient), view, PIXELS).display())
        inside = np.zeros(change.shape, bool)
        for _, box in image.findings:
            assert 0 <= box.x0 < box.x1 <= change.shape[1]
            assert 0 <= box.y0 < box.y1 <= change.shape[0]
            inside[box.y0 : box.y1, box.x0 : box.x1] = True
        assert change[inside].mean() > 5 * change[~inside].mean()
        assert inside[np.unravel_index(change.argmax(), change.shape)]
        seen.add(view.view)
    assert seen >= {"CC", "MLO"}


def test_a_lesion_changes_neither_mean_nor_deviation(rendered):
    # Otherwise a model of two numbers an image would find cancers, and the embeddings would prove nothing.
    compared = 0
    for patient, view, image in rendered:
        if not patient.breasts[view.laterality].findings:
            continue
        box = image.breast
        sick, well = (
            shown[box.y0 : box.y1, box.x0 : box.x1]
            for shown in (image.display(), render_view(healthy(patient), view, PIXELS).display())
        )
        assert sick.mean() == pytest.approx(well.mean(), abs=0.01)
        assert sick.std() == pytest.approx(well.std(), abs=0.01)
        compared += 1
    assert compared > 20


def test_each_view_shows_a_finding_where_it_projects_to(rendered):
    # Height is seen in MLO only and the outward position in CC only, measured from the middle of the breast.
    places = {True: [], False: []}
    for _, view, image in rendered:
        for finding, box in image.findings:
            y = (box.y0 + box.y1) / 2 - (image.breast.y0 + image.breast.y1) / 2
            places[view.view == "CC"].append((finding.height, finding.across, y))
    for in_cc, found in places.items():
        height, across, y = np.array(found).T
        seen, unseen = (across, -height) if in_cc else (-height, across)
        assert np.corrcoef(seen, y)[0, 1] > 0.9
        assert abs(np.corrcoef(unseen, y)[0, 1]) < 0.5


def test_sides_of_one_patient_are_more_alike_than_two_patients(rendered):
    # What makes the left-right difference worth more than a breast alone.
    means = {(p.patient_id, v.laterality): i.display().mean() for p, v, i in rendered if v.view == "CC"}
    pairs = {n for n, side in means if side == "L" and (n, "R") in means}
    left, right = (np.array([means[n, side] for n in sorted(pairs)]) for side in ("L", "R"))
    assert np.mean((left - right) ** 2) < 0.3 * np.mean((left - np.roll(right, 1)) ** 2)
