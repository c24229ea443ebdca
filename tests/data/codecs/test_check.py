"""The check of the installation tells decoders that work from those that do not."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest

from radboost.data.codecs import SUPPORTED, probe_codecs, probe_device
from radboost.data.probe import State

check = importlib.import_module("radboost.data.codecs.check")
JPEG_LS = "1.2.840.10008.1.2.4.80"


def by_name(probes):
    return {probe.name: probe for probe in probes}


def test_every_supported_syntax_is_tried_and_works_here():
    found = by_name(probe_codecs())
    assert set(found) == SUPPORTED
    assert {probe.state for probe in found.values()} == {State.works}


@pytest.mark.parametrize("fault", ["raises", "shape", "pixels"])
def test_a_decoder_that_fails_is_told_even_where_it_says_nothing(monkeypatch, fault):
    right = check.decode_first

    def wrong(uid, data, spec):
        if uid != JPEG_LS:
            return right(uid, data, spec)
        if fault == "raises":
            raise OSError("libcharls.so.2: cannot open shared object file")
        frame = right(uid, data, spec).copy()
        if fault == "shape":
            return frame[:-1]
        frame[0, 0] ^= 1
        return frame

    monkeypatch.setattr(check, "decode_first", wrong)
    monkeypatch.setattr(check.importlib.util, "find_spec", lambda name: None)
    found = by_name(probe_codecs())
    assert [name for name, probe in found.items() if probe.state is State.broken] == [JPEG_LS]
    assert found[JPEG_LS].needed
    said = {"raises": "libcharls", "shape": "pixels in place of", "pixels": "differ by up to 1"}[fault]
    assert said in found[JPEG_LS].detail


def test_where_only_the_second_decoder_works_it_is_a_note(monkeypatch):
    monkeypatch.setattr(check.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(check, "decode_first", lambda uid, data, spec: np.zeros(spec.shape, np.uint16))
    bits = {True: 8, False: 12}
    monkeypatch.setattr(check, "decode_gdcm", lambda uid, data, spec: check._frame(bits[spec.bits_stored == 8]))
    found = by_name(probe_codecs())
    assert found[JPEG_LS].state is State.note
    assert "GDCM reads it" in found[JPEG_LS].detail
    # RLE is not for GDCM, so that nothing stands in there.
    assert found["1.2.840.10008.1.2.5"].state is State.broken


def test_without_the_extra_the_report_says_what_would_add_a_second_decoder(monkeypatch):
    monkeypatch.setattr(check.importlib.util, "find_spec", lambda name: None)
    found = by_name(probe_codecs())
    assert "extra gdcm" in found[JPEG_LS].detail
    assert "gdcm" not in found["1.2.840.10008.1.2.1"].detail


def test_without_nvimagecodec_the_gpu_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "nvidia.nvimgcodec", None)
    (found,) = probe_device()
    assert found.state is State.absent
    assert "radboost[cuda]" in found.do
