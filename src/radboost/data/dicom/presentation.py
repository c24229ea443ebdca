"""From stored values to display values: modality LUT, then VOI, then polarity, as one table (PS3.3 C.11, PS3.4 N.2).

The table has an entry for every value a pixel can hold, so that a frame costs one look-up whatever the steps are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_windowing

__all__ = ["DISPLAY_MAX", "Lut", "Presentation", "Window", "display"]

DISPLAY_MAX = 65535
"""White. Display values run from 0, black, to this."""


@dataclass(frozen=True)
class Lut:
    """A look-up table of the file (PS3.3 C.11.1.1, C.11.2.1.1).

    Attributes
    ----------
    first
        The input value of the first entry.
    bits
        Nominal bits of an entry: the output runs from 0 to 2**bits - 1.
    entries
        uint16, little endian.
    """

    first: int
    bits: int
    entries: bytes

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Look values up; values before the first and after the last entry get these."""
        table = np.frombuffer(self.entries, "<u2")
        index = np.clip(np.floor(values) - self.first, 0, table.size - 1).astype(np.int64)
        found: np.ndarray = table[index].astype(np.float64)
        return found


@dataclass(frozen=True)
class Window:
    """A VOI window in rescaled units (PS3.3 C.11.2.1.2).

    Attributes
    ----------
    centre, width
        In the units that the modality transform gives: HU for CT.
    function
        LINEAR, LINEAR_EXACT or SIGMOID.
    """

    centre: float
    width: float
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR"

    @property
    def usable(self) -> bool:
        """Whether the standard allows this width: at least 1 for LINEAR, positive for the others."""
        return self.width >= 1 if self.function == "LINEAR" else self.width > 0


@dataclass(frozen=True)
class Presentation:
    """How one frame wants to be shown.

    Attributes
    ----------
    slope, intercept
        Rescaled = stored * slope + intercept; unless there is a `modality` table.
    modality
        Modality LUT Sequence, which wins over the rescale.
    voi
        VOI LUT Sequence, which wins over the windows.
    windows
        The file's windows in their order; the first usable one is taken.
    inverted
        MONOCHROME1: the lowest value is white.
    padding
        Lowest and highest stored value that mean "no pixel here" (PS3.3 C.7.5.1.1.2); they are shown black.
    """

    slope: float = 1.0
    intercept: float = 0.0
    modality: Lut | None = None
    voi: Lut | None = None
    windows: tuple[Window, ...] = ()
    inverted: bool = False
    padding: tuple[float, float] | None = None

    def rule(self, window: Window | None = None) -> tuple[str, Window | None]:
        """Name the step that maps to display values: ``given``, ``voi lut``, ``window`` or ``min-max``."""
        if window is not None:
            return "given", window
        if self.voi is not None:
            return "voi lut", None
        usable = next((w for w in self.windows if w.usable), None)
        return ("min-max", None) if usable is None else ("window", usable)

    def rescale(self, values: np.ndarray) -> np.ndarray:
        """Give stored values in rescaled units, float64."""
        if self.modality is not None:
            return self.modality(values)
        return values.astype(np.float64) * self.slope + self.intercept


def display(
    pixels: np.ndarray, presentation: Presentation, extent: tuple[float, float], window: Window | None = None
) -> np.ndarray:
    """Map stored values to display values.

    Parameters
    ----------
    pixels
        (rows, columns), any part of the frame; integers or floats.
    presentation
        How the frame wants to be shown.
    extent
        Lowest and highest rescaled value of the whole frame, for frames without table or window: two parts of a
        frame must look alike.
    window
        Given: it replaces the frame's own table and windows.

    Returns
    -------
    numpy.ndarray
        Same shape, uint16, 0 black to 65535 white; MONOCHROME1 is already inverted.
    """
    name, chosen = presentation.rule(window)
    step = extent if name == "min-max" else chosen
    if pixels.dtype.kind == "f" or pixels.dtype.itemsize > 2:
        return _map(pixels, presentation, step)
    table = _table(pixels.dtype.str, presentation, step)
    # cv2 looks up by bit pattern; _table is ordered accordingly. It wants rows without gaps between pixels.
    patterns = np.ascontiguousarray(pixels).view(f"u{pixels.itemsize}")
    return np.asarray(cv2.LUT(patterns, table), np.uint16)


@lru_cache(maxsize=64)
def _table(dtype: str, presentation: Presentation, step: Window | tuple[float, float] | None) -> np.ndarray:
    size = np.dtype(dtype).itemsize
    every = np.arange(1 << (8 * size), dtype=f"u{size}").view(np.dtype(dtype).newbyteorder("="))
    table = _map(every, presentation, step)
    table.flags.writeable = False
    return table


def _map(values: np.ndarray, presentation: Presentation, step: Window | tuple[float, float] | None) -> np.ndarray:
    """Compute display values one by one: modality, VOI, inversion, padding."""
    rescaled = presentation.rescale(values)
    if isinstance(step, Window):
        shown = _windowed(rescaled, step)
    elif step is None and presentation.voi is not None:
        # Some files state fewer bits than their entries use.
        top = max((1 << presentation.voi.bits) - 1, int(np.frombuffer(presentation.voi.entries, "<u2").max()))
        shown = presentation.voi(rescaled) * (DISPLAY_MAX / top)
    else:
        low, high = step or (0.0, 0.0)
        shown = np.clip((rescaled - low) * (DISPLAY_MAX / (high - low)), 0, DISPLAY_MAX) if high > low else rescaled * 0
    shown = np.rint(shown)
    if presentation.inverted:
        shown = DISPLAY_MAX - shown
    if presentation.padding is not None:
        low, high = presentation.padding
        shown[(values >= low) & (values <= high)] = 0
    result: np.ndarray = np.nan_to_num(shown, nan=0.0).astype(np.uint16)
    return result


def _windowed(rescaled: np.ndarray, window: Window) -> np.ndarray:
    # pydicom's own function, told that stored values are unsigned 16 bit: its output range is then ours.
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored = 16
    dataset.PixelRepresentation = 0
    # Read as floats, not as decimal strings of at most 16 characters.
    dataset.add_new("WindowCenter", "FD", window.centre)
    dataset.add_new("WindowWidth", "FD", window.width)
    dataset.VOILUTFunction = window.function
    with np.errstate(over="ignore"):  # the far end of a sigmoid: exp overflows to infinity, the result to 0
        return np.asarray(apply_windowing(rescaled, dataset), np.float64)
