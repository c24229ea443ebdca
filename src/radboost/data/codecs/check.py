"""Whether this installation decodes: a small frame of our own in every transfer syntax, encoded, decoded, compared."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial

import imagecodecs
import numpy as np

from radboost.data.codecs.decode import NATIVE, SUPPORTED, decode_first, name_of
from radboost.data.codecs.device import DeviceDecoder
from radboost.data.codecs.encode import SYNTAXES, encode
from radboost.data.codecs.fallback import GDCM_READS, decode_gdcm
from radboost.data.codecs.spec import FrameSpec
from radboost.data.probe import Probe, State
from radboost.errors import UserError

__all__ = ["probe_codecs", "probe_device"]

AREA = "codecs"
_PREFIX = "1.2.840.10008.1.2.4."
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_NEAR = 2
"""Most a pixel may differ after JPEG-LS near-lossless, which promises that bound (ISO 14495-1 3.2)."""
_LOSSY = 48
"""Likewise for 12 bits after a transform that promises none, at high quality: about one part in a hundred."""


def _frame(bits: int) -> np.ndarray:
    # Smooth, as a picture is: a lossy codec may blur an edge as it likes. 48 x 64, of every size class the same.
    y, x = np.mgrid[0:48, 0:64]
    values = (np.sin(x / 9.0) + np.cos(y / 7.0) + 2) / 4 * ((1 << bits) - 1)
    frame: np.ndarray = values.round().astype(np.uint8 if bits == 8 else np.uint16)
    return frame


def _baseline(frame: np.ndarray, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(frame, level=97, bitspersample=bits))


def _selection_six(frame: np.ndarray, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(frame, lossless=True, predictor=6, bitspersample=bits))


def _near_lossless(frame: np.ndarray, bits: int) -> bytes:
    return bytes(imagecodecs.jpegls_encode(frame, level=_NEAR))


def _lossy_wavelets(frame: np.ndarray, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(frame, level=80, codecformat="j2k", reversible=False, bitspersample=bits))


def _lossy_high_throughput(frame: np.ndarray, bits: int) -> bytes:
    return bytes(imagecodecs.htj2k_encode(frame, level=0.0005, reversible=False))


def _swapped(frame: np.ndarray, bits: int) -> bytes:
    return frame.astype(">u2").tobytes()


def _deflated(frame: np.ndarray, bits: int) -> bytes:
    return bytes(imagecodecs.deflate_encode(frame.tobytes(), raw=True))


_ENCODERS: dict[str, Callable[[np.ndarray, int], bytes]] = {
    **{uid: partial(encode, keyword) for keyword, uid in SYNTAXES.items()},
    _BIG_ENDIAN: _swapped,
    _PREFIX + "50": _baseline,
    _PREFIX + "51": _baseline,
    _PREFIX + "57": _selection_six,
    _PREFIX + "81": _near_lossless,
    _PREFIX + "91": _lossy_wavelets,
    # The progression order that the syntax asks for does not change how a stream is read.
    _PREFIX + "202": partial(encode, "HTJ2KLossless"),
    _PREFIX + "203": _lossy_high_throughput,
    "1.2.840.10008.1.2.8.1": _deflated,
}
_BOUNDS = {_PREFIX + "81": _NEAR, **dict.fromkeys((_PREFIX + end for end in ("50", "51", "91", "203")), _LOSSY)}
_EIGHT_BITS = {_PREFIX + "50"}
_UNREGISTERED = {"1.2.840.10008.1.2.8.1": "Deflated Image Frame Compression"}
"""Younger than pydicom's dictionary."""
_ANEW = "Install imagecodecs anew"


def probe_codecs() -> list[Probe]:
    """Decode a frame of every supported transfer syntax, by the first decoder and by GDCM where that is installed.

    Returns
    -------
    list of Probe
        One a syntax, in the order of their UIDs.
    """
    second = importlib.util.find_spec("gdcm") is not None
    uids = sorted(SUPPORTED, key=lambda uid: [int(part) for part in uid.split(".")])
    return [_probe(uid, second) for uid in uids]


def _probe(uid: str, second: bool) -> Probe:
    bits = 8 if uid in _EIGHT_BITS else 12
    frame = _frame(bits)
    allocated = frame.itemsize * 8
    spec = FrameSpec(frame.shape[0], frame.shape[1], bits_allocated=allocated, bits_stored=bits, high_bit=bits - 1)
    name = _UNREGISTERED.get(uid) or name_of(uid)
    by = f"{name}: " + ("numpy" if uid in NATIVE else f"imagecodecs {imagecodecs.__version__}")
    try:
        data = _ENCODERS[uid](frame, bits)
    except Exception as error:  # a codec may raise anything; that it could not even encode is the finding
        return Probe(AREA, uid, State.broken, f"{by}, no frame could be made: {_reason(error)}", _ANEW, needed=True)
    first = _differs(lambda: decode_first(uid, data, spec), frame, uid)
    reserve = _differs(lambda: decode_gdcm(uid, data, spec), frame, uid) if second and uid in GDCM_READS else None
    if not first:
        state = State.note if reserve else State.works
        return Probe(AREA, uid, state, by + _second(uid, second, reserve), needed=True)
    if reserve == "":
        return Probe(AREA, uid, State.note, f"{by} fails, GDCM reads it: {first}", _ANEW, needed=True)
    return Probe(AREA, uid, State.broken, f"{by}: {first}", _ANEW, needed=True)


def _second(uid: str, second: bool, reserve: str | None) -> str:
    if uid not in GDCM_READS:
        return ""
    if not second:
        return "; no second decoder (extra gdcm)"
    return f"; GDCM fails: {reserve}" if reserve else "; GDCM as a second decoder"


def _differs(decode: Callable[[], np.ndarray], frame: np.ndarray, uid: str) -> str:
    """Say what is wrong with a decoder; nothing where it gives the frame back."""
    try:
        found = decode()
    except Exception as error:  # as above
        return _reason(error)
    if found.shape != frame.shape:
        return f"gives {found.shape} pixels in place of {frame.shape}"
    worst = int(np.abs(found.astype(np.int64) - frame).max())
    return f"pixels differ by up to {worst}" if worst > _BOUNDS.get(uid, 0) else ""


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:120]}".split("\n")[0]


def probe_device() -> list[Probe]:
    """Decode a JPEG 2000 frame on the GPU with nvImageCodec (extra ``cuda``), where both are there."""
    name = "nvImageCodec, --decode cuda"
    try:
        decoder = DeviceDecoder()
    except UserError as error:
        got = "" if error.got is None else f": {error.got}"
        return [Probe("GPU", name, State.absent, f"{error.what}{got}", error.do or "")]
    frame = _frame(12)
    spec = FrameSpec(frame.shape[0], frame.shape[1], bits_allocated=16, bits_stored=12, high_bit=11)
    uid = SYNTAXES["JPEG2000Lossless"]
    found = decoder.decode(uid, encode("JPEG2000Lossless", frame, 12), spec)
    if found is None or not np.array_equal(found, frame):
        reason = "gives no frame" if found is None else "gives other pixels"
        return [Probe("GPU", name, State.broken, reason, "Leave --decode cuda out")]
    return [Probe("GPU", name, State.works, "JPEG 2000 and HTJ2K on the GPU")]
