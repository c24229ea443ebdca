from __future__ import annotations

import warnings

import numpy as np
import pydicom
import pytest

from radboost.data.dicom import DicomImage, NotAnImage, Window, display, read_frame, write_dicom
from radboost.errors import PixelError

# Of all real files, these alone must fail, each for its own reason.
UNREADABLE = {
    "mg/GH1376.dcm": "uncompressed, but the pixel data is encapsulated",
    "codecs/pylibjpeg-data/ljdata/ds/JPEG2000Lossless/966.dcm": "cannot be decoded",
}
# SIZ says signed, the header unsigned: -2048..1717 makes a CT with the file's own window, 63488..65535 does not.
SIGN_OF_CODESTREAM = "TOSHIBA_J2K_SIZ1_PixRep0.dcm"


def files(folder):
    return sorted(p for p in folder.rglob("*") if p.suffix == ".dcm" or p.parent.name.startswith("philips"))


@pytest.mark.parametrize("folder", ["mg", "ct", "codecs"])
def test_every_real_file_is_read_or_refused_for_its_own_reason(shared_data, folder):
    compared = 0
    for path in files(shared_data / folder):
        name = path.relative_to(shared_data).as_posix()
        if path.name == "DIRFILE":
            with pytest.raises(NotAnImage):
                read_frame(path)
            continue
        if name in UNREADABLE:
            with pytest.raises(PixelError, match=UNREADABLE[name]):
                read_frame(path)
            continue
        frame = read_frame(path)
        assert frame.pixels.ndim == 2, name
        reference = None if path.name == SIGN_OF_CODESTREAM else _reference(path, frame)
        if reference is not None:
            compared += 1
            np.testing.assert_array_equal(frame.pixels, reference, err_msg=name)
    assert compared >= {"mg": 3, "ct": 50, "codecs": 45}[folder]


def _reference(path, frame):
    """What pydicom's own plugins read, where they can and where we give stored values."""
    if frame.presentation is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        try:
            pixels = dataset.pixel_array
        except (RuntimeError, AttributeError, NotImplementedError, ValueError):
            return None  # no plugin for this syntax
    return pixels[frame.index] if frame.frames > 1 else pixels


def test_the_same_image_in_nine_syntaxes_is_the_same(shared_data):
    frames = [read_frame(p).pixels for p in files(shared_data / "codecs" / "dcm_qa_ts" / "In")]
    assert len(frames) == 9
    for other in frames[1:]:
        np.testing.assert_array_equal(other, frames[0])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("OBXXXX1A.dcm", "OBXXXX1A_expb.dcm"),
        ("SC_rgb.dcm", "SC_rgb_expb.dcm"),
        ("gdcm-US-ALOKA-16.dcm", "gdcm-US-ALOKA-16_big.dcm"),
        ("liver.dcm", "liver_rle.dcm"),
        ("liver.dcm", "liver_deflate.dcm"),
        ("liver_nonbyte_aligned.dcm", "liver_nonbyte_aligned_deflate.dcm"),
        ("US1_UNCR.dcm", "US1_J2KR.dcm"),
        ("JLSL_RGB_ILV0.dcm", "JLSL_RGB_ILV2.dcm"),
        ("SC_rgb.dcm", "SC_rgb_16bit.dcm"),
    ],
)
def test_byte_order_packing_and_compression_change_no_pixel(shared_data, first, second):
    # Palettes and colour come back as display values, so that this covers their byte order too.
    a, b = (read_frame(shared_data / "codecs" / "pydicom-data" / name) for name in (first, second))
    np.testing.assert_allclose(a.pixels, b.pixels, atol=1)


def test_a_wrong_sign_in_the_header_does_not_wrap_air_to_white(shared_data):
    folder = shared_data / "codecs" / "pylibjpeg-data" / "ljdata" / "ds" / "JPEG2000Lossless"
    one, other = (read_frame(folder / f"TOSHIBA_J2K_SIZ{k}_PixRep{1 - k}.dcm").pixels for k in (0, 1))
    np.testing.assert_array_equal(one, other)


def test_ct_windows_show_the_same_tissue_signed_and_unsigned(tmp_path):
    hounsfield = np.random.default_rng(0).integers(-1000, 1500, (20, 20))
    shown = []
    for k, (dtype, intercept) in enumerate([("i2", 0), ("u2", -1024)]):
        pixels = (hounsfield - intercept).astype(dtype)
        attributes = {"RescaleSlope": 1, "RescaleIntercept": intercept}
        write_dicom(tmp_path / f"{k}.dcm", DicomImage(pixels, 12, attributes=attributes))
        frame = read_frame(tmp_path / f"{k}.dcm")
        shown.append(display(frame.pixels, frame.presentation, (0, 1), Window(40, 80)))
    np.testing.assert_array_equal(*shown)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"Rows": 40000}, "ends early"),
        ({"Rows": 0}, "no image size"),
        ({"Rows": 60000, "Columns": 60000}, "more than .* pixels"),
        ({"NumberOfFrames": 7}, "ends early"),
        ({"BitsStored": 17}, "does not fit"),
        ({"BitsAllocated": 12, "BitsStored": 12}, "not supported"),
        ({"SamplesPerPixel": 2}, "1 or 3 samples"),
        ({"HighBit": 3}, "does not fit"),
    ],
)
def test_a_header_that_lies_is_refused_before_anything_is_allocated(tmp_path, attributes, words):
    pixels = np.zeros((8, 8), np.uint16)
    write_dicom(tmp_path / "a.dcm", DicomImage(pixels, 12, attributes=attributes))
    with pytest.raises(PixelError, match=words):
        read_frame(tmp_path / "a.dcm")


@pytest.mark.parametrize("syntax", ["JPEG2000Lossless", "JPEGLosslessSV1", "JPEGLSLossless", "HTJ2KLossless"])
def test_header_and_codestream_must_agree_on_the_size(tmp_path, syntax):
    # The codestream would be decoded into what it asks for itself, gigabytes perhaps.
    image = DicomImage(np.zeros((8, 8), np.uint16), 12, transfer_syntax=syntax, attributes={"Rows": 16})
    write_dicom(tmp_path / "a.dcm", image)
    with pytest.raises(PixelError, match="disagree"):
        read_frame(tmp_path / "a.dcm")


def test_an_unreadable_rescale_is_refused_not_guessed(tmp_path):
    image = DicomImage(np.zeros((8, 8), np.uint16), 12, attributes={"RescaleSlope": "1", "RescaleIntercept": "1024"})
    write_dicom(tmp_path / "a.dcm", image)
    data = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(data.replace(b"1024", b"10x4"))
    with pytest.raises(PixelError, match="RescaleIntercept"):
        read_frame(tmp_path / "a.dcm")


def test_a_frame_beyond_the_last_is_refused(tmp_path):
    write_dicom(tmp_path / "a.dcm", DicomImage(np.zeros((3, 8, 8), np.uint16), 12))
    with pytest.raises(PixelError, match="3 frames"):
        read_frame(tmp_path / "a.dcm", 3)
