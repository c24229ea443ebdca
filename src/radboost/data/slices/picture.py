"""The middle of a sagittal series as one small picture in the patient's system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from radboost.data.dicom import read_frame
from radboost.data.pool import Failed
from radboost.data.scan import Reading
from radboost.data.slices.stack import Floats, Stack

__all__ = ["Picture", "PictureJob", "normed", "picture_job", "read_pictures"]

Matrix: TypeAlias = npt.NDArray[np.float32]

MIDDLE_SLICES = 3
"""Slices whose mean the picture is: the spine need not stand straight."""


@dataclass(frozen=True)
class PictureJob:
    """What a worker needs: for each slice its path, the map from the picture's pixels to its own, and a blur."""

    slices: tuple[tuple[str, tuple[float, ...], int], ...]
    size: int


@dataclass(frozen=True)
class Picture:
    """A picture with columns to the back and rows to the feet.

    Attributes
    ----------
    values
        Shape (n, n), mean 0 and deviation 1.
    corner
        y and z of the first pixel's centre, in mm.
    centre
        Middle of the series (3,), in mm.
    pitch
        mm a pixel.
    """

    values: Matrix
    corner: Floats
    centre: Floats
    pitch: float

    def shrunk(self, size: float) -> Picture:
        """Show a spine of some size, 1 being the mean, as one of mean size; lengths are in its mm then."""
        n = len(self.values)
        small = max(1, round(n / size))
        times = n / small
        how = cv2.INTER_AREA if times > 1 else cv2.INTER_LINEAR
        values = np.asarray(cv2.resize(self.values, (small, small), interpolation=how), dtype=np.float32)
        corner = self.place(np.full(2, times / 2 - 0.5))
        return Picture(normed(values), corner / times, self.centre / times, self.pitch)

    def pixel(self, points: Floats) -> Floats:
        """Column and row of points (..., 2) given as y and z."""
        return np.asarray((points - self.corner) * [1, -1] / self.pitch, dtype=np.float64)

    def place(self, pixels: Floats) -> Floats:
        """Y and z of pixels (..., 2) given as column and row."""
        return np.asarray(self.corner + pixels * [1, -1] * self.pitch, dtype=np.float64)


def picture_job(stack: Stack, pitch: float) -> tuple[PictureJob, Floats, Floats] | None:
    """Plan a picture: the job, its corner, and the middle of the series; None for a series that is not sagittal."""
    known = np.flatnonzero(np.isfinite(stack.middle).all(axis=1))
    if not len(known):
        return None
    normal = np.cross(*stack.axes[known[len(known) // 2]])
    if abs(normal[0]) < 0.8 * np.linalg.norm(normal):
        return None
    middle = stack.middle[known]
    centre = np.asarray(middle.mean(axis=0), dtype=np.float64)
    chosen = known[np.argsort(np.abs(middle[:, 0] - centre[0]), kind="stable")[:MIDDLE_SLICES]]
    extent = (stack.size[chosen, ::-1] * stack.spacing[chosen]).max()
    size = int(np.ceil(extent / pitch))
    corner = centre[1:] + (size - 1) / 2 * pitch * np.array([-1.0, 1.0])
    slices = []
    for row in sorted(chosen.tolist()):
        spacing = stack.spacing[row]
        # The picture lies in the slice's own middle from left to right.
        first = np.array([stack.middle[row, 0], *corner])
        scale = stack.axes[row] / spacing[:, None] ** 2
        start = scale @ (first - stack.origin[row])
        steps = scale[:, 1:] * [pitch, -pitch]
        turned = np.column_stack([steps, start])
        slices.append((stack.paths[row], tuple(turned.ravel().tolist()), max(1, round(pitch / float(spacing.min())))))
    return PictureJob(tuple(slices), size), np.asarray(corner, dtype=np.float64), centre


def read_pictures(root: Path, stacks: Mapping[str, Stack], pitch: float, reading: Reading) -> dict[str, Picture]:
    """Read the pictures of some studies in the supervised pool; one whose pixels cannot be read has none.

    Parameters
    ----------
    root
        The data folder.
    stacks
        A series by name of the study.
    pitch
        mm a pixel.
    reading
        How files are read.
    """
    plans = {name: picture_job(stack, pitch) for name, stack in stacks.items()}
    jobs = {plan[0]: (name, plan) for name, plan in plans.items() if plan is not None}
    found = {}
    if not jobs:
        return {}
    with reading.pool(len(jobs)) as pool:
        for outcome in pool.map(partial(_read, root=str(root)), list(jobs)):
            if not isinstance(outcome, Failed):
                name, (_, corner, centre) = jobs[outcome.job]
                found[name] = Picture(outcome.value, corner, centre, pitch)
    # In the order asked for, whichever worker was first.
    return {name: found[name] for name in stacks if name in found}


def _read(job: PictureJob, root: str) -> Matrix:
    cv2.setNumThreads(1)
    return normed(np.mean([_resampled(Path(root), each, job.size) for each in job.slices], axis=0))


def _resampled(root: Path, each: tuple[str, Sequence[float], int], size: int) -> Matrix:
    path, turned, blur = each
    values = np.asarray(read_frame(root / path).pixels, dtype=np.float32)
    matrix = np.reshape(np.array(turned, np.float64), (2, 3))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    smooth = cv2.blur(values, (blur, blur))
    out: Matrix = np.asarray(
        cv2.warpAffine(smooth, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32
    )
    return out


def normed(values: npt.NDArray[np.floating]) -> Matrix:
    """Shift and scale to mean 0 and deviation 1; what has no deviation becomes 0."""
    spread = float(values.std())
    return np.asarray((values - values.mean()) / (spread or 1.0), dtype=np.float32)
