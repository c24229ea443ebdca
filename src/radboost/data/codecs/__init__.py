"""Pixel codecs: the one door to imagecodecs, and to OpenCV's readers of raster files."""

from radboost.data.codecs.check import probe_codecs, probe_device
from radboost.data.codecs.decode import (
    BIG_ENDIAN,
    COLOUR_AS_RGB,
    NATIVE,
    SUPPORTED,
    decode,
    decode_small,
    name_of,
    reducible,
)
from radboost.data.codecs.device import DeviceDecoder
from radboost.data.codecs.encode import SYNTAXES, encode
from radboost.data.codecs.raster import SUFFIXES, is_raster, read_raster
from radboost.data.codecs.spec import MAX_PIXELS, FrameSpec

__all__ = [
    "BIG_ENDIAN",
    "COLOUR_AS_RGB",
    "MAX_PIXELS",
    "NATIVE",
    "SUFFIXES",
    "SUPPORTED",
    "SYNTAXES",
    "DeviceDecoder",
    "FrameSpec",
    "decode",
    "decode_small",
    "encode",
    "is_raster",
    "name_of",
    "probe_codecs",
    "probe_device",
    "read_raster",
    "reducible",
]
