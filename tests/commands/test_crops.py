"""`radboost crops` as a user types it: on a cohort and on any folder."""

from __future__ import annotations

import cv2
import pandas as pd
import pytest


def test_positive_crops_of_a_cohort_and_their_sheet(radboost, cohort, tmp_path):
    sheet = tmp_path / "sheet.png"
    words = ("--size", 64, "--only", "cancer=1", "--only", "view=CC", "--contact-sheet", sheet, "--workers", 1)
    text = radboost("crops", cohort, "--out", tmp_path / "crops", *words).output
    listed = pd.read_csv(tmp_path / "crops" / "crops.csv")
    assert len(listed) > 0
    manifest = pd.read_parquet(cohort / "manifest.parquet").set_index("crop_id")
    assert set(manifest.loc[listed["crop_id"], "view"]) == {"CC"}
    # The breast lies against the left edge, whichever side it is of.
    assert set(listed["mirrored"]) == {0, 1}
    first = cv2.imread(str(tmp_path / "crops" / listed["file"][0]), cv2.IMREAD_UNCHANGED)
    assert first.shape == (64, 64)
    assert f"{len(listed)} crops" in text
    assert cv2.imread(str(sheet)) is not None
    again = radboost("crops", cohort, "--out", tmp_path / "crops", *words).output
    assert f"written before │ {len(listed)}" in again


def test_a_folder_needs_no_index(radboost, data, tmp_path):
    words = ("--crop", "breast", "--size", 64, "--sample", 3, "--show-ids", "--workers", 1)
    radboost("crops", data / "train_images", "--out", tmp_path / "crops", *words)
    files = pd.read_csv(tmp_path / "crops" / "crops.csv")["file"]
    assert len(files) == 3
    for file in files:
        assert (data / "train_images" / file).with_suffix(".dcm").is_file()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--format", "gif"), "Known: png, png16, npy"),
        (("--crop", "box"), "has no boxes"),
        (("--window", "40"), "Write CENTRE,WIDTH"),
        (("--only", "cancer=2"), "has no such class"),
        (("--contact-sheet", "sheet.jpg"), "is a PNG"),
    ],
)
def test_a_mistake_is_told_before_any_work(radboost, cohort, tmp_path, words, says):
    result = radboost("crops", cohort, "--out", tmp_path / "crops", *words, code=2)
    assert says in result.stderr
    assert not (tmp_path / "crops").exists()
