"""The files: the competition's layout, tags as sparse as the real ones, the same bytes whoever writes them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1

from radboost.data.dicom import display, read_frame
from radboost.data.phantom.breast import BreastPhantom, draw_patient, render_view, write_rsna_breast
from radboost.data.phantom.breast.write import TEST_COLUMNS, TRAIN_COLUMNS
from radboost.errors import ExistsError

PHANTOM = BreastPhantom(patients=16, seed=2, pixels=160, prevalence=0.3)


def sums(folder):
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*.*")}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "cohort"
    write_rsna_breast(out, PHANTOM)
    return out


@pytest.fixture(scope="module")
def table(cohort):
    return pd.read_csv(cohort / "train.csv")


@pytest.fixture(scope="module")
def headers(cohort, table):
    return {
        row.image_id: pydicom.dcmread(cohort / "train_images" / str(row.patient_id) / f"{row.image_id}.dcm")
        for row in table.itertuples()
    }


def test_table_has_the_columns_of_the_competition(table):
    assert tuple(table.columns) == TRAIN_COLUMNS
    assert table["image_id"].is_unique
    assert table["patient_id"].nunique() == PHANTOM.patients
    assert set(table["laterality"]) == {"L", "R"}
    assert table["density"].dropna().isin(list("ABCD")).all()
    assert table["density"].isna().any()


def test_every_row_has_its_file_and_every_file_its_row(cohort, table):
    listed = {f"{p}/{i}.dcm" for p, i in zip(table["patient_id"], table["image_id"], strict=True)}
    images = cohort / "train_images"
    assert {p.relative_to(images).as_posix() for p in images.rglob("*.dcm")} == listed


def test_tags_are_as_sparse_as_in_the_real_files(headers):
    # Who relies on these would work on the phantom and fail on the real images.
    for dataset in headers.values():
        for keyword in ("Modality", "ViewPosition", "Laterality", "ImageLaterality", "PatientAge"):
            assert keyword not in dataset
    uids = [dataset.SOPInstanceUID for dataset in headers.values()]
    assert len(set(uids)) == len(uids)
    assert all(uid.is_valid for uid in uids)


def test_studies_are_patients(headers, table):
    patients = dict(zip(table["image_id"], table["patient_id"], strict=True))
    studies = {(patients[image], dataset.StudyInstanceUID) for image, dataset in headers.items()}
    assert len(studies) == len({study for _, study in studies}) == PHANTOM.patients
    assert all(dataset.PatientID == str(patients[image]) for image, dataset in headers.items())


def test_syntaxes_depths_and_windows_vary(headers):
    found = headers.values()
    assert {d.file_meta.TransferSyntaxUID for d in found} == {JPEG2000Lossless, JPEGLosslessSV1}
    assert {(d.PhotometricInterpretation, d.BitsStored) for d in found} == {("MONOCHROME1", 16), ("MONOCHROME2", 12)}
    assert {d.VOILUTFunction for d in found} == {"LINEAR", "SIGMOID"}
    assert {d["WindowCenter"].VM for d in found} >= {1, 3}


def test_files_hold_what_was_rendered_and_show_as_rendered(cohort):
    # The reader's own chain, decoding to display, against the phantom's formula: two independent implementations.
    machines = set()
    for index in range(PHANTOM.patients):
        patient = draw_patient(PHANTOM, index)
        view = patient.views[0]
        image = render_view(patient, view, PHANTOM.pixels)
        frame = read_frame(cohort / "train_images" / str(patient.patient_id) / f"{view.image_id}.dcm")
        np.testing.assert_array_equal(frame.pixels, image.pixels)
        shown = display(frame.pixels, frame.presentation, frame.extent()) / 65535
        np.testing.assert_allclose(shown, image.display(), atol=0.002)
        machines.add(patient.machine.machine_id)
    assert len(machines) >= 4


def test_bytes_depend_neither_on_workers_nor_on_cohort_size(cohort, tmp_path):
    write_rsna_breast(tmp_path / "few", replace(PHANTOM, patients=4), workers=2)
    whole, few = sums(cohort), sums(tmp_path / "few")
    images = [name for name in few if name.endswith(".dcm")]
    assert len(images) > 12
    assert all(few[name] == whole[name] for name in images)


def test_test_table_has_no_labels(tmp_path):
    out = tmp_path / "exams"
    write_rsna_breast(out, replace(PHANTOM, patients=2, test=True, first_patient=100))
    table = pd.read_csv(out / "test.csv")
    assert tuple(table.columns) == TEST_COLUMNS
    assert (table["prediction_id"] == table["patient_id"].astype(str) + "_" + table["laterality"]).all()
    assert not (out / "train.csv").exists()
    for row in table.itertuples():
        assert (out / "test_images" / str(row.patient_id) / f"{row.image_id}.dcm").is_file()
    units = pd.read_csv(out / "truth" / "units.csv")
    assert set(units["prediction_id"]) == set(table["prediction_id"])


def test_truth_agrees_with_the_table(cohort, table):
    lesions = pd.read_csv(cohort / "truth" / "lesions.csv")
    assert set(lesions.loc[lesions["malignant"] == 1, "image_id"]) == set(table.loc[table["cancer"] == 1, "image_id"])
    assert (lesions["x1"] > lesions["x0"]).all()
    assert (lesions["y1"] <= PHANTOM.pixels).all()
    asked = json.loads((cohort / "truth" / "phantom.json").read_text("utf-8"))
    assert asked["seed"] == PHANTOM.seed
    assert asked["prevalence"] == PHANTOM.prevalence


def test_an_existing_cohort_is_not_overwritten(cohort):
    before = sums(cohort)
    with pytest.raises(ExistsError, match="already there"):
        write_rsna_breast(cohort, PHANTOM)
    assert sums(cohort) == before


def test_progress_counts_patients(tmp_path):
    class Count:
        total, done = 0, 0

        def start(self, what, total):
            self.total = total

        def advance(self, steps=1):
            self.done += steps

        def say(self, text):
            raise AssertionError(text)

    count = Count()
    write_rsna_breast(tmp_path / "cohort", replace(PHANTOM, patients=3, pixels=64), count)
    assert count.total == count.done == 3
