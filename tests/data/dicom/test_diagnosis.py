from __future__ import annotations

import numpy as np
import pytest

from radboost.data.dicom import DicomImage, read_frame, read_header, write_dicom
from radboost.errors import PixelError


@pytest.fixture
def sound(tmp_path):
    write_dicom(tmp_path / "a.dcm", DicomImage(np.zeros((4, 4), np.uint16), 12))
    return (tmp_path / "a.dcm").read_bytes()


def cut(data, start, stop, new=b""):
    return data[:start] + new + data[stop:]


SYNTAX, OTHER = b"\x02\0\x10\0UI", b"\x02\0\x11\0UI"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: b"", "the file is empty"),
        (lambda d: d[:132], "ends before any data set begins"),
        (lambda d: d[1:], "prefix DICM stands at the wrong place .got byte 127"),
        (lambda d: cut(d, 128, 132, b"DOCM"), "no DICOM file"),
        (lambda d: cut(d, 148, 150, b"\0\0"), r"element .0002,0001. has an unknown VR"),
        (lambda d: cut(d, 152, 156, b"\xff\xff\xff\x0f"), r"element .0002,0001. is longer than the file"),
        (
            lambda d: d.replace(b"\x02\0\x10\0UI", b"\x02\0\x11\0UI").replace(b"\x08\0\x05\0CS", b"\0" * 6),
            "names no transfer",
        ),
        (lambda d: d[: 144 + int.from_bytes(d[140:144], "little")], "ends behind its file meta information"),
        (lambda d: cut(d, 132, len(d), b"\x78\x9c" * 60), "no file meta information follows"),
    ],
)
def test_the_first_fault_is_named(tmp_path, sound, damage, words):
    (tmp_path / "b.dcm").write_bytes(damage(sound))
    for read in (read_frame, read_header):
        with pytest.raises(PixelError, match=words):
            read(tmp_path / "b.dcm")
