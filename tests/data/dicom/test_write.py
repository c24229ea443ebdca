from __future__ import annotations

import warnings

import numpy as np
import pydicom
import pytest

from radboost.data.codecs import SYNTAXES
from radboost.data.dicom import DicomImage, read_frame, write_dicom

DEPTHS = [("u1", 8), ("u2", 12), ("u2", 16), ("i2", 12), ("i2", 16)]


def picture(dtype, bits, shape=(41, 53)):
    """A walk that reaches both ends of the range, where sign and mask errors show."""
    low = -(1 << (bits - 1)) if dtype[0] == "i" else 0
    high = low + (1 << bits) - 1
    walk = np.cumsum(np.random.default_rng(bits).normal(0, 30, shape), axis=1) + (low + high) / 2
    pixels = walk.clip(low, high).astype(dtype)
    pixels[0, :2] = low, high
    return pixels


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("dtype", "bits"), DEPTHS)
def test_every_lossless_syntax_gives_back_the_pixels_bit_by_bit(tmp_path, syntax, dtype, bits):
    pixels = picture(dtype, bits)
    write_dicom(tmp_path / "a.dcm", DicomImage(pixels, bits, transfer_syntax=syntax))
    frame = read_frame(tmp_path / "a.dcm")
    assert frame.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(frame.pixels, pixels)


@pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "JPEG2000Lossless", "RLELossless"])
@pytest.mark.parametrize(("dtype", "bits"), DEPTHS)
def test_an_independent_reader_agrees(tmp_path, syntax, dtype, bits):
    # Our decoder could undo an error of our encoder; pydicom's own plugins cannot.
    pixels = picture(dtype, bits)
    write_dicom(tmp_path / "a.dcm", DicomImage(pixels, bits, transfer_syntax=syntax))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(pydicom.dcmread(tmp_path / "a.dcm").pixel_array, pixels)


def test_jpeg_lossless_uses_selection_value_1_as_its_syntax_promises(tmp_path):
    write_dicom(tmp_path / "a.dcm", DicomImage(picture("u2", 12), 12, transfer_syntax="JPEGLosslessSV1"))
    data = (tmp_path / "a.dcm").read_bytes()
    scan = data.index(b"\xff\xda\x00\x08\x01")
    assert data[scan + 7] == 1


def test_equal_input_gives_equal_bytes(tmp_path):
    image = DicomImage(
        picture("u2", 16),
        16,
        photometric="MONOCHROME1",
        transfer_syntax="JPEG2000Lossless",
        windows=((40, 80), (80.5, 200)),
        voi_function="SIGMOID",
        attributes={"PatientID": "17", "ImagePositionPatient": [1, 2, 3.5]},
    )
    write_dicom(tmp_path / "a.dcm", image)
    write_dicom(tmp_path / "b.dcm", image)
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()
    # What pydicom would add by itself changes with its version.
    assert b"PYDICOM" not in (tmp_path / "a.dcm").read_bytes()


def test_several_windows_become_one_multi_valued_attribute(tmp_path):
    write_dicom(tmp_path / "a.dcm", DicomImage(picture("u2", 12), 12, windows=((40, 80), (80.5, 200))))
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    assert list(dataset.WindowCenter) == [40, 80.5]
    assert list(dataset.WindowWidth) == [80, 200]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pixels": np.zeros((2, 2), np.float32)}, "uint8, uint16 or int16"),
        ({"pixels": np.full((2, 2), 4096, np.uint16)}, "leave 0..4095"),
        ({"pixels": np.full((2, 2), -2049, np.int16)}, "leave -2048..2047"),
        ({"bits_stored": 17}, "1..16"),
        ({"photometric": "RGB"}, "MONOCHROME1 or MONOCHROME2"),
        ({"transfer_syntax": "JPEGBaseline8Bit"}, "no encoder"),
    ],
)
def test_what_no_reader_could_read_back_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        DicomImage(**({"pixels": np.zeros((2, 2), np.uint16), "bits_stored": 12} | change))


def test_frames_keep_their_order(tmp_path):
    frames = np.stack([np.full((6, 5), k, np.uint16) for k in range(4)])
    for syntax in ("ExplicitVRLittleEndian", "JPEG2000Lossless"):
        write_dicom(tmp_path / "a.dcm", DicomImage(frames, 12, transfer_syntax=syntax))
        assert [int(read_frame(tmp_path / "a.dcm", k).pixels[0, 0]) for k in range(4)] == [0, 1, 2, 3]
        assert read_frame(tmp_path / "a.dcm").index == 2  # the middle one by default
