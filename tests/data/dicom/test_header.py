from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from radboost.data.dicom import DicomImage, NotAnImage, classify, read_header, write_dicom
from radboost.errors import PixelError

PIXELS = np.zeros((4, 6), np.uint16)


@pytest.fixture
def write(tmp_path):
    def make(name="a.dcm", **attributes):
        path = tmp_path / name
        write_dicom(path, DicomImage(PIXELS, 12, attributes=attributes))
        return path

    return make


def test_a_header_gives_what_the_file_says(write):
    path = write(
        PatientID="17",
        StudyInstanceUID="1.2",
        Modality="MG",
        ImageLaterality="L",
        ViewPosition="MLO",
        InstanceNumber=3,
        ImagePositionPatient=[1, 2, 3.5],
        PixelSpacing=[0.5, 0.25],
        PatientAge="018M",
    )
    header = read_header(path)
    assert (header.patient_id, header.study_uid, header.modality) == ("17", "1.2", "MG")
    assert (header.laterality, header.view, header.instance_number) == ("L", "MLO", 3)
    assert (header.rows, header.columns, header.frames, header.bits_stored) == (4, 6, 1, 12)
    assert header.position == (1, 2, 3.5)
    assert header.spacing == (0.5, 0.25)
    assert header.age == pytest.approx(1.5)
    assert header.transfer_syntax == "1.2.840.10008.1.2.1"


def test_nothing_is_trusted_to_be_there(write):
    # The breast and lumbar data sets lack Modality; both lack ViewPosition.
    header = read_header(write())
    assert (header.patient_id, header.modality, header.laterality, header.view) == ("", "", "", "")
    assert (header.instance_number, header.position, header.spacing, header.age) == (None, None, None, None)


def test_imager_spacing_stands_in_for_pixel_spacing(write):
    assert read_header(write(ImagerPixelSpacing=[0.07, 0.07])).spacing == (0.07, 0.07)


def test_a_header_costs_no_pixels(tmp_path, write):
    # Reading 54,706 headers must not read 300 GB: a file cut behind its header reads the same.
    path = write(PatientID="17")
    whole = read_header(path)
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(path.read_bytes()[: -PIXELS.nbytes])
    assert read_header(cut) == whole


def test_an_object_without_pixels_is_no_image(tmp_path):
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = "1.2.840.10008.5.1.4.1.1.88.67", "1.2.3", "SR"
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    with pytest.raises(NotAnImage, match="no image .got SR."):
        read_header(tmp_path / "report.dcm")


def test_a_directory_is_no_image(shared_data):
    with pytest.raises(NotAnImage, match="DICOMDIR"):
        read_header(shared_data / "ct" / "philips-S2010" / "DIRFILE")


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 128 + b"DICM", b"\0" * 400])
def test_what_is_no_dicom_is_damaged_not_skipped(tmp_path, content):
    # Named .dcm, so the user means an image: passing it by in silence would lose a patient.
    path = tmp_path / "a.dcm"
    path.write_bytes(content)
    assert classify(path) == "dicom"
    with pytest.raises(PixelError) as caught:
        read_header(path)
    assert not isinstance(caught.value, NotAnImage)


def test_kinds_are_told_by_content_before_name(tmp_path, write):
    assert classify(write("no_suffix")) == "dicom"
    assert classify(write("wrong.png")) == "dicom"
    bare = tmp_path / "bare"
    bare.write_bytes(write().read_bytes()[132:])
    assert classify(bare) == "dicom"
    for name, content, kind in [
        ("a.png", b"nonsense", "raster"),
        ("scan", b"P5\n1 1\n255\n\0", "raster"),
        ("labels.csv", b"P5,P6\n", "other"),
        ("README", b"hello", "other"),
        ("empty", b"", "other"),
    ]:
        (tmp_path / name).write_bytes(content)
        assert classify(tmp_path / name) == kind, name


def test_a_file_without_preamble_reads_the_same(tmp_path, write):
    path = write(PatientID="17")
    (tmp_path / "bare").write_bytes(path.read_bytes()[132:])
    assert read_header(tmp_path / "bare") == read_header(path)


def test_a_missing_file_is_a_pixel_error(tmp_path):
    with pytest.raises(PixelError, match="cannot be opened"):
        classify(tmp_path / "none.dcm")
    with pytest.raises(PixelError, match="cannot be read"):
        read_header(tmp_path / "none.dcm")
