"""Read one frame of a DICOM file: its stored values and how they want to be shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radboost.data.codecs import COLOUR_AS_RGB, decode
from radboost.data.dicom.colour import grey, palette
from radboost.data.dicom.door import door, number, read_dataset
from radboost.data.dicom.pixel_data import frame_bytes, pixel_keyword, spec_of, syntax_of, without_pixels
from radboost.data.dicom.presentation import DISPLAY_MAX, Presentation
from radboost.data.dicom.voi import presentation_of
from radboost.errors import PixelError

__all__ = ["MIDDLE", "Frame", "read_frame"]

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
    """

    pixels: np.ndarray
    presentation: Presentation | None
    index: int = 0
    frames: int = 1

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
    with door("the DICOM file cannot be read"):
        dataset = read_dataset(path)
    keyword = pixel_keyword(dataset)
    if keyword is None:
        raise without_pixels(dataset)
    frames = max(1, int(number(dataset, "NumberOfFrames", 1) or 1))
    index = frames // 2 if index == MIDDLE else index
    if not 0 <= index < frames:
        raise PixelError(f"the file has {frames} frames, counted from 0", got=f"frame {index}")
    spec, syntax = spec_of(dataset, keyword), syntax_of(dataset)
    pixels = decode(syntax, frame_bytes(dataset, keyword, index, frames), spec)
    if spec.samples == 3:
        gray = grey(pixels, "RGB" if syntax in COLOUR_AS_RGB else spec.photometric, spec.bits_stored)
        return Frame(gray, None, index, frames)
    if spec.photometric == "PALETTE COLOR":
        return Frame(palette(pixels, dataset), None, index, frames)
    return Frame(pixels, presentation_of(dataset, index), index, frames)
