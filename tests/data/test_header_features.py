"""Header features: a row a crop, numbers where the file says them, nothing where it does not."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from radboost.data.cohort import Cohort
from radboost.data.dicom import DicomImage, write_dicom
from radboost.data.frame_values import PIXELS
from radboost.data.header_features import GEOMETRY, WORDS, widened
from radboost.data.index import IndexConfig, index
from radboost.data.splits import FoldSpec
from radboost.data.task import Metadata, Slots, Target, Task
from radboost.errors import PixelError, TaskError, UserError

FRAME = np.array([[0, 10, 20, 30], [30, 30, 30, 4000]], np.uint16)
CT = {
    "PatientID": "P1",
    "SeriesInstanceUID": "1.2.3",
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "RescaleIntercept": -1024,
    "RescaleSlope": 2,
    "Modality": "CT",
    "PixelPaddingValue": 30,
    "SliceThickness": 5,
    "PixelSpacing": [0.5, 0.25],
}


def write(path: Path, pixels: np.ndarray = FRAME, **attributes: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    write_dicom(path, DicomImage(pixels, 12, attributes=attributes))
    return path


def features(root: Path, headers: str = "all", **how: object) -> pd.DataFrame:
    """Features by path."""
    cohort = index(root, None, IndexConfig(headers=headers, workers=1, **how)).cohort
    assert cohort.headers["crop_id"].tolist() == cohort.manifest["crop_id"].tolist()
    return cohort.headers.set_index(cohort.manifest["path"].rename(None))


def stack(root: Path, places: tuple[float, ...] = (0, 5, 10, 30)) -> Path:
    for k, place in enumerate(places):
        ids = {"SOPInstanceUID": f"1.2.3.{k + 1}", "InstanceNumber": 9 - k, "ImagePositionPatient": [1, 2, place]}
        write(root / f"{k}.dcm", **CT, **ids)
    return root


def test_a_slice_knows_its_place_among_the_others(tmp_path):
    table = features(stack(tmp_path / "d"))
    assert list(table.columns) == ["crop_id", *GEOMETRY, *WORDS, *PIXELS]
    third = table.loc["2.dcm"]
    assert [third[c] for c in GEOMETRY[:6]] == [1, 0, 0, 0, 1, 0]
    assert [third[c] for c in GEOMETRY[6:10]] == [1, 2, 10, 10]
    assert (third["spacing_rows"], third["spacing_columns"], third["slice_thickness"]) == (0.5, 0.25, 5)
    assert (third["series_first"], third["series_last"], third["series_range"]) == (0, 30, 30)
    assert (third["rank_in_series"], third["slices_in_series"], third["relative_position"]) == (2, 4, 10 / 30)
    assert (third["gap_before"], third["gap_after"]) == (5, 20)
    assert (third["modality"], third["plane"], third["series_of_patient"]) == ("CT", "axial", 1)
    assert (third["rank_from_end"], third["slice_distance"], third["gap_ratio"]) == (1, 5, 20 / 5)
    assert (third["doubles_in_series"], third["tilt"]) == (0, 0)
    assert (third["bit_type"], third["grain_x"], third["grain_gap"]) == ("12u-1024", "1", "1")
    assert np.isnan(table.loc["0.dcm", "gap_before"])
    assert table.loc["0.dcm", "grain_gap"] == ""
    assert np.isnan(table.loc["3.dcm", "gap_after"])


def test_the_manifest_is_ordered_by_place_and_the_table_tells_gaps(tmp_path):
    cohort = index(stack(tmp_path / "d"), None, IndexConfig(workers=1)).cohort
    assert cohort.manifest.set_index("path")["order"].to_dict() == {f"{k}.dcm": v for k, v in enumerate((0, 5, 10, 30))}
    assert cohort.links.set_index("unit")["order"].sort_values().tolist() == [0, 5, 10, 30]
    assert cohort.series[["gaps", "duplicates", "files"]].iloc[0].tolist() == [1, 0, 4]
    assert cohort.headers is None


def test_slices_at_one_place_are_counted_and_leave_the_gaps_alone(tmp_path):
    table = features(stack(tmp_path / "d", (0, 5, 5, 15)))
    assert table["doubles_in_series"].unique().tolist() == [1]
    assert table["gap_ratio"].unique().tolist() == [2]


def test_pixels_are_described_in_rescaled_units(tmp_path):
    row = features(stack(tmp_path / "d"), "pixels").loc["0.dcm"]
    values = FRAME * 2.0 - 1024
    expected = [values.min(), values.max(), values.mean(), values.std(), 4 / 8]
    assert [row[name] for name in PIXELS] == pytest.approx(expected)


def test_a_negative_slope_turns_the_ends_around(tmp_path):
    write(tmp_path / "d" / "a.dcm", **{**CT, "RescaleSlope": -1})
    row = features(tmp_path / "d", "pixels").loc["a.dcm"]
    assert (row["pixel_min"], row["pixel_max"]) == (-5024, -1024)
    assert row["pixel_std"] == pytest.approx(FRAME.std())


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, {"modality": "", "window_centre": math.nan, "intercept": math.nan, "row_x": math.nan, "plane": ""}),
        ({"Modality": ""}, {"modality": ""}),
        ({"ViewPosition": "", "Modality": "MG"}, {"modality": "MG"}),
        # Several windows, or none that is whole: the first, or nothing.
        ({"WindowCenter": [40, 600], "WindowWidth": [80, 2800]}, {"window_centre": 40, "window_width": 80}),
        ({"WindowCenter": [40, 600], "WindowWidth": [80, 2800]}, {"second_window_centre": 600}),
        ({"WindowCenter": 40, "WindowWidth": 80}, {"window_centre": 40, "second_window_width": math.nan}),
        ({"WindowCenter": 40}, {"window_centre": math.nan, "window_width": math.nan}),
        ({"ImagePositionPatient": [-125.5, 0, 12.3456789]}, {"grain_x": "0.5", "grain_z": "finer"}),
        ({"ImagePositionPatient": [-126.43, 0, 1.015]}, {"grain_x": "0.01", "grain_z": "0.001"}),
        ({}, {"grain_x": "", "bit_type": "12u+0", "tilt": math.nan}),
        # A gantry that leans by 20 degrees.
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0.9396926, -0.3420201]}, {"tilt": pytest.approx(20, abs=1e-4)}),
        ({"ImagePositionPatient": [1, 2, 3]}, {"position_z": 3, "position_along_normal": math.nan}),
        ({"PatientOrientation": ["A", "FR"]}, {"patient_orientation": "A/FR"}),
    ],
)
def test_nothing_is_trusted_to_be_there(tmp_path, attributes, expected):
    write(tmp_path / "d" / "a.dcm", **attributes)
    row = features(tmp_path / "d").loc["a.dcm"]
    for name, value in expected.items():
        assert row[name] == value or (math.isnan(value) and math.isnan(row[name])), name
    assert row["rows"] == 2


def test_pictures_have_pixels_and_no_header(tmp_path):
    (tmp_path / "d").mkdir()
    cv2.imwrite(str(tmp_path / "d" / "a.png"), np.full((4, 4), 255, np.uint8))
    row = features(tmp_path / "d").loc["a.png"]
    assert row[GEOMETRY].isna().all()
    assert (row[WORDS] == "").all()
    assert (row["pixel_min"], row["pixel_std"]) == (65535, 0)


def test_every_frame_has_its_own_values(tmp_path):
    frames = np.stack([np.full((2, 4), k * 10, np.uint16) for k in range(3)])
    write(tmp_path / "d" / "a.dcm", frames)
    for policy, means in (("all", [0, 10, 20]), ("middle", [10]), ("first", [0])):
        assert features(tmp_path / "d", "pixels", frames=policy)["pixel_mean"].tolist() == means


def test_pixels_that_fail_are_set_aside_and_leave_a_row_without_values(tmp_path):
    root = stack(tmp_path / "d")
    whole = (root / "1.dcm").read_bytes()
    (root / "1.dcm").write_bytes(whole[:-4])
    cohort = index(root, None, IndexConfig(headers="all", workers=1)).cohort
    assert cohort.quarantine["path"].tolist() == ["1.dcm"]
    assert "ends early" in cohort.quarantine["reason"][0]
    row = cohort.headers[cohort.manifest["path"] == "1.dcm"].iloc[0]
    assert row[PIXELS].isna().all()
    assert row["position_z"] == 5
    with pytest.raises(PixelError, match=r"^1.dcm: the pixel data ends early"):
        index(root, None, IndexConfig(headers="pixels", workers=1, strict=True))


def test_values_read_before_are_not_read_again(tmp_path):
    root, journal = stack(tmp_path / "d"), tmp_path / "j"
    config = IndexConfig(headers="pixels", workers=1, journal=journal, key=bytes(32))
    first = index(root, None, config).cohort.headers
    lines = journal.read_text().splitlines(keepends=True)
    # As if it had been cut off: three of four files' values are known, of which one is forged to tell it was taken.
    values = [line for line in lines if line.startswith('["values"')]
    assert len(values) == 4
    journal.write_text("".join([*lines[:5], *values[:2], values[2].replace("[[-1024.0", "[[-1000.0")]))
    again = index(root, None, config).cohort.headers
    assert again["pixel_min"].tolist()[:2] == first["pixel_min"].tolist()[:2]
    assert again["pixel_min"].tolist()[2] != first["pixel_min"].tolist()[2]
    assert again["pixel_min"].tolist()[3] == first["pixel_min"].tolist()[3]


def test_they_are_saved_with_the_cohort(tmp_path):
    cohort = index(stack(tmp_path / "d"), None, IndexConfig(headers="all", workers=1)).cohort
    cohort.save(tmp_path / "c")
    loaded = Cohort.load(tmp_path / "c")
    assert loaded.headers is None  # read when they are asked for: they may be large
    pd.testing.assert_frame_equal(loaded.header_features(), cohort.headers, check_dtype=False)
    pd.testing.assert_frame_equal(loaded.series, cohort.series, check_dtype=False)
    index(tmp_path / "d", None, IndexConfig(workers=1)).cohort.save(tmp_path / "without")
    assert Cohort.load(tmp_path / "without").header_features() is None


def test_an_unknown_choice_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"--headers.*none, geometry, pixels, all"):
        index(tmp_path, None, IndexConfig(headers="some"))


def test_the_features_that_a_task_declares_are_made_unasked(tmp_path):
    root = stack(tmp_path / "d")
    rows = [f"{k}.dcm,P{k},{k % 2}" for k in range(4)]
    (root / "train.csv").write_text("\n".join(["file,patient,sick", *rows]) + "\n")
    task = Task("t", "train.csv", ("file",), "patient", (Target("sick", "sick"),), slots=Slots())
    task = replace(task, images=replace(task.images, paths=("{file}",)))
    how = IndexConfig(folds=FoldSpec(2), workers=1)
    assert index(root, task, how).cohort.headers is None
    declared = replace(task, metadata=Metadata(headers=("slice_thickness",)))
    table = index(root, declared, how).cohort.headers
    assert list(table.columns) == ["crop_id", *GEOMETRY, *WORDS]
    assert table["slice_thickness"].tolist() == [5] * 4
    with pytest.raises(TaskError, match=r"no such header features \(got thickness\). Known: row_x"):
        index(root, replace(task, metadata=Metadata(headers=("thickness",))), how)


@pytest.mark.parametrize("choice", ["none", "geometry", "pixels", "all"])
def test_a_choice_is_never_narrowed(choice):
    assert widened(choice, []) == choice
    assert widened(choice, [PIXELS[0]]) == {"none": "pixels", "geometry": "all"}.get(choice, choice)
    assert widened(choice, ["plane"]) == {"none": "geometry", "pixels": "all"}.get(choice, choice)
    assert widened(choice, ["rows", PIXELS[0]]) == "all"
