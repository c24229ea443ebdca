"""JPEG 2000 (ISO 15444-1) and High-Throughput JPEG 2000 (ISO 15444-15)."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import imagecodecs
import numpy as np
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

from radboost.data.codecs.jpeg import Codestream, check
from radboost.data.codecs.spec import FrameSpec, to_stored
from radboost.errors import PixelError

__all__ = ["check", "decode_htj2k", "decode_jpeg2000", "decode_reduced", "levels", "siz", "stored"]

# Start of codestream followed by SIZ, which the standard demands; a JP2 wrapper may stand before it.
_START = b"\xff\x4f\xff\x51"


def siz(data: bytes) -> Codestream:
    """Read the SIZ marker: size, components, precision and sign of the codestream.

    Raises
    ------
    PixelError
        When there is none.
    """
    at = _start(data)
    right, bottom, left, top = (_number(data, at + k) for k in (8, 12, 16, 20))
    depth = data[at + 42]
    return Codestream(
        bottom - top, right - left, _number(data, at + 40, 2), (depth & 0x7F) + 1, signed=bool(depth & 0x80)
    )


def _start(data: bytes) -> int:
    at = data.find(_START)
    if at < 0 or at + 43 > len(data):
        raise PixelError("the JPEG 2000 codestream has no SIZ marker", got=f"{len(data):,} bytes")
    return at


def _number(data: bytes, at: int, size: int = 4) -> int:
    return int.from_bytes(data[at : at + size], "big")


def levels(data: bytes, spec: FrameSpec) -> int:
    """How many wavelet levels can be left out with a picture that is the same, only smaller.

    None where values would be averaged that are no amounts of light: palette indices, masks of 1 bit, two's
    complement that the codestream takes for plain numbers. None either where the small picture's pixels would lie
    at other places (an image offset on the reference grid), or the end of the codestream is missing: the full
    decoder then says what is wrong.

    Parameters
    ----------
    data
        The frame's codestream, bare or in a JP2 wrapper.
    spec
        What the header promises.

    Returns
    -------
    int
        The levels that the COD marker states (ISO 15444-1 A.6.1), or 0.
    """
    at = _start(data)
    stream = siz(data)
    plain = spec.samples == 1 and spec.photometric.startswith("MONOCHROME") and spec.bits_stored > 1
    # SIZ holds sizes and offsets of image and tiles, then three bytes a component; COD is among the markers behind it.
    shifted = any(_number(data, at + k) for k in (16, 20, 32, 36))
    if not plain or shifted or stream.precision > 16 or (spec.signed and not stream.signed):
        return 0
    if data.rfind(b"\xff\xd9") < 0:
        return 0
    at += 4 + _number(data, at + 4, 2)
    while at + 10 <= len(data) and data[at] == 0xFF and data[at + 1] != 0x90:
        if data[at + 1] == 0x52:
            return min(data[at + 9], 32)
        at += 2 + _number(data, at + 2, 2)
    return 0


def stored(values: np.ndarray, stream: Codestream, spec: FrameSpec, *, lossy: bool) -> np.ndarray:
    """Bring decoded values to the header's range and sign, which may differ from those of SIZ."""
    if stream.signed:
        # The codestream's sign is the truth about its numbers (PS3.5 8.2), also where the header denies it.
        limit = 1 << (spec.bits_stored - (1 if spec.signed else 0))
        if stream.precision <= spec.bits_stored:
            return values
        clipped: np.ndarray = np.clip(values, -limit, limit - 1)
        return clipped
    if spec.signed:
        # Two's complement written as plain numbers, of the codestream's precision rather than of Bits Stored.
        bits = values.itemsize * 8
        shift = bits - min(stream.precision, bits)
        signed: np.ndarray = np.left_shift(values.view(f"i{values.itemsize}"), shift)
        np.right_shift(signed, shift, out=signed)
        return signed
    return to_stored(values, spec, lossy=lossy)


def _sized(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if values.shape != shape:
        raise PixelError("the decoded image has another size than its codestream promised", got=values.shape)
    return values


def decode_jpeg2000(data: bytes, spec: FrameSpec, *, lossy: bool) -> np.ndarray:
    """Decode JPEG 2000 at full resolution. Colour comes back as RGB.

    Parameters
    ----------
    data
        The frame's codestream, bare or in a JP2 wrapper.
    spec
        What the header promises.
    lossy
        The irreversible syntax, whose values may overshoot.

    Returns
    -------
    numpy.ndarray
        `spec.shape`; stored values.
    """
    stream = siz(data)
    check(stream, spec)
    values = _sized(imagecodecs.jpeg2k_decode(data, numthreads=1), spec.shape)
    return stored(values, stream, spec, lossy=lossy)


def decode_htj2k(data: bytes, spec: FrameSpec, *, lossy: bool) -> np.ndarray:
    """Decode High-Throughput JPEG 2000 at full resolution. Colour comes back as RGB.

    Parameters
    ----------
    data
        The frame's codestream.
    spec
        What the header promises.
    lossy
        The syntax that allows loss, whose values may overshoot.

    Returns
    -------
    numpy.ndarray
        `spec.shape`; stored values.

    Raises
    ------
    PixelError
        When the codestream is damaged.
    """
    stream = siz(data)
    check(stream, spec)
    # No marker can stand inside packets (ISO 15444-1 B.10.1), so the end of codestream is found or missing. The
    # decoder does without and leaves the rest of the picture empty.
    if data.rfind(b"\xff\xd9") < 0:
        raise PixelError("the HTJ2K codestream ends early: no end-of-codestream marker", got=f"{len(data):,} bytes")
    return stored(_sized(_openjph(data, 0), spec.shape), stream, spec, lossy=lossy)


def decode_reduced(data: bytes, spec: FrameSpec, reduce: int, *, high_throughput: bool) -> np.ndarray:
    """Decode without the finest wavelet levels: a picture of 1/2**reduce the size at a fraction of the cost.

    Pixel n of the small picture lies where pixel ``n * 2**reduce`` of the full one does: the low-pass filters of
    ISO 15444-1 annex F are symmetric about even samples.

    Parameters
    ----------
    data
        The frame's codestream.
    spec
        What the header promises.
    reduce
        Levels to leave out, 1 to `levels`.
    high_throughput
        The stream is HTJ2K, for which there is a second decoder.

    Returns
    -------
    numpy.ndarray
        (ceil(rows / 2**reduce), ceil(columns / 2**reduce)); stored values, brought back into the range that the
        header states, which averages may leave by a little.

    Raises
    ------
    PixelError
        When the stream cannot be decoded this way; the full decoder may still read it, or say what is wrong.
    """
    stream = siz(data)
    check(stream, spec)
    # OpenJPH does not bound its values, so that they wrap at the ends of 16 bits: fast, but for shorter samples only.
    if high_throughput and stream.precision > 8 and spec.bits_stored <= 14:
        values = _openjph(data, reduce).view(np.int16)
    else:
        values = _pillow(data[_start(data) :], stream, reduce)
    step = 1 << reduce
    values = _sized(values, (-(-spec.rows // step), -(-spec.columns // step)))
    # As in _stored: the codestream knows its sign.
    limit = 1 << (spec.bits_stored - (1 if spec.signed else 0))
    if int(values.max()) > 2 * limit:
        # More than any overshoot: foreign bits above Bits Stored, whose averages mean nothing.
        raise PixelError("the codestream holds more than Bits Stored", got=int(values.max()))
    low, kind = (-limit, np.int16) if stream.signed else (0, np.uint8 if spec.bits_allocated == 8 else np.uint16)
    bounded: np.ndarray = np.clip(values, low, limit - 1).astype(kind, copy=False)
    return bounded


def _pillow(codestream: bytes, stream: Codestream, reduce: int) -> np.ndarray:
    """Decode with Pillow, which offers OpenJPEG's reduction, and undo what it does to the values."""
    # The class and not Image.open: its guard against large images is not needed behind our own, and warns.
    image = Jpeg2KImageFile(io.BytesIO(codestream))
    image.reduce = reduce
    # Pillow (13.0) rounds the small picture's size to the nearest where OpenJPEG rounds up, and then refuses it.
    step = 1 << reduce
    image._size = (-(-stream.columns // step) * step, -(-stream.rows // step) * step)
    image.load()
    values = np.asarray(image)
    depth = values.itemsize * 8
    if image.mode not in ("L", "I;16") or stream.precision > depth:
        raise PixelError("no grayscale codestream of at most 16 bits", got=f"mode {image.mode}")
    # Pillow scales to the full range of its pixel and adds half of it to signed samples.
    plain = values >> (depth - stream.precision)
    if not stream.signed:
        return np.asarray(plain)
    return plain.astype(np.int32) - (1 << (stream.precision - 1))


def _openjph(data: bytes, reduce: int) -> np.ndarray:
    with _swallowed_errors() as errors:
        values: np.ndarray = imagecodecs.htj2k_decode(data, skipres=reduce)
    if errors:
        raise PixelError("the HTJ2K codestream is damaged or ends early", got=errors[0])
    return values


@contextmanager
def _swallowed_errors() -> Iterator[list[str]]:
    """Collect what the HTJ2K decoder meets and does not raise.

    imagecodecs (2026.3.6) loses an error inside the codestream: it goes to the interpreter's hooks for errors that
    nobody can catch, and a picture that was filled in part is returned as if all were well.
    """
    seen: list[str] = []
    hooks = sys.unraisablehook, sys.excepthook

    def unraisable(event: sys.UnraisableHookArgs) -> None:
        if "htj2k" in str(event.object):
            seen.append(str(event.exc_value))
        else:
            hooks[0](event)

    # The same error also goes to the other hook, which would print it.
    sys.unraisablehook, sys.excepthook = unraisable, lambda kind, error, trace: seen.append(str(error))
    try:
        yield seen
    finally:
        sys.unraisablehook, sys.excepthook = hooks
