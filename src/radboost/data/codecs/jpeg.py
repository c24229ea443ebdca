"""The JPEG family: baseline, extended, lossless (ISO 10918-1) and JPEG-LS (ISO 14495-1)."""

from __future__ import annotations

from dataclasses import dataclass

import imagecodecs
import numpy as np

from radboost.data.codecs.spec import FrameSpec, to_stored
from radboost.errors import PixelError

__all__ = ["Codestream", "check", "complete", "decode_jpeg", "decode_jpeg_lossless", "decode_jpeg_ls", "jpeg_header"]

# Start of frame: baseline, extended and progressive, lossless, and JPEG-LS. C4, C8 and CC are other markers.
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
# Markers without a length: TEM, RST0-7, SOI, EOI (ISO 10918-1 table B.1).
_BARE = {0x01, *range(0xD0, 0xDA)}


@dataclass(frozen=True)
class Codestream:
    """What a codestream says about itself.

    Attributes
    ----------
    rows, columns, samples
        Size of the image and number of components.
    precision
        Bits a sample.
    signed
        Samples are two's complement (JPEG 2000 only).
    labelled
        An APP0 (JFIF) or APP14 (Adobe) marker tells the colour space.
    """

    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool = False
    labelled: bool = False


def jpeg_header(data: bytes) -> Codestream:
    """Read the start-of-frame marker of a JPEG or JPEG-LS codestream.

    Raises
    ------
    PixelError
        When there is none.
    """
    labelled = False
    at = 2
    while data[:2] == b"\xff\xd8" and at + 4 <= len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF or marker in _BARE:  # a fill byte, or a marker without a body
            at += 1 if marker == 0xFF else 2
            continue
        labelled |= (marker == 0xE0 and data[at + 4 : at + 8] == b"JFIF") or (
            marker == 0xEE and data[at + 4 : at + 9] == b"Adobe"
        )
        if marker in _START_OF_FRAME and at + 10 <= len(data):
            rows, columns = (int.from_bytes(data[at + k : at + k + 2], "big") for k in (5, 7))
            return Codestream(rows, columns, data[at + 9], data[at + 4], labelled=labelled)
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise PixelError("the JPEG codestream has no start of frame", got=f"{len(data):,} bytes")


def check(stream: Codestream, spec: FrameSpec) -> None:
    """Refuse a codestream of another size than the header's, before anything is allocated for it.

    Raises
    ------
    PixelError
        When size or number of samples differ.
    """
    inside = (stream.rows, stream.columns, stream.samples)
    outside = (spec.rows, spec.columns, spec.samples)
    if inside != outside:
        raise PixelError(
            "header and codestream disagree on rows x columns x samples",
            got="header {} x {} x {}, codestream {} x {} x {}".format(*outside, *inside),
        )


def complete(data: bytes) -> None:
    """Refuse a codestream without its end: the library would fill the missing part with grey and say nothing.

    An FF byte inside entropy-coded data is always followed by 00 (ISO 10918-1 F.1.2.3), so the marker cannot be data.

    Raises
    ------
    PixelError
        When the end-of-image marker is missing.
    """
    if data.rfind(b"\xff\xd9") < 0:
        raise PixelError("the JPEG codestream ends early: no end-of-image marker", got=f"{len(data):,} bytes")


def decode_jpeg(data: bytes, spec: FrameSpec) -> np.ndarray:
    """Decode JPEG baseline or extended, 8 or 12 bit. Colour comes back as RGB.

    Parameters
    ----------
    data
        The frame's codestream.
    spec
        What the header promises.

    Returns
    -------
    numpy.ndarray
        `spec.shape`; stored values.

    Raises
    ------
    PixelError
        When the codestream is another one than the header's.
    """
    stream = jpeg_header(data)
    check(stream, spec)
    complete(data)
    if spec.samples == 1:
        return to_stored(imagecodecs.jpeg8_decode(data), spec, lossy=True)
    # A library guesses YCbCr where no marker names the colour space; then the header's word counts.
    plain = spec.photometric == "RGB" and not stream.labelled
    colour = imagecodecs.jpeg8_decode(data, colorspace="RGB" if plain else None, outcolorspace="RGB")
    return to_stored(colour, spec, lossy=True)


def decode_jpeg_lossless(data: bytes, spec: FrameSpec) -> np.ndarray:
    """Decode JPEG Lossless, any predictor, 2 to 16 bits. Colour comes back as it is stored.

    Samples are plain numbers in the codestream; their sign is in the header only, and writers may leave
    foreign bits above Bits Stored.

    Parameters
    ----------
    data
        The frame's codestream.
    spec
        What the header promises.

    Returns
    -------
    numpy.ndarray
        `spec.shape`; stored values.
    """
    check(jpeg_header(data), spec)
    complete(data)
    # "From RGB to RGB" keeps the library from converting colours that it would take for YCbCr.
    keep = None if spec.samples == 1 else "RGB"
    try:
        values = imagecodecs.jpeg8_decode(data, colorspace=keep, outcolorspace=keep)
    except imagecodecs.Jpeg8Error:
        # The second decoder reads point transforms and precisions that the first one refuses.
        values = np.ascontiguousarray(imagecodecs.jpegsof3_decode(data))
    return to_stored(values.reshape(spec.shape), spec)


def decode_jpeg_ls(data: bytes, spec: FrameSpec, *, lossy: bool) -> np.ndarray:
    """Decode JPEG-LS, lossless or near-lossless. Colour comes back as it is stored.

    Parameters
    ----------
    data
        The frame's codestream.
    spec
        What the header promises.
    lossy
        The near-lossless syntax, whose values may overshoot.

    Returns
    -------
    numpy.ndarray
        `spec.shape`; stored values.
    """
    check(jpeg_header(data), spec)
    complete(data)
    return to_stored(imagecodecs.jpegls_decode(data).reshape(spec.shape), spec, lossy=lossy)
