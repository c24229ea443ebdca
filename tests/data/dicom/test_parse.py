from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, encapsulate_extended

from radboost.data.codecs import encode
from radboost.data.dicom import DicomImage, parse, read_frame, read_header, write_dicom
from radboost.errors import PixelError

FRAMES = np.stack([np.full((40, 30), k, np.uint16) for k in range(6)])


def test_one_frame_of_many_is_read_without_the_others(tmp_path):
    # 64 MB: a tomosynthesis volume has gigabytes, and a worker's memory is limited.
    frames = np.zeros((64, 512, 1024), np.uint16)
    frames[:] = np.arange(64)[:, None, None]
    for syntax in ("ExplicitVRLittleEndian", "RLELossless"):
        write_dicom(tmp_path / "a.dcm", DicomImage(frames, 16, transfer_syntax=syntax))
        tracemalloc.start()
        pixels = read_frame(tmp_path / "a.dcm", 41).pixels
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (pixels == 41).all()
        assert peak < 8 << 20


def test_an_uncompressed_frame_is_the_file_itself_and_no_copy(tmp_path):
    write_dicom(tmp_path / "a.dcm", DicomImage(FRAMES, 16))
    pixels = read_frame(tmp_path / "a.dcm", 2).pixels
    base = pixels
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    assert not pixels.flags.writeable


@pytest.mark.parametrize("table", ["none", "basic", "extended"])
@pytest.mark.parametrize("fragments", [1, 3])
def test_frames_are_told_apart_with_and_without_an_offset_table(tmp_path, table, fragments):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 4096, (5, 24, 24)).astype(np.uint16)
    write_dicom(tmp_path / "a.dcm", DicomImage(frames, 12, transfer_syntax="JPEGLSLossless"))
    dataset = dcmread(tmp_path / "a.dcm")
    streams = [encode("JPEGLSLossless", frame, 12) for frame in frames]
    if table == "extended":
        streams = [s + b"\0" * (len(s) % 2) for s in streams]
        dataset.PixelData, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = encapsulate_extended(
            streams
        )
    else:
        dataset.PixelData = encapsulate(streams, fragments_per_frame=fragments, has_bot=table == "basic")
    dataset.save_as(tmp_path / "a.dcm")
    for k in range(5):
        np.testing.assert_array_equal(read_frame(tmp_path / "a.dcm", k).pixels, frames[k])


@pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "JPEG2000Lossless"])
@pytest.mark.parametrize("missing", [9, 1000])
def test_a_file_that_ends_early_says_how_much_is_missing(tmp_path, syntax, missing):
    noise = np.random.default_rng(0).integers(0, 65536, (6, 40, 30)).astype(np.uint16)
    write_dicom(tmp_path / "a.dcm", DicomImage(noise, 16, transfer_syntax=syntax))
    data = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(data[:-missing])
    with pytest.raises(PixelError, match="ends (early|inside)"):
        read_frame(tmp_path / "a.dcm", 0)


def test_a_missing_delimiter_behind_complete_frames_costs_nothing(tmp_path):
    write_dicom(tmp_path / "a.dcm", DicomImage(FRAMES, 16, transfer_syntax="JPEG2000Lossless"))
    (tmp_path / "a.dcm").write_bytes((tmp_path / "a.dcm").read_bytes()[:-8])
    np.testing.assert_array_equal(read_frame(tmp_path / "a.dcm", 5).pixels, FRAMES[5])


def test_a_deflated_bomb_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    # 16 MB of zeros in 16 KB; a limit of 1 GiB would make the test itself the bomb.
    write_dicom(
        tmp_path / "a.dcm",
        DicomImage(np.zeros((2048, 4096), np.uint16), 16, transfer_syntax="DeflatedExplicitVRLittleEndian"),
    )
    assert read_frame(tmp_path / "a.dcm").pixels.shape == (2048, 4096)
    monkeypatch.setattr(parse, "MAX_INFLATED", 1 << 20)
    for read in (read_frame, read_header):
        with pytest.raises(PixelError, match="inflates to more than 1,048,576 bytes"):
            read(tmp_path / "a.dcm")


def test_a_deflated_file_that_ends_early_says_so(tmp_path):
    noise = np.random.default_rng(0).integers(0, 65536, (64, 64)).astype(np.uint16)
    write_dicom(tmp_path / "a.dcm", DicomImage(noise, 16, transfer_syntax="DeflatedExplicitVRLittleEndian"))
    (tmp_path / "a.dcm").write_bytes((tmp_path / "a.dcm").read_bytes()[:-500])
    with pytest.raises(PixelError, match="deflated data set ends early"):
        read_frame(tmp_path / "a.dcm")


@pytest.mark.parametrize(
    ("stated", "written", "words"),
    [
        ("ExplicitVRLittleEndian", "JPEG2000Lossless", "uncompressed, but the pixel data is encapsulated"),
        ("JPEG2000Lossless", "ExplicitVRLittleEndian", "compressed one, but the pixel data is not encapsulated"),
    ],
)
def test_a_syntax_that_contradicts_the_pixels_is_named(tmp_path, stated, written, words):
    for name in (stated, written):
        write_dicom(tmp_path / f"{name}.dcm", DicomImage(FRAMES[0], 16, transfer_syntax=name))
    # The UIDs differ in length: only the file meta information is exchanged, whole.
    head, body = ((tmp_path / f"{name}.dcm").read_bytes() for name in (stated, written))
    cut = [144 + int.from_bytes(data[140:144], "little") for data in (head, body)]
    (tmp_path / "mixed.dcm").write_bytes(head[: cut[0]] + body[cut[1] :])
    with pytest.raises(PixelError, match=words):
        read_frame(tmp_path / "mixed.dcm")
