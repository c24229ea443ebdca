"""Every element of the headers as a table: typed, a row an image, and nobody is named in it."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from radboost.data.dicom import DicomImage, write_dicom
from radboost.data.index import IndexConfig, index

SECRETS = ("Doe", "Jane", "19510203", "20191104", "101112", "Saint", "Elsewhere", "rang twice", "7777", "Dr", "SN-4242")
"""Parts of what the files below hold and the table must not."""
STUDY, SERIES, FRAME = "1.2.826.0.1.1", "1.2.826.0.1.2", "1.2.826.0.1.3"


def item(**attributes: object) -> Dataset:
    found = Dataset()
    for keyword, value in attributes.items():
        setattr(found, keyword, value)
    return found


def write(path: Path, number: int, **more: object) -> None:
    named = {
        "PatientName": "Doe^Jane",
        "PatientID": "7777",
        "PatientBirthDate": "19510203",
        "PatientComments": "rang twice, ask Dr Who",
        "StudyDate": "20191104",
        "AcquisitionDateTime": "20191104101112",
        "ContentTime": "101112",
        "AccessionNumber": "7777",
        "InstitutionName": "Saint Elsewhere",
        "StudyDescription": "head of Jane Doe",
        "ReferringPhysicianName": "Dr^Who",
        "DeviceSerialNumber": "SN-4242",
        "StationName": "Elsewhere-3",
        "ProtocolName": "Doe protocol",
    }
    told = {
        "PatientAge": "093Y",
        "PatientSex": "F",
        "KVP": 120,
        "ExposureTime": 750,
        "PixelSpacing": [0.5, 0.25],
        "ConvolutionKernel": "H31s",
        "Manufacturer": "A maker",
        "ScanOptions": ["HELIX", "CTA"],
        "BodyPartExamined": "head of Jane",
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": SERIES,
        "FrameOfReferenceUID": FRAME,
        "SOPInstanceUID": f"1.2.826.0.1.4.{number}",
        "RequestAttributesSequence": Sequence([item(RequestedProcedureID="7777", ScheduledProcedureStepID="Doe")]),
        "CTExposureSequence": Sequence([item(ExposureTimeInms=3.5, OperatorsName="Dr^Who")]),
        "SourceImageSequence": Sequence([item(ReferencedSOPInstanceUID=STUDY)] * 2),
    }
    with warnings.catch_warnings():
        # People type where only codes may stand.
        warnings.filterwarnings("ignore", message=".*Invalid value for VR CS")
        write_dicom(path, DicomImage(np.zeros((4, 4), np.uint16), 12, attributes={**named, **told, **more}))


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "data"
    root.mkdir()
    write(root / "Doe-1.dcm", 1)
    write(root / "Doe-2.dcm", 2, KVP=None, PatientAge="006M", RotationVector=None, SliceThickness=5)
    cv2.imwrite(str(root / "picture.png"), np.zeros((4, 4), np.uint8))
    add_private(root / "Doe-2.dcm")
    return root


def add_private(path: Path) -> None:
    import pydicom

    dataset = pydicom.dcmread(path)
    block = dataset.private_block(0x0099, "Elsewhere creator", create=True)
    block.add_new(1, "LO", "Jane Doe, private")
    block.add_new(2, "DS", "7777")
    dataset.save_as(path)


@pytest.fixture
def saved(folder, tmp_path):
    made = index(folder, None, IndexConfig(headers="all", workers=1, key=bytes(range(32)))).cohort
    return made.save(tmp_path / "cohort")


def test_nobody_is_named_and_no_identifier_is_in_clear(saved):
    text = (saved.folder / "elements.csv").read_text()
    table = pd.read_parquet(saved.folder / "elements.parquet")
    cells = " ".join([*table.columns, *table.select_dtypes(exclude="number").astype(str).to_numpy().ravel()])
    for content in (text, cells, (saved.folder / "elements.parquet").read_bytes().decode("latin-1")):
        for secret in (*SECRETS, STUDY, SERIES, FRAME, "1.2.826"):
            assert secret not in content, secret
    gone = (
        "Name",
        "Date",
        "Time",
        "Description",
        "Comments",
        "PatientID",
        "Accession",
        "Serial",
        "Station",
        "Protocol",
    )
    # Durations are numbers and stay; times of day go.
    left = [
        c for c in table.columns if any(word in c for word in gone) and not c.startswith(("Exposure", "CTExposure"))
    ]
    assert left == []


def test_numbers_are_numbers_and_codes_words(saved):
    table = pd.read_parquet(saved.folder / "elements.parquet")
    first, second, picture = (table.iloc[k] for k in range(3))
    assert table["crop_id"].tolist() == saved.manifest["crop_id"].tolist()
    assert table["KVP"].dtype == np.float64
    assert (first["KVP"], first["ExposureTime"]) == (120, 750)
    assert np.isnan(second["KVP"])
    assert (first["PixelSpacing.1"], first["PixelSpacing.2"]) == (0.5, 0.25)
    assert (second["SliceThickness"], second["PatientAge"]) == (5, 0.5)
    # Older than ninety tells who it is.
    assert first["PatientAge"] == 90
    assert (first["PatientSex"], first["ScanOptions"], first["ConvolutionKernel"]) == ("F", "HELIX/CTA", "H31s")
    # Free text in an element of codes is no code.
    assert "BodyPartExamined" not in table.columns
    assert (first["CTExposureSequence.items"], first["CTExposureSequence.ExposureTimeInms"]) == (1, 3.5)
    assert first["SourceImageSequence.items"] == 2
    assert not any(c.startswith("SourceImageSequence.Ref") for c in table.columns)
    assert picture.drop("crop_id").replace("", np.nan).isna().all()


def test_uids_are_hashed_alike_where_they_are_alike(saved):
    table = pd.read_parquet(saved.folder / "elements.parquet")
    dicom = table.iloc[:2]
    for name, distinct in (("StudyInstanceUID", 1), ("FrameOfReferenceUID", 1), ("SOPInstanceUID", 2)):
        assert dicom[name].nunique() == distinct
        assert dicom[name].str.fullmatch("[0-9a-f]{32}").all()
    # What the standard named names nobody.
    assert (dicom["TransferSyntaxUID"].str.startswith("1.2.840.10008.")).all()


def test_it_is_made_only_when_asked_for(folder, tmp_path):
    cohort = index(folder, None, IndexConfig(headers="geometry", workers=1)).cohort
    assert cohort.elements is None
    cohort.save(tmp_path / "plain")
    assert not (tmp_path / "plain" / "elements.parquet").exists()
