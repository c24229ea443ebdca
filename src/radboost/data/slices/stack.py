"""Where the slices of a series lie in the patient, and a point of the patient in them (PS3.3 C.7.6.2.1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.dicom import Header
from radboost.data.series import PARALLEL

__all__ = ["Floats", "Stack", "Study", "read_studies"]

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stack:
    """One series. Lengths are mm in the patient's system: x to the left, y to the back, z to the head.

    Attributes
    ----------
    series, slot
        Its name, and the slot of its kind.
    paths
        Slices in their order along the normal, else by Instance Number.
    number
        Shape (n,): Instance Number, -1 where there is none.
    size
        Shape (n, 2): rows and columns of a frame.
    origin
        Shape (n, 3): centre of the first pixel; NaN for a slice whose header does not place it.
    axes
        Shape (n, 2, 3): way from a pixel to the next in its row, and to the one below, in mm.
    """

    series: str
    slot: str
    paths: tuple[str, ...]
    number: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    origin: Floats
    axes: Floats

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def middle(self) -> Floats:
        """Centres of the frames, (n, 3)."""
        half = (self.size[:, ::-1] - 1) / 2
        return np.asarray(self.origin + np.einsum("ij,ijk->ik", half, self.axes), dtype=np.float64)

    @property
    def spacing(self) -> Floats:
        """Millimetres between columns and between rows, (n, 2)."""
        return np.asarray(np.linalg.norm(self.axes, axis=2), dtype=np.float64)

    @property
    def gap(self) -> float:
        """Median distance of neighbours along the normal; 0 where there are none."""
        steps = np.linalg.norm(np.diff(self.middle, axis=0), axis=1)
        steps = steps[np.isfinite(steps) & (steps > 0)]
        return float(np.median(steps)) if len(steps) else 0.0

    def place(self, slices: npt.NDArray[np.int64], pixels: Floats) -> Floats:
        """Points of the patient, (n, 3), at pixels (n, 2) as x, y of some slices (n,)."""
        way = np.einsum("ij,ijk->ik", pixels, self.axes[slices])
        return np.asarray(self.origin[slices] + way, dtype=np.float64)

    def project(self, point: Floats) -> tuple[Floats, Floats]:
        """Distance of a point (3,) from each slice (n,), NaN where unknown, and its pixel there (n, 2) as x, y."""
        away = point - self.origin
        unit = self.axes / self.spacing[:, :, None]
        pixel = np.einsum("ijk,ik->ij", unit, away) / self.spacing
        distance = np.abs(np.einsum("ij,ij->i", np.cross(unit[:, 0], unit[:, 1]), away))
        return np.asarray(distance, dtype=np.float64), np.asarray(pixel, dtype=np.float64)


@dataclass(frozen=True)
class Study:
    """The series of one study, by the slot of their kind."""

    name: str
    stacks: Mapping[str, tuple[Stack, ...]]

    def series(self, name: str) -> Stack | None:
        """Find a series by its name."""
        return next((s for stacks in self.stacks.values() for s in stacks if s.series == name), None)


def read_studies(files: pd.DataFrame, headers: Mapping[str, Header | None]) -> dict[str, Study]:
    """Make the stacks of every study.

    Parameters
    ----------
    files
        As `radboost.data.slices.files.series_files` lists them.
    headers
        By path. A file without one, which stands in quarantine, is left out; one that is no DICOM has no place.

    Returns
    -------
    dict
        By the name of the study; one without any readable file is not in it.
    """
    files = files[files["path"].isin(set(headers))]
    found: dict[str, dict[str, list[Stack]]] = {}
    for (study, series, slot), part in files.groupby(["study", "series", "slot"], sort=True):
        stack = _stack(str(series), str(slot), part["path"].tolist(), headers)
        found.setdefault(str(study), {}).setdefault(str(slot), []).append(stack)
    return {name: Study(name, {slot: tuple(s) for slot, s in by.items()}) for name, by in found.items()}


def _stack(series: str, slot: str, paths: list[str], headers: Mapping[str, Header | None]) -> Stack:
    known = [headers[path] for path in paths]
    number = np.array([-1 if h is None or h.instance_number is None else h.instance_number for h in known], np.int64)
    size = np.array([(h.rows, h.columns) if h else (1, 1) for h in known], np.int64)
    origin, axes = np.full((len(known), 3), np.nan), np.full((len(known), 2, 3), np.nan)
    for row, header in enumerate(known):
        if header is not None and header.position and header.orientation and header.spacing:
            down, across = header.spacing
            origin[row] = header.position
            axes[row] = np.reshape(header.orientation, (2, 3)) * np.array([[across], [down]])
    unit = axes / np.linalg.norm(axes, axis=2, keepdims=True)
    normal = np.cross(unit[:, 0], unit[:, 1])
    along = np.einsum("ij,ij->i", normal, origin)
    # One order for the whole series: by place if all have one on parallel planes, else as the scanner counted.
    parallel = bool(np.isfinite(along).all() and (np.ptp(normal, axis=0) <= PARALLEL).all())
    order = np.lexsort((number, along)) if parallel else np.lexsort((np.array(paths), number))
    return Stack(series, slot, tuple(paths[i] for i in order), number[order], size[order], origin[order], axes[order])
