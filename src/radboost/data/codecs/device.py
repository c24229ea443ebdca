"""JPEG 2000 and HTJ2K on the GPU with nvImageCodec (extra ``cuda``), where that was chosen.

Frames that it is not meant for, or gives up on, go to the decoders of the CPU.
"""

from __future__ import annotations

import importlib
import threading
from contextlib import suppress
from importlib import metadata
from typing import Any

import numpy as np

from radboost.data.codecs.jpeg2000 import check, siz, stored
from radboost.data.codecs.spec import FrameSpec, to_stored
from radboost.errors import PixelError, UserError

__all__ = ["DeviceDecoder"]

_PREFIX = "1.2.840.10008.1.2.4."
_LOSSY = {_PREFIX + "91", _PREFIX + "203"}
_WAVELETS = {_PREFIX + end for end in ("90", "91", "201", "202", "203")}
_JPEG_LOSSLESS = {_PREFIX + "57", _PREFIX + "70"}
# Older releases decode 9 to 15 bits wrongly and say nothing.
_NVJPEG = (13, 0, 2)
_NVJPEG_WHEELS = ("nvidia-nvjpeg", "nvidia-nvjpeg-cu13", "nvidia-nvjpeg-cu12")


class DeviceDecoder:
    """nvImageCodec on one GPU; may be called from several threads.

    Raises
    ------
    UserError
        The extra is not installed, or there is no GPU that it can use.
    """

    def __init__(self) -> None:
        try:
            self._library: Any = importlib.import_module("nvidia.nvimgcodec")
        except ImportError as error:
            do = "pip install 'radboost[cuda]', or leave --decode cuda out"
            raise UserError("decoding on the GPU needs the extra cuda", where="--decode cuda", do=do) from error
        self._local = threading.local()
        try:
            self._decoder()
        except RuntimeError as error:
            got, do = str(error).splitlines()[0][:120], "Leave --decode cuda out"
            raise UserError("no GPU that nvImageCodec can use", where="--decode cuda", got=got, do=do) from error
        self._reads = _WAVELETS | (_JPEG_LOSSLESS if _nvjpeg() >= _NVJPEG else set())

    def _decoder(self) -> Any:
        if not hasattr(self._local, "decoder"):
            backends = [self._library.Backend(self._library.BackendKind.GPU_ONLY)]
            self._local.decoder = self._library.Decoder(backends=backends)
            self._local.params = self._library.DecodeParams(
                apply_exif_orientation=False, allow_any_depth=True, color_spec=self._library.ColorSpec.UNCHANGED
            )
        return self._local.decoder

    def decode(self, transfer_syntax: str, data: bytes | np.ndarray, spec: FrameSpec) -> np.ndarray | None:
        """Decode one grayscale frame.

        Parameters
        ----------
        transfer_syntax, data, spec
            As for `radboost.data.codecs.decode`.

        Returns
        -------
        numpy.ndarray or None
            `spec.shape`; stored values. None where another decoder should be asked.
        """
        if transfer_syntax not in self._reads or spec.samples != 1 or not isinstance(data, bytes):
            return None
        # What it cannot read it says by None or by an error of its own; the CPU's decoders find the words for it.
        with suppress(PixelError, RuntimeError, ValueError, TypeError):
            if transfer_syntax in _WAVELETS:
                check(siz(data), spec)
            image = self._decoder().decode(data, params=self._local.params)
            if image is None:
                return None
            values = np.ascontiguousarray(np.asarray(image.cpu()).squeeze())
            if values.shape != spec.shape:
                return None
            if transfer_syntax in _WAVELETS:
                return stored(values, siz(data), spec, lossy=transfer_syntax in _LOSSY)
            return to_stored(values, spec)
        return None


def _nvjpeg() -> tuple[int, ...]:
    """Version of the nvJPEG wheel; (0,) where there is none, since one of the system does not tell its own."""
    for name in _NVJPEG_WHEELS:
        with suppress(metadata.PackageNotFoundError, ValueError):
            return tuple(int(part) for part in metadata.version(name).split(".")[:3])
    return (0,)
