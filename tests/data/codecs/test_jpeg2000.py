from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from radboost.data.codecs import SYNTAXES, FrameSpec, decode, decode_small, encode, reducible

J2K, HT = (SYNTAXES[name] for name in ("JPEG2000Lossless", "HTJ2KLossless"))


def ramp(bits=12, shape=(150, 203), *, signed=False):
    """Odd sizes and a slope: what is shifted or cut off by one pixel shows."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    wave = (x / shape[1] + y / shape[0]) / 2
    return np.rint(wave * ((1 << bits) - 1) - ((1 << (bits - 1)) if signed else 0)).astype("i2" if signed else "u2")


def spec(pixels, bits=12, **changes):
    fields = {"rows": pixels.shape[0], "columns": pixels.shape[1], "bits_stored": bits, "high_bit": bits - 1}
    return FrameSpec(**(fields | {"signed": pixels.dtype.kind == "i"} | changes))


@pytest.mark.parametrize("name", ["JPEG2000Lossless", "HTJ2KLossless"])
@pytest.mark.parametrize(("bits", "signed"), [(10, False), (12, False), (16, False), (12, True), (16, True)])
@pytest.mark.parametrize("reduce", [1, 2, 3])
def test_pixel_n_of_a_small_picture_is_pixel_n_times_a_power_of_two_of_the_full_one(name, bits, signed, reduce):
    pixels = ramp(bits, signed=signed)
    small, done = decode_small(SYNTAXES[name], encode(name, pixels, bits), spec(pixels, bits), reduce)
    step = 1 << reduce
    assert done == reduce
    assert small.dtype == pixels.dtype
    expected = pixels[::step, ::step].astype(int)
    assert small.shape == expected.shape
    inside = np.s_[2:-2, 2:-2]  # at the far edges a ramp, continued by its mirror image, bends
    # One pixel of the ramp is worth this much; half of one would be seen.
    assert np.abs(small[inside] - expected[inside]).max() <= max(2, 0.3 * (1 << bits) / 406)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("name", ["JPEG2000Lossless", "HTJ2KLossless"])
def test_what_overshoots_stays_in_range_and_never_wraps(name, bits):
    # Black beside white: the low-pass filter swings beyond both, and a wrapped value would be a white speck in black.
    pixels = np.zeros((64, 64), np.uint8 if bits == 8 else np.uint16)
    pixels[:, 31:] = (1 << bits) - 1
    shape = {"bits_allocated": pixels.itemsize * 8}
    small, done = decode_small(SYNTAXES[name], encode(name, pixels, bits), spec(pixels, bits, **shape), 1)
    assert done == 1
    assert small[:, :12].max() < (1 << bits) // 8
    assert small[:, 20:].min() > (1 << bits) * 7 // 8


@pytest.mark.parametrize(
    "changes",
    [{"photometric": "PALETTE COLOR"}, {"bits_stored": 1, "high_bit": 0}, {"signed": True}],
    ids=["palette", "mask", "sign in the header only"],
)
def test_values_that_mean_nothing_when_averaged_are_not(changes):
    pixels = ramp()
    assert reducible(J2K, encode("JPEG2000Lossless", pixels, 12), spec(pixels)) > 0
    assert reducible(J2K, encode("JPEG2000Lossless", pixels, 12), spec(pixels, **changes)) == 0


def test_colour_and_other_syntaxes_are_not_halved():
    colour = np.zeros((64, 64, 3), np.uint8)
    data = bytes(imagecodecs.jpeg2k_encode(colour, level=0, codecformat="j2k"))
    eight = {"samples": 3, "bits_allocated": 8, "bits_stored": 8, "high_bit": 7, "photometric": "RGB"}
    assert reducible(J2K, data, spec(colour[..., 0], **eight)) == 0
    pixels = ramp()
    assert reducible(SYNTAXES["JPEGLSLossless"], encode("JPEGLSLossless", pixels, 12), spec(pixels)) == 0


@pytest.mark.parametrize("levels", [0, 1, 2, 4])
def test_the_codestream_says_how_often_it_can_be_halved(levels):
    pixels = ramp()
    data = bytes(imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", resolutions=levels + 1))
    assert reducible(J2K, data, spec(pixels, 16)) == levels


def test_a_cut_codestream_is_left_to_the_full_decoder():
    pixels = ramp()
    data = encode("JPEG2000Lossless", pixels, 12)
    assert reducible(J2K, data[:-2], spec(pixels)) == 0
    assert reducible(J2K, b"nothing", spec(pixels)) == 0


def test_what_cannot_be_halved_is_decoded_in_full_and_says_so():
    # Foreign bits above Bits Stored, an overlay perhaps: averaged with the pixels they would brighten them.
    pixels = ramp()
    dirty = pixels | np.uint16(0xF000)
    data = encode("JPEG2000Lossless", dirty, 16)
    found, done = decode_small(J2K, data, spec(pixels), 2)
    assert done == 0
    np.testing.assert_array_equal(found, decode(J2K, data, spec(pixels)))
    np.testing.assert_array_equal(found, pixels)


def test_every_real_codestream_is_the_same_picture_halved(shared_data):
    from radboost.data.dicom import open_frame

    seen = 0
    for path in sorted((shared_data / "codecs").rglob("*J2K*.dcm")):
        source = open_frame(path)
        if source.levels < 2:
            continue
        full, small = source.read(0), source.read(2)
        if small.reduce:
            seen += 1
            there = full.pixels[::4, ::4]
            assert small.pixels.shape == there.shape, path.name
            assert np.corrcoef(small.pixels.ravel(), there.ravel())[0, 1] > 0.85, path.name
    assert seen >= 8
