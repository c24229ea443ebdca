"""Frames stored as plain samples, deflated or run-length encoded (PS3.5 8, A.4.13 and annex G)."""

from __future__ import annotations

import zlib

import imagecodecs
import numpy as np

from radboost.data.codecs.spec import FrameSpec, to_stored
from radboost.errors import PixelError

__all__ = ["decode_deflated", "decode_native", "decode_rle"]


def _shaped(samples: np.ndarray, spec: FrameSpec) -> np.ndarray:
    if spec.subsampled:
        # Y1 Y2 Cb Cr of two neighbours (PS3.3 C.7.6.3.1.2); the chroma is repeated, since only the luma matters later.
        pairs = samples.reshape(spec.rows, spec.columns // 2, 4)
        luma = pairs[..., :2].reshape(spec.rows, spec.columns)
        chroma = np.repeat(pairs[..., 2:], 2, axis=1)
        return np.concatenate([luma[..., None], chroma], axis=2)
    if spec.samples == 3 and spec.planar:
        return np.moveaxis(samples.reshape(3, spec.rows, spec.columns), 0, 2)
    return samples.reshape(spec.shape)


def decode_native(data: bytes | np.ndarray, spec: FrameSpec, *, big_endian: bool = False) -> np.ndarray:
    """Read one uncompressed frame.

    Parameters
    ----------
    data
        The frame's bytes, or an array of them, (n,) uint8; more than needed is allowed.
    spec
        What the header promises.
    big_endian
        Samples of the retired syntax 1.2.840.10008.1.2.2.

    Returns
    -------
    numpy.ndarray
        `spec.shape`; stored values.

    Raises
    ------
    PixelError
        When there are fewer bytes than the frame needs.
    """
    needed = (spec.frame_bits + 7) // 8
    if len(data) < needed:
        raise PixelError("the pixel data ends early", got=f"{len(data):,} of {needed:,} bytes of the frame")
    if spec.subsampled and spec.columns % 2:
        raise PixelError("4:2:2 colour needs an even number of columns", got=spec.columns)
    if spec.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8, count=needed), bitorder="little")
        return _shaped(bits[: spec.frame_bits], spec)
    size = spec.bits_allocated // 8
    kind = "f" if spec.floating else "u"
    stored = np.dtype(f"{'>' if big_endian else '<'}{kind}{size}")
    samples = np.frombuffer(data, stored, count=spec.frame_bits // spec.bits_allocated)
    shaped = _shaped(samples.astype(f"{kind}{size}", copy=False), spec)
    if spec.floating:
        return shaped
    above = spec.high_bit + 1 - spec.bits_stored
    return to_stored(shaped >> above if above else shaped, spec)


def decode_deflated(data: bytes, spec: FrameSpec) -> np.ndarray:
    """Inflate one frame of Deflated Image Frame Compression and read it as an uncompressed one.

    Parameters
    ----------
    data
        The frame's fragment, a raw deflate stream.
    spec
        What the header promises; no more than that is inflated.

    Returns
    -------
    numpy.ndarray
        `spec.shape`; stored values.
    """
    return decode_native(zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, (spec.frame_bits + 7) // 8), spec)


def decode_rle(data: bytes, spec: FrameSpec) -> np.ndarray:
    """Decode one RLE Lossless frame: a header of 64 bytes, then one segment for each byte of a pixel.

    Parameters
    ----------
    data
        The frame's fragment.
    spec
        What the header promises.

    Returns
    -------
    numpy.ndarray
        `spec.shape`; stored values.

    Raises
    ------
    PixelError
        When the segments are not those that the pixel needs, or hold too little.
    """
    if spec.bits_allocated == 1:
        pixels = spec.rows * spec.columns
        packed = imagecodecs.dicomrle_decode(data, np.dtype("u1"))
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
        if bits.size < pixels:
            raise PixelError("the run-length segments end early", got=f"{bits.size:,} of {pixels:,} pixels")
        return bits[:pixels].reshape(spec.shape)
    size = spec.bits_allocated // 8
    segments = int.from_bytes(data[:4], "little")
    if segments != size * spec.samples:
        raise PixelError(f"run-length data needs {size * spec.samples} segments for this pixel", got=segments)
    # Segments come sample by sample, most significant byte first (PS3.5 G.2); the library joins the bytes of a sample.
    planes = np.frombuffer(imagecodecs.dicomrle_decode(data, np.dtype(f"<u{size}")), f"<u{size}")
    pixels = spec.rows * spec.columns
    if planes.size < pixels * spec.samples:
        raise PixelError(
            "the run-length segments end early", got=f"{planes.size:,} of {pixels * spec.samples:,} samples"
        )
    if spec.samples == 1:
        return to_stored(planes[:pixels].reshape(spec.shape), spec)
    return to_stored(np.moveaxis(planes[: 3 * pixels].reshape(3, spec.rows, spec.columns), 0, 2), spec)
