"""Crops as small PNG pictures in memory, for a page: cut by the chain that `extract` uses, in supervised processes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image

from radboost.data.cohort import Cohort
from radboost.data.crop import PixelPolicy
from radboost.data.jobs import crop_jobs
from radboost.data.picture import thumbnails
from radboost.data.pool import Done, Limits, Pool, available_cores

__all__ = ["crop_pictures", "png"]


def crop_pictures(
    cohort: Cohort, rows: Sequence[int], pixels: PixelPolicy, side: int = 192, workers: int | None = None
) -> list[bytes | None]:
    """Cut crops as pictures.

    Parameters
    ----------
    cohort
        With files.
    rows
        Rows of its manifest.
    pixels
        How crops are cut; of several channels the first is shown, three as colours.
    side
        Of a picture, pixels.
    workers
        Processes; all cores when absent.

    Returns
    -------
    list
        PNG bytes in the order of `rows`; None for a file that can no longer be read.

    Raises
    ------
    UserError
        A shared cohort, which names no files.
    """
    small = replace(pixels, size=side)
    shape = (2 * pixels.channels, side, side)
    found: list[bytes | None] = []
    with Pool(workers or available_cores(), Limits(), slot_shape=shape) as pool:
        for outcome in pool.map(partial(thumbnails, policy=small), crop_jobs(cohort, small, rows)):
            shown = isinstance(outcome, Done) and outcome.pixels is not None
            found.append(png(outcome.pixels[: pixels.channels]) if shown else None)  # type: ignore[union-attr, index]
    return found


def png(channels: npt.NDArray[np.uint16]) -> bytes:
    """Encode (channels, height, width) of 16 bits as a PNG of 8: three channels as colours, else the first in grey."""
    shown = np.round(channels / 257).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(np.moveaxis(shown, 0, -1) if len(shown) == 3 else shown[0]).save(out, "png", optimize=True)
    return out.getvalue()
