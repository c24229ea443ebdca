"""Where a crop's pixels lie in its frame: the crop's geometry forwards, and undone."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from radboost.data.boxes import Box

__all__ = ["Placement"]


@dataclass(frozen=True)
class Placement:
    """How a box of a frame was resized, mirrored and put onto a square of black.

    Positions are those of edges: pixel k reaches from k to k + 1, in frame and crop alike.

    Attributes
    ----------
    box
        (left, top, right, bottom) in pixels of the frame.
    size
        Of the crop, pixels.
    mirrored
        The crop shows the box left to right reversed.
    to_left
        The box lies against the left edge of the crop instead of centred.
    """

    box: Box
    size: int
    mirrored: bool = False
    to_left: bool = False

    @property
    def seat(self) -> tuple[int, int, int, int]:
        """Where the box lies in the crop: x, y, width, height in pixels, ratio kept; the rest is black."""
        left, top, right, bottom = self.box
        scale = self.size / max(right - left, bottom - top)
        height, width = (max(1, min(self.size, round(side * scale))) for side in (bottom - top, right - left))
        return 0 if self.to_left else (self.size - width) // 2, (self.size - height) // 2, width, height

    def to_frame(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Bring positions (n, 2), x before y, from the crop to the frame; beyond the box too."""
        x, y = np.asarray(points, dtype=np.float64).reshape(-1, 2).T
        left, top, right, bottom = self.box
        at, down, width, height = self.seat
        across = (x - at) * (right - left) / width
        return np.stack(
            [right - across if self.mirrored else left + across, top + (y - down) * (bottom - top) / height], 1
        )

    def to_crop(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Bring positions (n, 2), x before y, from the frame to the crop."""
        x, y = np.asarray(points, dtype=np.float64).reshape(-1, 2).T
        left, top, right, bottom = self.box
        at, down, width, height = self.seat
        across = (right - x if self.mirrored else x - left) * width / (right - left)
        return np.stack([at + across, down + (y - top) * height / (bottom - top)], 1)

    def on_frame(self, values: npt.NDArray[np.float32], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Draw a crop's values where they belong in the frame.

        Parameters
        ----------
        values
            Shape (size, size), finite.
        shape
            (rows, columns) of the frame.

        Returns
        -------
        ndarray
            Shape `shape`: values between the crop's pixels by straight lines, NaN outside the box.
        """
        left, top, right, bottom = self.box
        at, down, width, height = self.seat
        inside = np.ascontiguousarray(values[down : down + height, at : at + width], dtype=np.float32)
        if self.mirrored:
            inside = np.ascontiguousarray(inside[:, ::-1])
        out = np.full(shape, np.nan, dtype=np.float32)
        out[top:bottom, left:right] = cv2.resize(inside, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        return out
