"""Colour to gray: the luma of ITU-R BT.601, from RGB, YBR and palettes."""

from __future__ import annotations

import cv2
import numpy as np
from pydicom.dataset import FileDataset
from pydicom.pixels.processing import apply_color_lut

from radboost.data.codecs import BIG_ENDIAN
from radboost.data.dicom.door import door
from radboost.data.dicom.pixel_data import swapped, syntax_of
from radboost.data.dicom.presentation import DISPLAY_MAX
from radboost.errors import PixelError

__all__ = ["grey", "palette"]


def grey(colour: np.ndarray, photometric: str, bits: int) -> np.ndarray:
    """Turn colour into display values.

    Parameters
    ----------
    colour
        (rows, columns, 3), unsigned.
    photometric
        RGB, YBR_FULL, YBR_FULL_422 or YBR_PARTIAL_*; a YBR image carries its luma already.
    bits
        Significant bits of a sample.

    Returns
    -------
    numpy.ndarray
        (rows, columns) uint16, 0 to 65535.

    Raises
    ------
    PixelError
        For another photometric interpretation.
    """
    if photometric.startswith("YBR_FULL"):
        luma: np.ndarray = colour[..., 0].astype(np.float32)
    elif photometric.startswith("YBR_PARTIAL"):
        step = 1 << (bits - 8)  # black is 16 and white 235 of 8 bits (PS3.3 C.7.6.3.1.2)
        luma = (colour[..., 0].astype(np.float32) - 16 * step) * (((1 << bits) - 1) / (219 * step))
    elif photometric == "RGB":
        luma = cv2.cvtColor(np.ascontiguousarray(colour, np.float32), cv2.COLOR_RGB2GRAY)
    else:
        raise PixelError("this photometric interpretation is not supported", got=photometric)
    shown: np.ndarray = np.clip(np.rint(luma * (DISPLAY_MAX / ((1 << bits) - 1))), 0, DISPLAY_MAX).astype(np.uint16)
    return shown


def palette(pixels: np.ndarray, dataset: FileDataset) -> np.ndarray:
    """Look colours up in the image's palette (PS3.3 C.7.6.3.1.5) and turn them into display values.

    Parameters
    ----------
    pixels
        (rows, columns) stored values.
    dataset
        The image; its palette is plain or segmented.

    Returns
    -------
    numpy.ndarray
        (rows, columns) uint16, 0 to 65535.

    Raises
    ------
    PixelError
        When there is no palette, or a damaged one.
    """
    with door("the palette cannot be applied"):
        if syntax_of(dataset) == BIG_ENDIAN:
            # pydicom unpacks segmented palettes by the file's byte order and plain ones as little endian.
            for name in ("Red", "Green", "Blue"):
                keyword = f"{name}PaletteColorLookupTableData"
                if keyword in dataset and dataset[keyword].VR == "OW":
                    dataset[keyword].value = swapped(dataset[keyword].value)
        colour = np.asarray(apply_color_lut(pixels, dataset))[..., :3]
    return grey(colour, "RGB", colour.itemsize * 8)
