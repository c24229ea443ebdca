"""One view as an array: anatomy, findings, marker and machine put together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from radboost.data.phantom.breast.anatomy import Outline, background, outline_of
from radboost.data.phantom.breast.finding import Box, Finding, paint
from radboost.data.phantom.breast.machine import Machine, display, expose
from radboost.data.phantom.breast.patient import Patient, View

__all__ = ["RenderedView", "render_view"]


@dataclass(frozen=True, eq=False)
class RenderedView:
    """One exposure as the machine stores it.

    Attributes
    ----------
    pixels
        Stored values, uint16, shape (rows, columns); MONOCHROME1 is stored inverted.
    machine
        The machine, which knows bits, photometric interpretation, window and syntax.
    breast
        Box of the breast.
    findings
        Findings in this view with their boxes.
    """

    pixels: NDArray[np.uint16]
    machine: Machine
    breast: Box
    findings: tuple[tuple[Finding, Box], ...]

    def display(self) -> NDArray[np.float32]:
        """Brightness after the first window and the inversion of MONOCHROME1, 0 to 1, shape (rows, columns)."""
        return display(self.pixels, self.machine)


def render_view(patient: Patient, view: View, pixels: int = 1024) -> RenderedView:
    """Render one view of one patient.

    Parameters
    ----------
    patient
        The patient.
    view
        One of ``patient.views``.
    pixels
        Rows of the frame; columns are 0.8 of it.

    Returns
    -------
    The view. Left breasts point right and right breasts left, as radiologists hang them apart.

    Notes
    -----
    Equal input gives equal pixels on one machine. Between processors the last bit of a Fourier transform may differ,
    and with it a stored value by one.
    """
    rng = np.random.default_rng(view.seed)
    oblique = view.view != "CC"
    breast = patient.breasts[view.laterality]
    outline = outline_of(breast.anatomy, pixels, oblique=oblique, rng=rng)
    tissue, thickness = background(breast.anatomy, outline, rng)
    boxes = _paint_all(tissue, thickness, outline, breast.findings, oblique=oblique)
    rows = np.flatnonzero(outline.edge > 0)
    frame = Box(0, int(rows[0]), int(np.ceil(outline.edge.max())), int(rows[-1]) + 1)

    right = view.laterality == "R"
    if right:
        tissue = np.ascontiguousarray(tissue[:, ::-1])
    _burn_marker(tissue, f"{view.laterality} {view.view}", rng, right=right)
    stored = expose(tissue, patient.machine, view.exposure, rng)
    columns = outline.columns
    return RenderedView(
        pixels=stored,
        machine=patient.machine,
        breast=_mirror(frame, columns) if right else frame,
        findings=tuple(
            (finding, _mirror(box, columns) if right else box)
            for finding, box in zip(breast.findings, boxes, strict=True)
        ),
    )


def _paint_all(
    tissue: NDArray[np.float32],
    thickness: NDArray[np.float32],
    outline: Outline,
    findings: tuple[Finding, ...],
    *,
    oblique: bool,
) -> list[Box]:
    """Add all findings, then give the breast back its mean and deviation: only structure may tell, never brightness."""
    if not findings:
        return []
    inside = (thickness > 0).view(np.uint8)
    mean, deviation = cv2.meanStdDev(tissue, mask=inside)
    boxes = [paint(tissue, thickness, outline, finding, oblique=oblique) for finding in findings]
    new_mean, new_deviation = cv2.meanStdDev(tissue, mask=inside)
    factor = float(deviation[0, 0] / new_deviation[0, 0])
    tissue *= np.float32(factor)
    tissue += inside * np.float32(mean[0, 0] - factor * new_mean[0, 0])
    return boxes


def _mirror(box: Box, columns: int) -> Box:
    return replace(box, x0=columns - box.x1, x1=columns - box.x0)


def _burn_marker(tissue: NDArray[np.float32], text: str, rng: np.random.Generator, *, right: bool) -> None:
    """Burn the side marker into the air opposite the chest wall, as a technologist's lead letters are."""
    rows, columns = tissue.shape
    size = rows / 1024 * rng.uniform(0.9, 1.3)
    weight = max(1, round(2 * size))
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, weight)
    margin = max(2, round(0.02 * columns))
    x = margin if right else columns - margin - width
    y = margin + height + round(rng.uniform(0, 0.04) * rows)
    stamp = np.zeros((height + 3 * weight, width), np.uint8)
    cv2.putText(stamp, text, (0, height + weight), cv2.FONT_HERSHEY_SIMPLEX, size, 1, weight)
    top = max(0, y - height)
    area = tissue[top : top + stamp.shape[0], max(0, x) : max(0, x) + stamp.shape[1]]
    # Only air is marked: a large breast that reaches the corner covers part of the letters.
    mark = (stamp[: area.shape[0], : area.shape[1]] > 0) & (area < 0.02)
    area[mark] = 1.2
