"""The quick way to an attribute gives what pydicom's own way gives."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from radboost.data.dicom import door, quick
from radboost.errors import PixelError

TEXTS = ["PatientID", "Modality", "SeriesInstanceUID", "PatientAge", "Manufacturer"]
VRS = {"PatientID": "LO", "Modality": "CS", "SeriesInstanceUID": "UI", "PatientAge": "AS", "Manufacturer": "LO"}


def stored(keyword: str, vr: str | None, value: bytes | None) -> Dataset:
    tag = quick.tag_of(keyword)
    dataset = Dataset()
    dataset[tag] = RawDataElement(tag, vr, len(value or b""), value, 0, vr is None, True)
    return dataset


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except PixelError:
        return PixelError


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TEXTS), st.booleans(), st.binary(max_size=12))
@example("PatientID", False, b"a\\b ")
@example("SeriesInstanceUID", True, b"1.2.3\0")
@example("Manufacturer", False, b"\xe4\xf6 ")
@example("Manufacturer", False, b" \0")
def test_text_is_the_same(keyword, implicit, value):
    vr = None if implicit else VRS[keyword]
    assert quick.text(stored(keyword, vr, value), keyword) == door.text(stored(keyword, vr, value), keyword)


@settings(max_examples=300, deadline=None)
@given(st.booleans(), st.text("0123456789.eE+-\\ x\0", max_size=14), st.sampled_from([None, 1, 2]))
@example(False, "0.5\\0.25 ", 2)
@example(False, "1e999", 1)
@example(True, "nan", None)
@example(False, "\\", 2)
@example(False, "0\0\\0", None)  # padded within
def test_numbers_are_the_same(implicit, value, count):
    vr = None if implicit else "DS"
    given_ = [stored("PixelSpacing", vr, value.encode()) for _ in range(2)]
    found = quick.numbers(given_[0], "PixelSpacing", count)
    assert found == door.numbers(given_[1], "PixelSpacing", count)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([None, "US", "SS", "UL", "UN", "IS"]), st.binary(max_size=5))
@example("US", b"\x00\x10")
@example("US", b"")
def test_a_whole_number_is_the_same(vr, value):
    a, b = (stored("Rows", vr, value) for _ in range(2))
    assert outcome(quick.first_number, a, "Rows", 0) == outcome(door.number, b, "Rows", 0)


def test_absent_is_absent():
    assert (quick.text(Dataset(), "Modality"), quick.numbers(Dataset(), "PixelSpacing")) == ("", None)
    assert quick.first_number(Dataset(), "Rows", 7) == 7
    with pytest.raises(ValueError, match="no DICOM keyword"):
        quick.tag_of("NoSuchThing")
