"""GDCM, where it is installed (extra ``gdcm``): asked for a frame only when the first decoder gave up on it."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from radboost.data.codecs.jpeg2000 import siz
from radboost.data.codecs.spec import FrameSpec, to_stored
from radboost.errors import PixelError

__all__ = ["GDCM_READS", "decode_gdcm"]

_PREFIX = "1.2.840.10008.1.2.4."
# HTJ2K and deflated frames are unknown to it; RLE and uncompressed frames need no second decoder.
GDCM_READS = frozenset(_PREFIX + end for end in ("50", "51", "57", "70", "80", "81", "90", "91"))
"""Transfer syntaxes that GDCM may be asked for."""

_LOSSY = {_PREFIX + end for end in ("50", "51", "81", "91")}
_WAVELETS = {_PREFIX + "90", _PREFIX + "91"}


def decode_gdcm(transfer_syntax: str, data: bytes, spec: FrameSpec) -> np.ndarray:
    """Decode one grayscale frame with GDCM.

    Parameters
    ----------
    transfer_syntax
        UID, one of `GDCM_READS`.
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
    ImportError
        When GDCM is not installed.
    PixelError
        When it cannot read the frame either, or the frame is in colour, whose transforms it does not report.
    """
    gdcm: Any = importlib.import_module("gdcm")
    if transfer_syntax not in GDCM_READS or spec.samples != 1 or spec.bits_allocated not in (8, 16):
        raise PixelError("GDCM is not asked for such a frame")
    if transfer_syntax in _WAVELETS and siz(data).signed != spec.signed:
        raise PixelError("GDCM takes the header's word for the sign, and the codestream contradicts it")
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((spec.columns, spec.rows, 1))
    image.SetDataElement(_element(gdcm, data))
    # Read as unsigned: the sign is given back by to_stored, as for every other decoder.
    image.SetPixelFormat(gdcm.PixelFormat(1, spec.bits_allocated, spec.bits_stored, spec.bits_stored - 1, 0))
    image.SetPhotometricInterpretation(
        gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2"))
    )
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(transfer_syntax)))
    # SWIG hands bytes over as text with surrogates, and None for a failure.
    found = image.GetBuffer()
    raw = found.encode("utf-8", "surrogateescape") if isinstance(found, str) else bytes(found or b"")
    size = spec.rows * spec.columns * spec.bits_allocated // 8
    if len(raw) < size:
        raise PixelError("GDCM cannot read the frame either", got=f"{len(raw):,} of {size:,} bytes")
    values = np.frombuffer(raw, f"<u{spec.bits_allocated // 8}", spec.rows * spec.columns)
    return to_stored(values.reshape(spec.shape), spec, lossy=transfer_syntax in _LOSSY)


def _element(gdcm: Any, data: bytes) -> Any:
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    return element
