"""JPEG 2000 (ISO 15444-1) and High-Throughput JPEG 2000 (ISO 15444-15)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import imagecodecs
import numpy as np

from radboost.data.codecs.jpeg import Codestream, check
from radboost.data.codecs.spec import FrameSpec, to_stored
from radboost.errors import PixelError

__all__ = ["decode_htj2k", "decode_jpeg2000", "siz"]

# Start of codestream followed by SIZ, which the standard demands; a JP2 wrapper may stand before it.
_START = b"\xff\x4f\xff\x51"


def siz(data: bytes) -> Codestream:
    """Read the SIZ marker: size, components, precision and sign of the codestream.

    Raises
    ------
    PixelError
        When there is none.
    """
    at = data.find(_START)
    if at < 0 or at + 43 > len(data):
        raise PixelError("the JPEG 2000 codestream has no SIZ marker", got=f"{len(data):,} bytes")
    right, bottom, left, top = (int.from_bytes(data[at + k : at + k + 4], "big") for k in (8, 12, 16, 20))
    samples = int.from_bytes(data[at + 40 : at + 42], "big")
    depth = data[at + 42]
    return Codestream(bottom - top, right - left, samples, (depth & 0x7F) + 1, signed=bool(depth & 0x80))


def _stored(values: np.ndarray, stream: Codestream, spec: FrameSpec, *, lossy: bool) -> np.ndarray:
    """Bring decoded values to the header's range and sign, which may differ from those of SIZ."""
    if values.shape != spec.shape:
        raise PixelError("the decoded image has another size than its codestream promised", got=values.shape)
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
    return _stored(imagecodecs.jpeg2k_decode(data, numthreads=1), stream, spec, lossy=lossy)


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
    with _swallowed_errors() as errors:
        values = imagecodecs.htj2k_decode(data)
    if errors:
        raise PixelError("the HTJ2K codestream is damaged or ends early", got=errors[0])
    return _stored(values, stream, spec, lossy=lossy)


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
