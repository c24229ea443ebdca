"""Real head CT through the haemorrhage task: order, tilt and spacing are told from the headers, the rest is apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radboost.data.dicom import DicomImage, read_header, write_dicom
from radboost.data.index import IndexConfig, index
from radboost.data.tasks.rsna_ich import RSNA_ICH

GE, PHILIPS = "ge", "philips-S2010"
LOCALISER, REPORT = "ID_localiser", "ID_report"


@pytest.fixture(scope="module")
def exams(shared_data: Path, tmp_path_factory) -> Path:
    """Lay both series out as the challenge does, under names that tell nothing, with a localiser and a dose report.

    The public series come without these two, so they are written here, as they would stand in the same study.
    """
    root = tmp_path_factory.mktemp("ct")
    images = root / "stage_2_test_images"
    images.mkdir()
    files = [p for folder in (GE, PHILIPS) for p in sorted((shared_data / "ct" / folder).iterdir())]
    files = [p for p in files if p.name != "DIRFILE"]
    names = [f"ID_{number:09x}" for number in np.random.default_rng(0).permutation(len(files))]
    for path, name in zip(files, names, strict=True):
        (images / f"{name}.dcm").symlink_to(path)
    # A directory is no image, whoever put it there.
    (images / "DIRFILE").symlink_to(shared_data / "ct" / PHILIPS / "DIRFILE")
    study = read_header(files[0])
    same = {"PatientID": study.patient_id, "StudyInstanceUID": study.study_uid, "Modality": "CT"}
    scout = {"SeriesInstanceUID": "1.2.840.99.1", "SOPInstanceUID": "1.2.840.99.2", "RescaleIntercept": -1024}
    scout |= {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1], "ImagePositionPatient": [0, -120, 200]}
    scout |= {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "RescaleSlope": 1}
    picture = np.zeros((64, 64), np.uint16)
    write_dicom(images / f"{LOCALISER}.dcm", DicomImage(picture, 12, attributes={**same, **scout}))
    _dose_report(images / f"{REPORT}.dcm", same)
    ids = [f"{n}_{t.name}" for n in [*sorted(names), LOCALISER, REPORT] for t in RSNA_ICH.targets]
    pd.DataFrame({"ID": ids, "Label": 0.5}).to_csv(root / "stage_2_sample_submission.csv", index=False)
    return root


def _dose_report(path: Path, same: dict[str, str]) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    report = Dataset()
    for keyword, value in {**same, "Modality": "SR", "SOPInstanceUID": "1.2.840.99.3"}.items():
        setattr(report, keyword, value)
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.67"  # X-Ray Radiation Dose SR Storage
    report.file_meta = FileMetaDataset()
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID
    report.file_meta.MediaStorageSOPInstanceUID = report.SOPInstanceUID
    report.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="module")
def cohort(exams: Path):
    return index(exams, RSNA_ICH, IndexConfig(new_exams=True, workers=1)).cohort


@pytest.fixture(scope="module")
def slices(cohort) -> pd.DataFrame:
    """One row an image: where it lies, and its header features."""
    table = cohort.manifest.merge(cohort.header_features(), on="crop_id", suffixes=("", "_"))
    table["number"] = [_number(cohort.root / path) for path in table["path"]]
    return table


def _number(path: Path) -> int:
    return -1 if path.stem == REPORT else read_header(path).instance_number or 0


def test_slices_stand_in_the_scanners_order_by_position_alone(cohort, slices):
    axial = slices[slices["slices_in_series"] > 1]
    assert axial.groupby("series").size().tolist() == [28, 28]
    told = cohort.series.set_index("series").loc[axial["series"].unique()]
    assert (told["ordered_by"] == "position").all()
    assert (told["duplicates"] == 0).all()
    for _, series in axial.groupby("series"):
        # Their names are shuffled; the scanner's own numbers only judge.
        assert series.sort_values("order")["number"].tolist() == list(range(1, 29))
        assert series.sort_values("number")["rank_in_series"].tolist() == list(range(28))


def test_spacing_and_tilt_are_those_of_the_scanner(slices):
    by_patient = dict(iter(slices[slices["slices_in_series"] > 1].groupby("group")))
    straight, tilted = (by_patient[name] for name in sorted(by_patient, key=lambda n: by_patient[n]["tilt"].iloc[0]))
    # The tilted series was scanned at 18.5 degrees, 4 mm at the base of the skull and 7 mm above.
    assert tilted["tilt"].to_numpy() == pytest.approx(18.5, abs=0.05)
    gaps = tilted.sort_values("number")["gap_before"].to_numpy()
    assert gaps[1:14] == pytest.approx(4, abs=0.01)
    assert gaps[15:] == pytest.approx(7, abs=0.01)
    assert tilted["slice_distance"].unique() == pytest.approx(4, abs=0.01)
    assert tilted["gap_ratio"].iloc[0] > 6
    assert (straight["tilt"] == 0).all()
    assert straight["gap_before"].dropna().to_numpy() == pytest.approx(5, abs=1e-3)
    assert straight["gap_ratio"].iloc[0] == pytest.approx(1, abs=1e-3)
    # Padding reaches below air, brain lies between water and bone.
    assert slices["pixel_min"].min() < -1000
    assert (slices["plane"][slices["slices_in_series"] > 1] == "axial").all()
    assert set(slices["bit_type"]) >= {"16s+0", "12u-1024"}


def test_localiser_and_report_are_apart(cohort, slices):
    scout = slices[slices["path"].str.contains(LOCALISER)].iloc[0]
    assert (scout["plane"], scout["slices_in_series"]) == ("sagittal", 1)
    # In a series of its own, it is nobody's neighbour, though patient and study are shared.
    assert (slices["study"] == scout["study"]).sum() == 29
    assert (slices["series"] == scout["series"]).sum() == 1
    assert np.isnan([scout["gap_before"], scout["gap_after"]]).all()
    # The report holds no pixels: set aside by name and reason, its row still predicted.
    assert cohort.quarantine["path"].tolist() == [f"stage_2_test_images/{REPORT}.dcm"]
    assert len(cohort.units) == 58
