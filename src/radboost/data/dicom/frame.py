"""Read one frame of a DICOM file: its stored values and how they want to be shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radboost.data.codecs import COLOUR_AS_RGB, DeviceDecoder, decode_small, reducible
from radboost.data.dicom.colour import grey, palette
from radboost.data.dicom.door import number
from radboost.data.dicom.header import spacing_of
from radboost.data.dicom.parse import parse
from radboost.data.dicom.pixel_data import frame_data, spec_of, syntax_of, without_pixels
from radboost.data.dicom.presentation import DISPLAY_MAX, Presentation
from radboost.data.dicom.voi import presentation_of
from radboost.errors import PixelError

__all__ = ["MIDDLE", "Frame", "Source", "open_frame", "read_frame"]

MIDDLE = -1
"""Frame number that stands for the middle frame."""


@dataclass(frozen=True)
class Frame:
    """One grayscale frame.

    Attributes
    ----------
    pixels
        (rows, columns): stored values; or display values, 0 to 65535, where `presentation` is None.
    presentation
        How stored values become display values; None for colour and raster images, which carry them already.
    index, frames
        Which frame of how many, from 0.
    reduce
        How many times it was halved: pixel n lies where pixel ``n * 2**reduce`` of the full frame does.
    """

    pixels: np.ndarray
    presentation: Presentation | None
    index: int = 0
    frames: int = 1
    reduce: int = 0

    def extent(self) -> tuple[float, float]:
        """Lowest and highest rescaled value of the frame, without its padding."""
        if self.presentation is None:
            return 0.0, float(DISPLAY_MAX)
        values = self.pixels
        if self.presentation.padding is not None:
            low, high = self.presentation.padding
            kept = values[(values < low) | (values > high)]
            values = kept if kept.size else values
        ends = self.presentation.rescale(np.array([np.nanmin(values), np.nanmax(values)]))
        return float(ends.min()), float(ends.max())


@dataclass(frozen=True)
class Source:
    """A frame that is about to be decoded, whole or smaller.

    Attributes
    ----------
    shape
        (rows, columns) of the frame in full.
    levels
        How many times it can be halved while it is decoded.
    spacing
        Millimetres between rows and between columns, where known.
    presentation
        How it wants to be shown; None where `read` gives display values.
    read
        Given how many times to halve, 0 to `levels`: the frame, whose `reduce` tells what was done.
    """

    shape: tuple[int, int]
    levels: int
    spacing: tuple[float, ...] | None
    presentation: Presentation | None
    read: Callable[[int], Frame]


def open_frame(path: Path, index: int = MIDDLE, device: DeviceDecoder | None = None) -> Source:
    """Read a file's header and find one frame in it, without decoding.

    Parameters
    ----------
    path
        A DICOM file, with or without preamble.
    index
        Frame number from 0, or `MIDDLE`.
    device
        Decodes whole frames before the CPU's decoders are asked.

    Raises
    ------
    NotAnImage
        When the file holds no image.
    PixelError
        When it cannot be read.
    """
    parsed = parse(path)
    dataset = parsed.dataset
    if parsed.pixels is None:
        raise without_pixels(dataset, path)
    frames = max(1, int(number(dataset, "NumberOfFrames", 1) or 1))
    index = frames // 2 if index == MIDDLE else index
    if not 0 <= index < frames:
        raise PixelError(f"the file has {frames} frames, counted from 0", got=f"frame {index}")
    spec, syntax = spec_of(dataset, parsed.pixels.keyword), syntax_of(dataset)
    data = frame_data(parsed, spec, index, frames)
    colour = spec.samples == 3 or spec.photometric == "PALETTE COLOR"
    shown = None if colour else presentation_of(dataset, index)

    def read(reduce: int) -> Frame:
        whole = None if device is None or reduce else device.decode(syntax, data, spec)
        pixels, done = decode_small(syntax, data, spec, reduce) if whole is None else (whole, 0)
        if spec.samples == 3:
            pixels = grey(pixels, "RGB" if syntax in COLOUR_AS_RGB else spec.photometric, spec.bits_stored)
        elif colour:
            pixels = palette(pixels, dataset)
        return Frame(pixels, shown, index, frames, done)

    return Source((spec.rows, spec.columns), reducible(syntax, data, spec), spacing_of(dataset), shown, read)


def read_frame(path: Path, index: int = MIDDLE) -> Frame:
    """Read and decode one frame.

    Parameters
    ----------
    path
        A DICOM file, with or without preamble.
    index
        Frame number from 0, or `MIDDLE`.

    Returns
    -------
    Frame
        Stored values with their presentation; colour is already gray.

    Raises
    ------
    NotAnImage
        When the file holds no image.
    PixelError
        When it cannot be read or decoded.
    """
    return open_frame(path, index).read(0)
