"""One frame in, its compressed bytes out: what the writer of phantom and test files needs, all of it lossless."""

from __future__ import annotations

from collections.abc import Callable

import imagecodecs
import numpy as np
from pydicom.pixels.encoders.base import RLELosslessEncoder

__all__ = ["SYNTAXES", "encode"]

# Keyword of PS3.6 table A-1 -> its UID.
SYNTAXES = {
    "ImplicitVRLittleEndian": "1.2.840.10008.1.2",
    "ExplicitVRLittleEndian": "1.2.840.10008.1.2.1",
    "DeflatedExplicitVRLittleEndian": "1.2.840.10008.1.2.1.99",
    "JPEGLosslessSV1": "1.2.840.10008.1.2.4.70",
    "JPEGLSLossless": "1.2.840.10008.1.2.4.80",
    "JPEG2000Lossless": "1.2.840.10008.1.2.4.90",
    "HTJ2KLossless": "1.2.840.10008.1.2.4.201",
    "RLELossless": "1.2.840.10008.1.2.5",
}


def _unsigned(pixels: np.ndarray, bits_stored: int) -> np.ndarray:
    # JPEG Lossless and JPEG-LS know no sign: two's complement within BitsStored travels as a plain number.
    if pixels.dtype.kind == "u":
        return pixels
    # A mask, not a subtraction, so that the sign bit lands where PixelRepresentation 1 expects it.
    patterns: np.ndarray = pixels.view(f"u{pixels.itemsize}") & np.array((1 << bits_stored) - 1, f"u{pixels.itemsize}")
    return patterns


def _jpeg_lossless(pixels: np.ndarray, bits_stored: int) -> bytes:
    # Selection value 1 is what the syntax ...4.70 promises (PS3.5 A.4.1); other encoders of the library use 6.
    data = _unsigned(pixels, bits_stored)
    return bytes(imagecodecs.jpeg8_encode(data, lossless=True, predictor=1, bitspersample=bits_stored))


def _jpeg_ls(pixels: np.ndarray, bits_stored: int) -> bytes:
    return bytes(imagecodecs.jpegls_encode(_unsigned(pixels, bits_stored), level=0))


def _jpeg_2000(pixels: np.ndarray, bits_stored: int) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(
            pixels, level=0, codecformat="j2k", reversible=True, bitspersample=bits_stored, numthreads=1
        )
    )


def _htj2k(pixels: np.ndarray, bits_stored: int) -> bytes:
    return bytes(imagecodecs.htj2k_encode(pixels, level=0, reversible=True))


def _rle(pixels: np.ndarray, bits_stored: int) -> bytes:
    rows, columns = pixels.shape
    data = RLELosslessEncoder.encode(
        pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes(),
        rows=rows,
        columns=columns,
        samples_per_pixel=1,
        number_of_frames=1,
        photometric_interpretation="MONOCHROME2",
        bits_allocated=pixels.itemsize * 8,
        bits_stored=bits_stored,
        pixel_representation=int(pixels.dtype.kind == "i"),
        encoding_plugin="pydicom",
    )
    return data


_ENCODERS: dict[str, Callable[[np.ndarray, int], bytes]] = {
    "JPEGLosslessSV1": _jpeg_lossless,
    "JPEGLSLossless": _jpeg_ls,
    "JPEG2000Lossless": _jpeg_2000,
    "HTJ2KLossless": _htj2k,
    "RLELossless": _rle,
}


def encode(syntax: str, pixels: np.ndarray, bits_stored: int) -> bytes:
    """Compress one grayscale frame without loss.

    Parameters
    ----------
    syntax
        Keyword of a transfer syntax, one of `SYNTAXES`.
    pixels
        (rows, columns), 8 or 16 bit, signed or unsigned, little endian.
    bits_stored
        Significant bits of a pixel.

    Returns
    -------
    bytes
        The codestream of a compressed syntax, the raw little-endian samples of an uncompressed one.
    """
    if syntax not in SYNTAXES:
        msg = f"no encoder for transfer syntax {syntax!r}; one of {', '.join(SYNTAXES)}"
        raise ValueError(msg)
    frame = np.ascontiguousarray(pixels)
    encoder = _ENCODERS.get(syntax)
    if encoder is None:
        return frame.astype(frame.dtype.newbyteorder("<"), copy=False).tobytes()
    return encoder(frame, bits_stored)
