"""The files: the challenge's long table with its quirks, tags as sparse as the real ones, order by position alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from radboost.data.dicom import read_frame, read_header
from radboost.data.phantom.ct import HeadPhantom, draw_head_patient, render_series, write_rsna_ich
from radboost.data.phantom.ct.write import LABELS
from radboost.data.series import arrange
from radboost.errors import ExistsError, PixelError

PHANTOM = HeadPhantom(patients=8, seed=2, pixels=64, prevalence=0.8)


def sums(folder):
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*.*")}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "cohort"
    write_rsna_ich(out, PHANTOM)
    return out


@pytest.fixture(scope="module")
def table(cohort):
    return pd.read_csv(cohort / "stage_2_train.csv")


@pytest.fixture(scope="module")
def truth(cohort):
    return pd.read_csv(cohort / "truth" / "slices.csv").set_index("image")


@pytest.fixture(scope="module")
def headers(cohort, truth):
    return {name: read_header(cohort / "stage_2_train_images" / f"{name}.dcm") for name in truth.index}


def test_table_has_six_rows_an_image_and_a_few_twice(table, truth):
    assert list(table.columns) == ["ID", "Label"]
    parts = table["ID"].str.extract(r"^(ID_[0-9a-f]{9})_([a-z]+)$")
    assert set(parts[0]) == set(truth.index)
    assert set(parts[1]) == set(LABELS)
    assert table["ID"].duplicated().sum() == 6 * PHANTOM.repeated
    assert len(table) == 6 * (len(truth) + PHANTOM.repeated)
    told = truth.loc[parts[0]].reset_index()
    assert [told[kind][i] for i, kind in enumerate(parts[1])] == table["Label"].tolist()


def test_files_are_those_of_the_table_and_one_is_cut_short(cohort, truth):
    images = cohort / "stage_2_train_images"
    assert {p.stem for p in images.iterdir()} == set(truth.index)
    bad = []
    for name in truth.index:
        try:
            read_frame(images / f"{name}.dcm")
        except PixelError:
            bad.append(name)
    assert len(bad) == PHANTOM.bad


def test_only_the_position_orders_the_slices(headers, truth):
    assert all(h.instance_number is None and h.thickness is None and not h.manufacturer for h in headers.values())
    found = arrange(headers)
    assert (found.table["ordered_by"] == "position").all()
    assert (found.table[["gaps", "duplicates"]] == 0).all(axis=None)
    assert (found.slices["rank"] == truth["rank"].loc[found.slices.index]).all()
    for _, series in truth.groupby("series"):
        ordered = series.sort_values("rank").index.tolist()
        assert ordered != sorted(ordered)
    tilted = {h.orientation[5] > 0 for h in headers.values()}
    assert tilted == {True, False}


def test_headers_name_patient_study_and_series(headers, truth):
    for name, header in headers.items():
        row = truth.loc[name]
        assert (header.patient_id, header.study_uid, header.series_uid) == (row["patient"], row["study"], row["series"])
        assert header.instance_uid == name
    assert truth["patient"].nunique() == PHANTOM.patients


def test_both_pixel_formats_and_syntaxes_hold_the_rendered_hu(cohort, headers):
    assert {(h.signed, h.bits_stored, h.intercept) for h in headers.values()} == {(True, 16, 0.0), (False, 12, -1024.0)}
    assert len({h.transfer_syntax for h in headers.values()}) == 2
    middle = slice(16, 48)
    for index in range(PHANTOM.patients):
        patient = draw_head_patient(PHANTOM, index)
        series = patient.series[0]
        name = series.names[12]
        frame = read_frame(cohort / "stage_2_train_images" / f"{name}.dcm")
        found = frame.pixels.astype(float) + headers[name].intercept
        expected = render_series(patient, series, 64)[12]
        np.testing.assert_allclose(found[middle, middle], expected[middle, middle], atol=0.51)
        assert found[0, 0] == -2000 if patient.scanner.signed else found[0, 0] >= -1024


def test_bytes_depend_neither_on_workers_nor_on_cohort_size(cohort, tmp_path):
    write_rsna_ich(tmp_path / "few", replace(PHANTOM, patients=2, bad=0), workers=2)
    whole, few = sums(cohort), sums(tmp_path / "few")
    images = [name for name in few if name.endswith(".dcm")]
    assert sum(few[name] != whole[name] for name in images) <= PHANTOM.bad


def test_test_table_is_the_sample_submission(tmp_path):
    out = tmp_path / "exams"
    write_rsna_ich(out, replace(PHANTOM, patients=2, test=True, first_patient=100))
    table = pd.read_csv(out / "stage_2_sample_submission.csv")
    assert (table["Label"] == 0.5).all()
    assert not table["ID"].duplicated().any()
    assert not (out / "stage_2_train.csv").exists()
    assert {f"{p.stem}_any" for p in (out / "stage_2_test_images").iterdir()} <= set(table["ID"])


def test_an_existing_cohort_is_not_overwritten(cohort):
    with pytest.raises(ExistsError, match="already there"):
        write_rsna_ich(cohort, PHANTOM)
