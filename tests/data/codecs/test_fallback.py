from __future__ import annotations

import importlib

import imagecodecs
import numpy as np
import pytest

from radboost.data.codecs import SYNTAXES, FrameSpec, decode, encode, fallback
from radboost.errors import PixelError

order = importlib.import_module("radboost.data.codecs.decode")
UID = SYNTAXES["JPEGLSLossless"]
PIXELS = np.random.default_rng(0).integers(0, 4096, (20, 30)).astype(np.uint16)
SPEC = FrameSpec(20, 30, bits_stored=12, high_bit=11)


@pytest.fixture
def asked(monkeypatch):
    """Stand in for GDCM: gives a gray frame and notes what it was asked for."""
    calls = []

    def stand_in(uid, data, spec):
        calls.append(uid)
        return np.full(spec.shape, 7, np.uint16)

    monkeypatch.setattr(order, "decode_gdcm", stand_in)
    return calls


def test_the_second_decoder_is_not_asked_where_the_first_one_answers(asked):
    np.testing.assert_array_equal(decode(UID, encode("JPEGLSLossless", PIXELS, 12), SPEC), PIXELS)
    assert asked == []


def test_it_is_asked_when_the_first_one_fails_of_itself(asked, monkeypatch):
    def fail(data):
        raise RuntimeError

    monkeypatch.setattr("imagecodecs.jpegls_decode", fail)
    found = decode(UID, encode("JPEGLSLossless", PIXELS, 12), SPEC)
    assert (found == 7).all()
    assert asked == [UID]


def test_what_our_own_checks_refuse_stays_refused(asked):
    # A cut codestream: GDCM would fill in the rest and say nothing.
    data = encode("JPEGLSLossless", PIXELS, 12)
    with pytest.raises(PixelError, match="ends early"):
        decode(UID, data[: len(data) // 2], SPEC)
    assert asked == []


def test_without_it_the_first_decoders_reason_stands(monkeypatch):
    def absent(uid, data, spec):
        raise ImportError

    def fail(data):
        msg = "bad run length"
        raise RuntimeError(msg)

    monkeypatch.setattr(order, "decode_gdcm", absent)
    monkeypatch.setattr("imagecodecs.jpegls_decode", fail)
    with pytest.raises(PixelError, match="bad run length"):
        decode(UID, encode("JPEGLSLossless", PIXELS, 12), SPEC)


@pytest.mark.parametrize("name", ["JPEGLosslessSV1", "JPEGLSLossless", "JPEG2000Lossless"])
@pytest.mark.parametrize(("dtype", "bits"), [("u1", 8), ("u2", 12), ("u2", 16), ("i2", 12)])
def test_gdcm_reads_what_we_read(name, dtype, bits):
    pytest.importorskip("gdcm", reason="the extra gdcm is not installed")
    low = -(1 << (bits - 1)) if dtype == "i2" else 0
    pixels = np.random.default_rng(1).integers(low, low + (1 << bits), (33, 45)).astype(dtype)
    signed = dtype == "i2"
    spec = FrameSpec(33, 45, 1, pixels.itemsize * 8, bits, bits - 1, signed)
    found = fallback.decode_gdcm(SYNTAXES[name], encode(name, pixels, bits), spec)
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("end", ["81", "91"])
def test_the_second_decoder_does_not_turn_the_brightest_pixels_black(end):
    # Lossy streams overshoot what BitsStored holds; to cut the upper bits would make 4096 a 0.
    pytest.importorskip("gdcm", reason="the extra gdcm is not installed")
    bright = np.full((32, 32), 4095, np.uint16)
    bright[::3, ::2] = 4090
    if end == "81":
        data = bytes(imagecodecs.jpegls_encode(bright, level=3))
    else:
        data = bytes(imagecodecs.jpeg2k_encode(bright, level=50, codecformat="j2k", reversible=False, bitspersample=12))
    spec = FrameSpec(32, 32, bits_stored=12, high_bit=11)
    found = fallback.decode_gdcm(f"1.2.840.10008.1.2.4.{end}", data, spec)
    assert found.min() > 4000
    assert found.max() <= 4095
