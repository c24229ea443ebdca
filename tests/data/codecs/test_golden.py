"""Every syntax against somebody else's reading: another decoder, or the reference beside the file."""

from __future__ import annotations

import io
import re
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pydicom
import pytest
from PIL import Image

from radboost.data.codecs import SUPPORTED, SYNTAXES, FrameSpec, decode, encode, name_of
from radboost.data.dicom import DicomImage, read_frame, write_dicom

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "dicom-support.md"
PREFIX = "1.2.840.10008.1.2"


def smooth(bits, *, signed=False, shape=(64, 72)):
    """A picture with soft edges, as lossy codecs are made for, over the whole range."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    wave = np.sin(x / 9) * np.cos(y / 13) / 2 + 0.5
    low = -(1 << (bits - 1)) if signed else 0
    kind = ("i" if signed else "u") + ("1" if bits <= 8 else "2")
    return np.rint(low + wave * ((1 << bits) - 1)).astype(kind)


def spec_for(pixels, bits, **changes):
    allocated = pixels.itemsize * 8
    fields = {"rows": pixels.shape[0], "columns": pixels.shape[1], "bits_allocated": allocated, "bits_stored": bits}
    return FrameSpec(**(fields | {"high_bit": bits - 1, "signed": pixels.dtype.kind == "i"} | changes))


def test_nine_syntaxes_give_the_volume_that_another_program_made_of_them(shared_data):
    # One MR mosaic of 6 x 6 slices of 64 x 64, and its conversion to NIfTI, which counts rows from the bottom.
    folder = shared_data / "codecs" / "dcm_qa_ts"
    syntaxes = set()
    for number in range(1, 10):
        path = folder / "In" / f"{number}.dcm"
        pixels = read_frame(path).pixels
        volume = np.frombuffer((folder / "Ref" / f"{number}.nii").read_bytes(), "<i2", offset=352).reshape(35, 64, 64)
        for k, expected in enumerate(volume):
            row, column = divmod(k, 6)
            tile = pixels[64 * row : 64 * row + 64, 64 * column : 64 * column + 64]
            np.testing.assert_array_equal(tile, expected[::-1], err_msg=f"{path.name}, slice {k}")
        syntaxes.add(pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)
    assert len(syntaxes) >= 7


@pytest.mark.parametrize(("bits", "signed"), [(8, False), (10, False), (12, False), (16, False), (16, True)])
def test_another_library_reads_both_wavelet_syntaxes_alike(bits, signed):
    pixels = smooth(bits, signed=signed)
    for name in ("JPEG2000Lossless", "HTJ2KLossless"):
        data = encode(name, pixels, bits)
        ours = decode(SYNTAXES[name], data, spec_for(pixels, bits))
        image = np.asarray(Image.open(io.BytesIO(data)))  # OpenJPEG; HTJ2K goes through OpenJPH with us
        depth = (
            data[data.index(b"\xff\x51") + 40] + 1 & 0x7F
        )  # Ssiz: Pillow scales to 8 or 16 bits, signed to the middle
        theirs = (image >> (image.itemsize * 8 - depth)).astype(np.int64) - ((1 << (depth - 1)) if signed else 0)
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(ours, pixels)


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_two_decoders_read_every_predictor_of_jpeg_lossless_alike(predictor, bits):
    pixels = smooth(bits)
    data = imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=predictor, bitspersample=bits)
    for end in (".4.57", ".4.70"):
        np.testing.assert_array_equal(decode(PREFIX + end, data, spec_for(pixels, bits)), pixels)
    np.testing.assert_array_equal(np.ascontiguousarray(imagecodecs.jpegsof3_decode(data)), pixels)


def test_jpeg_baseline_is_what_opencv_reads():
    pixels = smooth(8)
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    for end in (".4.50", ".4.51"):
        found = decode(PREFIX + end, data, spec_for(pixels, 8))
        # Two inverse transforms may round differently by one (PS3.5 8.2.1 asks for no more).
        assert np.abs(found.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("near", [1, 3])
def test_near_lossless_stays_within_its_bound(bits, near):
    pixels = smooth(bits)
    data = imagecodecs.jpegls_encode(pixels, level=near)
    found = decode(PREFIX + ".4.81", data, spec_for(pixels, bits))
    # NEAR bounds the error of every pixel (ISO 14495-1 3.2).
    assert np.abs(found.astype(int) - pixels).max() <= near


@pytest.mark.parametrize(("end", "encoder"), [(".4.91", "jpeg2k_encode"), (".4.203", "htj2k_encode")])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_irreversible_wavelets_stay_near_the_picture(end, encoder, bits):
    pixels = smooth(bits)
    options = {"level": 80, "bitspersample": bits} if encoder == "jpeg2k_encode" else {"level": 0.0005}
    data = getattr(imagecodecs, encoder)(pixels, reversible=False, **options)
    found = decode(PREFIX + end, bytes(data), spec_for(pixels, bits))
    assert found.dtype == pixels.dtype
    assert np.abs(found.astype(int) - pixels).max() <= max(2, (1 << bits) // 100)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_deflated_frame_is_the_frame(bits):
    pixels = smooth(bits)
    data = imagecodecs.deflate_encode(pixels.tobytes(), raw=True)
    np.testing.assert_array_equal(decode(PREFIX + ".8.1", data, spec_for(pixels, bits)), pixels)


@pytest.mark.parametrize("dtype", ["u4", "i4"])
def test_32_bit_samples_keep_every_bit(dtype):
    ends = np.iinfo(dtype)
    pixels = np.array([[ends.min, -1 if ends.min else 1, ends.max]], dtype)
    little = decode(PREFIX + ".1", pixels.tobytes(), spec_for(pixels, 32))
    big = decode(PREFIX + ".2", pixels.byteswap().tobytes(), spec_for(pixels, 32))
    np.testing.assert_array_equal(little, pixels)
    np.testing.assert_array_equal(big, pixels)


def test_the_table_in_the_documents_names_every_syntax_that_is_read_and_no_other():
    rows = re.findall(r"^\| `(1\.2\.840[\d.]*)` \| ([^|]+?) *\|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert {uid for uid, _ in rows} == SUPPORTED
    # And by its registered name, so that a search for either finds it; pydicom does not know the newest ones.
    assert [name for uid, name in rows if name_of(uid) not in (name, uid)] == []


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("bits", [9, 10, 11, 13, 14, 15])
def test_the_depths_between_come_back_bit_by_bit(tmp_path, syntax, bits):
    pixels = smooth(bits)
    write_dicom(tmp_path / "a.dcm", DicomImage(pixels, bits, transfer_syntax=syntax))
    np.testing.assert_array_equal(read_frame(tmp_path / "a.dcm").pixels, pixels)
