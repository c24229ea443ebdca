"""Where the breast is: a box from the picture alone, and the side of the chest wall."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["Box", "Found", "find_breast"]

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels; right and bottom exclusive."""

# A component outside these shares of the frame is no breast: a marker, or a background taken for tissue.
_SHARES = (0.03, 0.95)
# Added on each side of the component, as a share of its size: the skin line is darker than any threshold.
_MARGIN = 0.03


@dataclass(frozen=True)
class Found:
    """A box and how it was found.

    Attributes
    ----------
    box
        (left, top, right, bottom) in pixels of the frame.
    right_sided
        The chest wall is on the right: there is more tissue there.
    reason
        ``triangle``, ``otsu`` or ``whole frame``.
    """

    box: Box
    right_sided: bool
    reason: str


def find_breast(small: np.ndarray, stride: int, shape: tuple[int, int]) -> Found:
    """Find the largest bright component.

    Thresholds are tried in turn: the triangle method, which keeps thin skin where Otsu's cuts it off; Otsu's on
    the logarithm; then the whole frame is taken. Only the largest component counts, so that a burned-in marker,
    which does not touch the breast, decides nothing.

    Parameters
    ----------
    small
        (rows, columns) uint16 display values of every `stride`-th pixel, tissue bright on dark.
    stride
        Pixels of the frame between two of `small`.
    shape
        (rows, columns) of the frame.

    Returns
    -------
    Found
        The box in pixels of the frame.
    """
    picture = (small >> 8).astype(np.uint8)
    logarithm = np.log1p(small.astype(np.float32))
    stretched = (logarithm * (255 / max(float(logarithm.max()), 1e-6))).astype(np.uint8)
    for reason, image, method in (
        ("triangle", picture, cv2.THRESH_TRIANGLE),
        ("otsu", stretched, cv2.THRESH_OTSU),
    ):
        component = _largest(image, method)
        share = component.mean()
        if _SHARES[0] <= share <= _SHARES[1]:
            box = _padded(component, stride, shape)
            return Found(box, _is_right_sided(picture * component), reason)
    return Found((0, 0, shape[1], shape[0]), _is_right_sided(picture), "whole frame")


def _largest(image: np.ndarray, method: int) -> np.ndarray:
    """Threshold and keep the largest component; an opening first parts labels from the tissue they touch."""
    _, mask = cv2.threshold(image, 0, 255, cv2.THRESH_BINARY | method)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if count < 2:
        return np.zeros(image.shape, bool)
    return np.asarray(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))


def _padded(component: np.ndarray, stride: int, shape: tuple[int, int]) -> Box:
    rows, columns = np.flatnonzero(component.any(axis=1)), np.flatnonzero(component.any(axis=0))
    edges = []
    for hits, limit in ((columns, shape[1]), (rows, shape[0])):
        first, last = int(hits[0]) * stride, (int(hits[-1]) + 1) * stride
        margin = max(stride, round((last - first) * _MARGIN))
        edges.append((max(0, first - margin), min(limit, last + margin)))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom


def _is_right_sided(tissue: np.ndarray) -> bool:
    """Tell the side of the chest wall: a breast tapers away from it, so that half of the picture weighs more.

    Brightness weighs, not area: a threshold that took in the dark film around the breast would level the areas.
    """
    columns = tissue.sum(axis=0, dtype=np.int64)
    hits = np.flatnonzero(columns)
    if not hits.size:
        return False
    inside = columns[hits[0] : hits[-1] + 1]
    half = len(inside) // 2
    return bool(inside[len(inside) - half :].sum() > inside[:half].sum())
