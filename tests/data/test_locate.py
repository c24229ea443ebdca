"""Levels are found where no table gives them, by what was learnt from those that it gives."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from radboost.data.dicom import DicomImage, write_dicom
from radboost.data.index import IndexConfig, index
from radboost.data.phantom.lumbar import LumbarPhantom, draw_spine_study, render_slice, write_rsna_lumbar
from radboost.data.phantom.lumbar.study import CONDITIONS, LEVELS
from radboost.data.scan import Reading
from radboost.data.slices.locate import PITCH_MM, Known, learn_locator, locate_places
from radboost.data.slices.picture import read_pictures
from radboost.data.slices.stack import Stack
from radboost.data.splits import FoldSpec
from radboost.data.tasks import get_task
from radboost.data.volumes import Locator

LUMBAR = get_task("rsna-lumbar")
PHANTOM = LumbarPhantom(studies=1, seed=5, pixels=96, lacking=0, twice=0)
LEARNT, HELD, FEW = 30, 20, 8


def middle_of(folder: Path, number: int, kind: str) -> Stack:
    """The middle slices of one series as files, which is all that is looked at."""
    study = draw_spine_study(replace(PHANTOM, first_study=number), 0)
    series = next(s for s in study.series if s.kind == kind)
    n, pixels = len(series.planes), PHANTOM.pixels
    rows = range(n // 2 - 1, n // 2 + 2)
    paths = []
    for row in rows:
        path = folder / f"{number}-{kind}-{row}.dcm"
        write_dicom(path, DicomImage((render_slice(study.spine, series, row, pixels) * 900).astype(np.uint16), 16))
        paths.append(path.name)
    planes = [series.planes[row] for row in rows]
    axes = np.array([[plane.right, plane.down] for plane in planes]) * planes[0].field / pixels
    size = np.full((len(planes), 2), pixels)
    return Stack("s", kind, tuple(paths), np.array(rows), size, np.array([p.corner(pixels) for p in planes]), axes)


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """By kind: pictures of the studies to learn from and of those held out; and what is known of all."""
    folder = tmp_path_factory.mktemp("middles")
    # T1 stands in where T2 is lacking; a few held-out studies tell whether it can.
    numbers = {"t2": range(LEARNT + HELD), "t1": range(LEARNT + FEW)}
    stacks = {kind: {str(n): middle_of(folder, n, kind) for n in own} for kind, own in numbers.items()}
    pictures = {kind: read_pictures(folder, own, PITCH_MM, Reading(workers=1)) for kind, own in stacks.items()}
    known = {}
    for number in range(LEARNT + HELD):
        spine = draw_spine_study(replace(PHANTOM, first_study=number), 0).spine
        points = {(c, level): np.array(spine.point(c, k)) for c in CONDITIONS for k, level in enumerate(LEVELS)}
        middles = {level: points["spinal_canal_stenosis", level] for level in LEVELS}
        offsets = {key: point - middles[key[1]] for key, point in points.items()}
        known[str(number)] = Known(stacks["t2"][str(number)].middle.mean(axis=0), middles, offsets)
    return pictures, known


@pytest.fixture(scope="module")
def locator(studies):
    pictures, known = studies
    learnt = {str(number): known[str(number)] for number in range(LEARNT)}
    return learn_locator(LEVELS, learnt, {kind: own for kind, own in pictures.items()})


@pytest.mark.parametrize(("kind", "held"), [("t2", HELD), ("t1", FEW)])
def test_a_level_is_found_within_half_a_disc_in_nine_of_ten_held_out_ones(studies, locator, kind, held):
    pictures, known = studies
    hits = []
    for number in range(LEARNT, LEARNT + held):
        found = locate_places(locator, kind, pictures[kind][str(number)])
        discs = draw_spine_study(replace(PHANTOM, first_study=number), 0).spine.discs
        for level, (_, thickness, _, _) in zip(LEVELS, discs, strict=True):
            away = found[level] - known[str(number)].places[level]
            # In the sagittal plane; to the side there is nothing to see in it.
            hits.append(np.linalg.norm(away[1:]) <= thickness / 2)
            assert abs(away[0]) < 20
    assert np.mean(hits) >= 0.9
    # The mean place alone would not do: what is seen decides.
    start, steps = np.array(locator.start), np.cumsum([[0, 0, 0], *locator.steps], axis=0)
    blind = [
        np.linalg.norm((pictures[kind][str(n)].centre + start + steps[k] - known[str(n)].places[level])[1:])
        <= draw_spine_study(replace(PHANTOM, first_study=n), 0).spine.discs[k][1] / 2
        for n in range(LEARNT, LEARNT + held)
        for k, level in enumerate(LEVELS)
    ]
    assert np.mean(blind) < 0.5


def test_it_survives_json_and_finds_the_same(studies, locator):
    pictures, _ = studies
    again = Locator.from_dict(json.loads(json.dumps(asdict(locator))))
    assert again == locator
    for a, b in zip(
        *(locate_places(each, "t2", pictures["t2"]["40"]).values() for each in (locator, again)), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_too_few_studies_teach_nothing(studies):
    pictures, known = studies
    few = {name: known[name] for name in list(known)[:4]}
    assert learn_locator(LEVELS, few, pictures) is None


def test_new_exams_have_crops_at_every_level_and_coordinates_are_not_needed(tmp_path):
    data, exams = tmp_path / "data", tmp_path / "exams"
    phantom = LumbarPhantom(studies=8, seed=3, pixels=48, lacking=0, twice=0)
    write_rsna_lumbar(data, phantom)
    write_rsna_lumbar(exams, LumbarPhantom(studies=1, seed=3, pixels=48, lacking=0, first_study=90, test=True))
    task = index(data, LUMBAR, IndexConfig(folds=FoldSpec(2), workers=1)).cohort.task
    assert task.volumes.points.locator is not None
    found = index(exams, task, IndexConfig(workers=1, new_exams=True)).cohort
    units = found.links.groupby("slot")["unit"].nunique()
    # The side's own level crop in each kind of series, for every unit; the axial slices lie along the discs.
    assert (units[["t1/level", "t2/level"]] == 25).all()
    assert units["axial/level"] >= 20
