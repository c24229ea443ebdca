"""One frame's bytes in, its stored pixel values out: the transfer syntax alone decides which decoder runs.

The order is: imagecodecs; for JPEG Lossless its second decoder; GDCM, where it is installed. A frame goes to the next
decoder only when the one before raised an error of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from pydicom import config
from pydicom.uid import UID

from radboost.data.codecs.fallback import decode_gdcm
from radboost.data.codecs.jpeg import decode_jpeg, decode_jpeg_lossless, decode_jpeg_ls
from radboost.data.codecs.jpeg2000 import decode_htj2k, decode_jpeg2000, decode_reduced, levels
from radboost.data.codecs.native import decode_deflated, decode_native, decode_rle
from radboost.data.codecs.spec import FrameSpec
from radboost.errors import PixelError

__all__ = [
    "BIG_ENDIAN",
    "COLOUR_AS_RGB",
    "NATIVE",
    "SUPPORTED",
    "decode",
    "decode_first",
    "decode_small",
    "name_of",
    "reducible",
]

BIG_ENDIAN = "1.2.840.10008.1.2.2"
"""UID of the retired syntax Explicit VR Big Endian."""

_DECODERS: dict[str, Callable[[Any, FrameSpec], np.ndarray]] = {
    "1.2.840.10008.1.2": decode_native,
    "1.2.840.10008.1.2.1": decode_native,
    # The whole data set was inflated when the file was read.
    "1.2.840.10008.1.2.1.99": decode_native,
    BIG_ENDIAN: partial(decode_native, big_endian=True),
    "1.2.840.10008.1.2.4.50": decode_jpeg,
    "1.2.840.10008.1.2.4.51": decode_jpeg,
    "1.2.840.10008.1.2.4.57": decode_jpeg_lossless,
    "1.2.840.10008.1.2.4.70": decode_jpeg_lossless,
    "1.2.840.10008.1.2.4.80": partial(decode_jpeg_ls, lossy=False),
    "1.2.840.10008.1.2.4.81": partial(decode_jpeg_ls, lossy=True),
    "1.2.840.10008.1.2.4.90": partial(decode_jpeg2000, lossy=False),
    "1.2.840.10008.1.2.4.91": partial(decode_jpeg2000, lossy=True),
    "1.2.840.10008.1.2.4.201": partial(decode_htj2k, lossy=False),
    "1.2.840.10008.1.2.4.202": partial(decode_htj2k, lossy=False),
    "1.2.840.10008.1.2.4.203": partial(decode_htj2k, lossy=True),
    "1.2.840.10008.1.2.5": decode_rle,
    "1.2.840.10008.1.2.8.1": decode_deflated,
}
SUPPORTED = frozenset(_DECODERS)
"""UIDs of the transfer syntaxes that `decode` reads."""

NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", BIG_ENDIAN})
"""Syntaxes whose frames lie one after the other without encapsulation; all others keep each frame in fragments."""

_PREFIX = "1.2.840.10008.1.2.4."
COLOUR_AS_RGB = frozenset(_PREFIX + end for end in ("50", "51", "90", "91", "201", "202", "203"))
"""Syntaxes whose decoders undo the colour transform; the others give colour as the header names it."""


def name_of(transfer_syntax: str) -> str:
    """Name a transfer syntax by its UID; one that nobody registered stays a UID."""
    return UID(transfer_syntax, config.IGNORE).name


def decode(transfer_syntax: str, data: bytes | np.ndarray, spec: FrameSpec) -> np.ndarray:
    """Decode one frame.

    Parameters
    ----------
    transfer_syntax
        UID of PS3.6 table A-1.
    data
        The bytes of this frame, without encapsulation; uncompressed ones may be an array, (n,) uint8.
    spec
        What the header promises about it.

    Returns
    -------
    numpy.ndarray
        (rows, columns) or (rows, columns, 3); stored values, signed where they are; possibly read-only.
        Colour is RGB for the syntaxes in `COLOUR_AS_RGB`, else in the header's photometric interpretation.

    Raises
    ------
    PixelError
        When the syntax is not supported, or header and bytes do not fit, or the decoder gives up.
    """
    decoder = _DECODERS.get(transfer_syntax)
    name = name_of(transfer_syntax)
    if decoder is None:
        raise PixelError("no decoder for this transfer syntax", got=name)
    try:
        return decoder(data, spec)
    except (PixelError, MemoryError):
        raise
    except Exception as error:  # a codec may raise anything on a damaged stream; all of it means the same to the run
        # What our own checks refuse (a PixelError above) is refused for good: a second decoder might fill in grey.
        with suppress(ImportError, PixelError):
            return decode_gdcm(transfer_syntax, bytes(data), spec)
        raise PixelError(f"the {name} frame cannot be decoded", got=f"{type(error).__name__}: {error}") from error


def decode_first(transfer_syntax: str, data: bytes | np.ndarray, spec: FrameSpec) -> np.ndarray:
    """Decode one frame by the first decoder alone, for a check of the installation; whatever that raises comes through.

    Parameters
    ----------
    transfer_syntax, data, spec
        As for `decode`; the syntax is one of `SUPPORTED`.
    """
    return _DECODERS[transfer_syntax](data, spec)


_HIGH_THROUGHPUT = frozenset(_PREFIX + end for end in ("201", "202", "203"))
_WAVELETS = _HIGH_THROUGHPUT | {_PREFIX + "90", _PREFIX + "91"}


def reducible(transfer_syntax: str, data: bytes | np.ndarray, spec: FrameSpec) -> int:
    """How many times a frame can be halved while it is decoded; 0 for all syntaxes but JPEG 2000 and HTJ2K.

    Parameters
    ----------
    transfer_syntax, data, spec
        As for `decode`.
    """
    if transfer_syntax not in _WAVELETS or not isinstance(data, bytes):
        return 0
    try:
        return levels(data, spec)
    except PixelError:
        return 0  # the decoder will say what is wrong


def decode_small(
    transfer_syntax: str, data: bytes | np.ndarray, spec: FrameSpec, reduce: int
) -> tuple[np.ndarray, int]:
    """Decode one frame at a fraction of its size.

    Parameters
    ----------
    transfer_syntax, data, spec
        As for `decode`.
    reduce
        How many times to halve, at most `reducible`.

    Returns
    -------
    tuple of numpy.ndarray and int
        (ceil(rows / 2**r), ceil(columns / 2**r)) stored values, and r: `reduce`, or 0 where the stream could not
        be read that way.

    Raises
    ------
    PixelError
        As `decode`.
    """
    if reduce and isinstance(data, bytes):
        # A codec may raise anything. Whatever it was, the full decoder's word counts.
        with suppress(PixelError, OSError, ValueError, SyntaxError, TypeError, KeyError, RuntimeError):
            high_throughput = transfer_syntax in _HIGH_THROUGHPUT
            return decode_reduced(data, spec, reduce, high_throughput=high_throughput), reduce
    return decode(transfer_syntax, data, spec), 0
