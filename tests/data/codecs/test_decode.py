from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from radboost.data.codecs import MAX_PIXELS, NATIVE, SYNTAXES, FrameSpec, decode, encode
from radboost.data.codecs.spec import to_stored
from radboost.errors import PixelError

ENCAPSULATED = sorted(name for name, uid in SYNTAXES.items() if uid not in NATIVE)
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
BIG = "1.2.840.10008.1.2.2"


def noise(bits=12, shape=(61, 47)):
    return np.random.default_rng(1).integers(0, 1 << bits, shape).astype(np.uint16)


def spec(pixels, **changes):
    return FrameSpec(
        **({"rows": pixels.shape[0], "columns": pixels.shape[1], "bits_stored": 12, "high_bit": 11} | changes)
    )


@pytest.mark.parametrize("name", ENCAPSULATED)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.9])
def test_a_truncated_frame_is_an_error_never_a_half_empty_picture(name, share):
    pixels = noise()
    data = encode(name, pixels, 12)
    with pytest.raises(PixelError):
        decode(SYNTAXES[name], data[: int(len(data) * share)], spec(pixels))


@pytest.mark.parametrize("name", ENCAPSULATED)
def test_garbage_is_a_pixel_error_whatever_the_decoder_raises(name):
    pixels = noise()
    data = bytearray(encode(name, pixels, 12))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), 12):
            damaged[at] = rng.integers(256)
        try:
            result = decode(SYNTAXES[name], bytes(damaged), spec(pixels))
        except PixelError:
            continue
        assert result.shape == pixels.shape


def test_lossy_overshoot_saturates_where_foreign_bits_are_cut():
    # 4097 as an overshoot is white; cut to 12 bits it would be a black speck in the brightest tissue.
    values = np.array([[5, 4095, 4097]], np.uint16)
    np.testing.assert_array_equal(to_stored(values, spec(values), lossy=True), [[5, 4095, 4095]])
    np.testing.assert_array_equal(to_stored(values, spec(values)), [[5, 4095, 1]])


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_sign_extension_gives_back_every_value(bits):
    every = np.arange(-(1 << (bits - 1)), 1 << (bits - 1), dtype=np.int64)
    patterns = (every & ((1 << bits) - 1)).astype(np.uint16)[None]
    stored = to_stored(patterns, spec(patterns, bits_stored=bits, high_bit=bits - 1, signed=True))
    np.testing.assert_array_equal(stored[0], every)


def test_bits_above_the_high_bit_and_below_the_low_one_are_not_pixels():
    # An overlay in the unused bits (PS3.5 8.1.1) must not brighten the picture; HighBit 15 shifts the sample up.
    pixels = noise()
    uid = SYNTAXES["ExplicitVRLittleEndian"]
    dirty = (pixels | np.uint16(0xF000)).tobytes()
    np.testing.assert_array_equal(decode(uid, dirty, spec(pixels)), pixels)
    shifted = ((pixels << 4) | np.uint16(0xF)).tobytes()
    np.testing.assert_array_equal(decode(uid, shifted, spec(pixels, high_bit=15)), pixels)


def test_big_endian_is_little_endian_swapped():
    pixels = noise(16)
    full = spec(pixels, bits_stored=16, high_bit=15)
    np.testing.assert_array_equal(decode(BIG, pixels.byteswap().tobytes(), full), pixels)


def test_planar_and_interleaved_colour_are_the_same():
    colour = np.random.default_rng(2).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    sizes = {"samples": 3, "bits_allocated": 8, "bits_stored": 8, "high_bit": 7, "photometric": "RGB"}
    uid = SYNTAXES["ExplicitVRLittleEndian"]
    one = decode(uid, colour.tobytes(), spec(colour, **sizes))
    other = decode(uid, np.moveaxis(colour, 2, 0).tobytes(), spec(colour, planar=True, **sizes))
    np.testing.assert_array_equal(one, colour)
    np.testing.assert_array_equal(other, colour)


def test_subsampled_colour_keeps_its_luma():
    luma = np.arange(24, dtype=np.uint8).reshape(4, 6)
    pairs = np.concatenate([luma.reshape(4, 3, 2), np.full((4, 3, 2), 128, np.uint8)], axis=2)
    sizes = {"samples": 3, "bits_allocated": 8, "bits_stored": 8, "high_bit": 7, "photometric": "YBR_FULL_422"}
    found = decode(SYNTAXES["ExplicitVRLittleEndian"], pairs.tobytes(), spec(luma, **sizes))
    np.testing.assert_array_equal(found[..., 0], luma)


def test_twelve_bit_extended_jpeg_stays_near_the_picture():
    smooth = np.add.outer(np.arange(64) * 20, np.arange(64) * 20).astype(np.uint16)
    data = imagecodecs.jpeg8_encode(smooth, level=95, bitspersample=12)
    found = decode(JPEG_EXTENDED, data, spec(smooth))
    assert np.abs(found.astype(int) - smooth).max() < 40


def test_jpeg_lossless_foreign_bits_are_masked():
    # Written as 16 bits with noise above BitsStored 12: seen in the field.
    pixels = noise()
    data = encode("JPEGLosslessSV1", pixels | np.uint16(0x8000), 16)
    np.testing.assert_array_equal(decode(SYNTAXES["JPEGLosslessSV1"], data, spec(pixels)), pixels)


@pytest.mark.parametrize("precision", [12, 16])
def test_jpeg_2000_may_carry_a_sign_only_in_the_header(precision):
    # Two's complement written with an unsigned SIZ, in the precision of SIZ.
    every = np.arange(-2048, 2048, dtype=np.int64).reshape(64, 64)
    patterns = (every & ((1 << precision) - 1)).astype(np.uint16)
    data = encode("JPEG2000Lossless", patterns, precision)
    found = decode(SYNTAXES["JPEG2000Lossless"], data, spec(patterns, signed=True))
    np.testing.assert_array_equal(found, every)


def test_an_unknown_syntax_is_named():
    with pytest.raises(PixelError, match="MPEG2"):
        decode("1.2.840.10008.1.2.4.100", b"", FrameSpec(2, 2))


def test_a_frame_as_large_as_the_cap_is_allowed_and_one_pixel_more_is_not():
    side = int(MAX_PIXELS**0.5)
    assert FrameSpec(side, side).rows == side
    with pytest.raises(PixelError, match="more than"):
        FrameSpec(side + 1, side)
