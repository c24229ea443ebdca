"""Crops as files: the same pixels as `render` gives, named by nothing that tells a patient, written once."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from radboost.data.cohort import Cohort
from radboost.data.crop import CropJob, PixelPolicy
from radboost.data.dicom.write import DicomImage, write_dicom
from radboost.data.export import LIST, ExportConfig, export_crops
from radboost.data.index import IndexConfig, index
from radboost.data.render import render
from radboost.data.selection import select_rows
from radboost.errors import ExistsError, MismatchError, PixelError, UserError

PIXELS = PixelPolicy.of("frame", 48)
CONFIG = ExportConfig(PIXELS, workers=1)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Cohort:
    root = tmp_path_factory.mktemp("hospital") / "SECRET"
    random = np.random.default_rng(0)
    for patient in range(2):
        for image in range(2):
            path = root / f"patient{patient}" / f"image{image}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            ids = {"PatientID": f"SECRET-{patient}", "SOPInstanceUID": f"1.2.{patient}.{image}.777777"}
            ids |= {"ViewPosition": ("CC", "MLO")[image], "ImageLaterality": "L"}
            pixels = random.integers(0, 4096, (60, 40)).astype(np.uint16)
            write_dicom(path, DicomImage(pixels, 12, attributes=ids))
    several = random.integers(0, 4096, (3, 60, 40)).astype(np.uint16)
    write_dicom(root / "several.dcm", DicomImage(several, 12))
    # A sound header whose pixels end early: found by `index`, and no crop.
    cut = (root / "patient0" / "image0.dcm").read_bytes()
    (root / "cut.dcm").write_bytes(cut[:-2000])
    made = index(root, None, IndexConfig(key=bytes(32), workers=1, frames="all")).cohort
    return made.save(tmp_path_factory.mktemp("cohort") / "c")


def rows(cohort: Cohort) -> np.ndarray:
    return np.arange(len(cohort.manifest))


@pytest.mark.parametrize(("kind", "scale"), [("png", 257), ("png16", 1), ("npy", 1)])
def test_a_file_holds_what_render_gives(cohort, tmp_path, kind, scale):
    done = export_crops(cohort, rows(cohort), tmp_path / "out", replace(CONFIG, format=kind))
    assert (done.new, done.before, done.failed) == (7, 0, 1)
    listed = pd.read_csv(tmp_path / "out" / LIST)
    assert len(listed) == 7
    for row in listed.itertuples():
        path = tmp_path / "out" / row.file
        got = np.load(path)[0] if kind == "npy" else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        entry = cohort.manifest.set_index("crop_id").loc[row.crop_id]
        expected = np.empty(PIXELS.shape, np.uint16)
        render(CropJob(str(cohort.root / entry["path"]), int(entry["frame"])), PIXELS, expected)
        np.testing.assert_array_equal(got, np.round(expected[0] / scale).astype(got.dtype))
        assert (row.right - row.left, row.bottom - row.top) == (40, 60)


def test_three_windows_become_red_green_and_blue(cohort, tmp_path):
    policy = replace(PIXELS, windows=((500, 100), (2000, 1000), (2000, 4000)))
    one = select_rows(cohort, ["view=CC", "group=SECRET-1"])[-1:]
    export_crops(cohort, one, tmp_path / "out", replace(CONFIG, pixels=policy, format="png16"))
    file = pd.read_csv(tmp_path / "out" / LIST)["file"][0]
    got = cv2.imread(str(tmp_path / "out" / file), cv2.IMREAD_UNCHANGED)
    expected = np.empty(policy.shape, np.uint16)
    render(CropJob(str(cohort.root / cohort.manifest["path"].iat[one[0]])), policy, expected)
    np.testing.assert_array_equal(np.moveaxis(got[..., ::-1], -1, 0), expected)
    with pytest.raises(UserError, match="one channel or three"):
        ExportConfig(replace(PIXELS, windows=((1, 2), (3, 4))))


def test_nothing_written_tells_a_patient_unless_the_owner_asks(cohort, tmp_path):
    export_crops(cohort, rows(cohort), tmp_path / "out", CONFIG)
    secrets = [b"SECRET", b"patient", b"777777", str(cohort.root).encode()]
    for path in (tmp_path / "out").rglob("*"):
        content = path.name.encode() + path.read_bytes()
        assert not any(secret in content for secret in secrets), path.name
    shown = export_crops(cohort, rows(cohort), tmp_path / "shown", replace(CONFIG, show_ids=True))
    files = {p.relative_to(shown.folder).as_posix() for p in shown.folder.rglob("*.png")}
    assert "patient1/image0.png" in files
    # Three frames of one file are three files.
    assert sum(f.startswith("several-") for f in files) == 3


def test_a_failed_crop_is_told_in_the_cohort_and_ends_a_strict_run(cohort, tmp_path):
    export_crops(cohort, rows(cohort), tmp_path / "out", CONFIG)
    told = sorted((cohort.folder / "quarantine").glob("crops-*.csv"))[-1]
    assert pd.read_csv(told)["path"].tolist() == ["cut.dcm"]
    with pytest.raises(PixelError, match=r"cut\.dcm.*--strict"):
        export_crops(cohort, rows(cohort), tmp_path / "strict", replace(CONFIG, strict=True))


def test_a_second_run_writes_what_is_missing_and_nothing_else(cohort, tmp_path):
    out = tmp_path / "out"
    export_crops(cohort, rows(cohort), out, CONFIG)
    whole = {p.name: p.read_bytes() for p in out.iterdir()}
    lines = (out / LIST).read_text().splitlines(keepends=True)
    # What a run leaves that was killed in the middle of a line, and a picture that somebody deleted.
    (out / LIST).write_text("".join(lines[:4]) + lines[4][:20])
    gone = lines[1].split(",")[1]
    (out / gone).unlink()
    kept = [p.stat().st_mtime_ns for p in sorted(out.glob("*.png")) if p.name in "".join(lines[2:4])]
    again = export_crops(cohort, rows(cohort), out, CONFIG)
    assert (again.new, again.before) == (5, 2)
    assert {p.name: p.read_bytes() for p in out.glob("*.png")} == {k: v for k, v in whole.items() if k[-4:] == ".png"}
    assert kept == [p.stat().st_mtime_ns for p in sorted(out.glob("*.png")) if p.name in "".join(lines[2:4])]


def test_other_settings_or_other_folders_are_refused(cohort, tmp_path):
    out = tmp_path / "out"
    export_crops(cohort, rows(cohort), out, CONFIG)
    with pytest.raises(MismatchError, match=r"pixels\.size"):
        export_crops(cohort, rows(cohort), out, replace(CONFIG, pixels=PixelPolicy.of("frame", 64)))
    replaced = replace(CONFIG, pixels=PixelPolicy.of("frame", 64), overwrite=True)
    assert export_crops(cohort, rows(cohort), out, replaced).new == 7
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(ExistsError):
        export_crops(cohort, rows(cohort), tmp_path / "mine", CONFIG)
    with pytest.raises(UserError, match="is no crops"):
        export_crops(cohort, rows(cohort), tmp_path / "mine", replace(CONFIG, overwrite=True))
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "dear"


def test_a_target_that_cannot_be_written_is_no_fault_of_the_images(cohort, tmp_path, monkeypatch):
    out = tmp_path / "out"
    export_crops(cohort, select_rows(cohort, ["view=CC"]), out, CONFIG)
    name = next(iter(out.glob("*.png"))).name
    (out / name).unlink()
    (out / name).mkdir()  # a folder in its place, which no file replaces
    with pytest.raises(UserError, match="cannot be written"):
        export_crops(cohort, select_rows(cohort, ["view=CC"]), out, CONFIG)


def test_boxes_are_asked_for_and_the_cohort_has_none(cohort, tmp_path):
    with pytest.raises(UserError, match="has no boxes"):
        export_crops(cohort, rows(cohort), tmp_path / "out", replace(CONFIG, pixels=PixelPolicy.of("box", 48)))
    assert not (tmp_path / "out").exists()


def test_the_header_tells_how_the_crops_were_made(cohort, tmp_path):
    export_crops(cohort, rows(cohort), tmp_path / "out", CONFIG)
    header = json.loads((tmp_path / "out" / "crops.json").read_text())
    assert header["fingerprint"]["pixels"]["size"] == 48


def test_conditions_choose_crops(cohort):
    manifest = cohort.manifest
    assert set(manifest["view"].iloc[select_rows(cohort, ["view=CC"])]) == {"CC"}
    both = select_rows(cohort, ["view=CC", "view=MLO", "group=SECRET-1"])
    assert manifest["path"].iloc[both].tolist() == ["patient1/image0.dcm", "patient1/image1.dcm"]
    drawn = select_rows(cohort, sample=3, seed=1)
    assert len(drawn) == 3
    np.testing.assert_array_equal(drawn, select_rows(cohort, sample=3, seed=1))
    assert (np.diff(drawn) > 0).all()


@pytest.mark.parametrize(
    ("condition", "says"),
    [("view", "NAME=VALUE"), ("veiw=CC", "Known: crop_id"), ("view=AP", "no crop fits")],
)
def test_a_condition_that_cannot_be_met_is_one_clear_error(cohort, condition, says):
    with pytest.raises(UserError, match=says):
        select_rows(cohort, [condition])
