"""Whole frames as they are displayed, to draw maps on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from radboost.data.crop import CropInfo, CropJob, PixelPolicy
from radboost.data.pool import Done, Limits, Pool
from radboost.data.render import render_each

__all__ = ["Frame", "frames"]


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame for the eye, as it is stored: neither cut nor mirrored.

    Attributes
    ----------
    shown
        Display values (rows, columns), 0 black to 255 white, of the first window; made smaller where it is larger than
        was asked for.
    shape
        (rows, columns) of the frame itself.
    spacing
        Millimetres from row to row and from column to column; None where the file does not say.
    """

    shown: npt.NDArray[np.uint8]
    shape: tuple[int, int]
    spacing: tuple[float, ...] | None


def frames(
    jobs: Sequence[CropJob], policy: PixelPolicy, most: int, limits: Limits | None = None
) -> Iterator[Frame | None]:
    """Decode frames in a supervised process.

    Parameters
    ----------
    jobs
        One a frame; boxes do not matter.
    policy
        Of the crops: its first window counts.
    most
        Longest side of what is shown, pixels.
    limits
        Of one file's decoding.

    Yields
    ------
    Frame or None
        In order; None for one that cannot be read.
    """
    whole = PixelPolicy(size=most, windows=policy.windows[:1], full_decode=policy.full_decode)
    plain = [(replace(job, box=None, mirrored=False),) for job in jobs]
    with Pool(1, limits or Limits(), slot_shape=(1, *whole.shape), ahead=1) as pool:
        for item in pool.map(partial(render_each, policy=whole), plain):
            made = item.value[0] if isinstance(item, Done) else None
            if not isinstance(made, CropInfo) or not isinstance(item, Done) or item.pixels is None:
                yield None
                continue
            x, y, width, height = made.placed(most, to_left=False).seat
            shown = item.pixels[0][0, y : y + height, x : x + width]
            yield Frame(np.round(shown / 257).astype(np.uint8), made.shape, made.spacing)
