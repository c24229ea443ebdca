"""Lumbar phantoms: real files in the real layout, grades that can be seen where they are marked, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pydicom
import pytest

from radboost.data.phantom.lumbar import LumbarPhantom, draw_spine_study, render_slice, write_rsna_lumbar
from radboost.data.phantom.lumbar.study import CONDITIONS, KINDS, LEVELS
from radboost.errors import ExistsError, UserError

PHANTOM = LumbarPhantom(studies=8, seed=2, pixels=48, lacking=0.5, twice=0.5, unlabelled=0.2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lumbar")
    write_rsna_lumbar(folder, PHANTOM)
    return folder


def test_the_tables_are_the_competitions(folder):
    table = pd.read_csv(folder / "train.csv")
    assert list(table.columns) == ["study_id", *(f"{c}_{level}" for c in CONDITIONS for level in LEVELS)]
    cells = table.drop(columns="study_id")
    assert set(cells.stack().dropna()) == {"Normal/Mild", "Moderate", "Severe"}
    assert 0.1 < cells.isna().to_numpy().mean() < 0.3
    series = pd.read_csv(folder / "train_series_descriptions.csv")
    assert list(series.columns) == ["study_id", "series_id", "series_description"]
    counts = series.groupby("study_id")["series_description"].value_counts().unstack(fill_value=0)
    # Some studies lack a kind, and some have two series of one.
    assert (counts == 0).any(axis=None)
    assert (counts == 2).any(axis=None)
    points = pd.read_csv(folder / "train_label_coordinates.csv")
    assert list(points.columns) == ["study_id", "series_id", "instance_number", "condition", "level", "x", "y"]
    assert set(points["level"]) == {"L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"}
    kinds = points.merge(series).groupby("condition")["series_description"].unique().map(list).to_dict()
    assert kinds == {c.replace("_", " ").title(): [KINDS[kind]] for c, kind in CONDITIONS.items()}


def test_every_coordinate_is_the_point_of_the_truth_within_half_a_slice(folder):
    truth = pd.read_csv(folder / "truth" / "levels.csv").set_index(["study", "condition", "level"])
    points = pd.read_csv(folder / "train_label_coordinates.csv")
    for row in points.itertuples():
        path = folder / "train_images" / str(row.study_id) / str(row.series_id) / f"{row.instance_number}.dcm"
        file = pydicom.dcmread(path, stop_before_pixels=True)
        assert "Modality" not in file
        assert int(file.InstanceNumber) == row.instance_number
        right, down = np.reshape(np.array(file.ImageOrientationPatient, float), (2, 3))
        side = float(file.PixelSpacing[0])
        found = np.array(file.ImagePositionPatient, float) + side * (row.x * right + row.y * down)
        name = row.condition.lower().replace(" ", "_"), row.level.lower().replace("/", "_")
        point = truth.loc[(row.study_id, *name), ["x", "y", "z"]].to_numpy(float)
        normal = np.cross(right, down)
        assert abs((found - point) @ normal) < 3.5
        # In the plane the pixel is exact but for what rounding leaves.
        assert np.linalg.norm((found - point) - (found - point) @ normal * normal) < 0.01


def test_a_graver_grade_changes_what_its_own_point_shows_and_little_else():
    for condition, kind in CONDITIONS.items():
        study = draw_spine_study(replace(PHANTOM, lacking=0), 1)
        series = next(s for s in study.series if s.kind == kind)
        point = study.spine.point(condition, 3)
        places = [plane.pixel(point, 96) for plane in series.planes]
        number = int(np.argmin([distance for _, _, distance in places]))
        x, y, _ = places[number]
        shown = []
        for room in (0.05, 0.75):
            narrowed = study.spine.narrowed | {(condition, "l4_l5"): room}
            shown.append(render_slice(replace(study.spine, narrowed=narrowed), series, number, 96))
        change = np.abs(shown[1] - shown[0])
        pitch = series.planes[number].field / 96
        row, column = np.indices(change.shape)
        near = np.hypot(row - y, column - x) * pitch < 22
        assert change[near].max() > 0.2, condition
        assert change[~near].max() < 1e-5, condition


def test_new_exams_have_neither_grades_nor_coordinates(tmp_path):
    write_rsna_lumbar(tmp_path, LumbarPhantom(studies=2, pixels=48, first_study=50, test=True))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"test_series_descriptions.csv", "sample_submission.csv", "test_images", "truth"}
    sample = pd.read_csv(tmp_path / "sample_submission.csv")
    assert list(sample.columns) == ["row_id", "normal_mild", "moderate", "severe"]
    assert len(sample) == 50
    with pytest.raises(ExistsError):
        write_rsna_lumbar(tmp_path, LumbarPhantom(studies=2, test=True))


def test_severity_shifts_the_grades_and_study_names_are_distinct():
    def drawn(severity: float) -> list[int]:
        phantom = LumbarPhantom(studies=200, severity=severity)
        return [g for i in range(200) for g in draw_spine_study(phantom, i).grades.values()]

    mild, grave = (np.bincount(drawn(severity), minlength=3) / 5000 for severity in (0.0, 0.8))
    assert mild[0] > 0.5
    assert 0.08 < mild[2] < 0.25
    assert grave[2] > 2 * mild[2]
    assert len({draw_spine_study(LumbarPhantom(studies=300), i).name for i in range(300)}) == 300
    with pytest.raises(UserError, match="severity"):
        LumbarPhantom(severity=3)
