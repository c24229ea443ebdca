"""Where the breast or the body is: a box from the picture alone, and the side of the chest wall."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["Box", "Found", "breast_outline", "find_body", "find_breast", "stride_of"]

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels; right and bottom exclusive."""

# Added on each side of the component, as a share of its size: the skin line is darker than any threshold.
_MARGIN = 0.03
# A component that fills its own box is the film, not the breast: an ellipse fills 0.79 of its box.
_FILM_FILL = 0.93
# A white border of the film runs along at least this share of a side of the frame, as a straight band.
_BORDER_SPAN = 0.6
_BORDER_BEND = 0.03


@dataclass(frozen=True)
class _Organ:
    """What a component must be like: its share of the frame, bridges that do not count, whether it may be film."""

    least: float
    most: float
    opening: float
    on_film: bool


# Smaller is a marker, larger a background taken for tissue.
_BREAST = _Organ(0.03, 0.95, 1 / 48, on_film=True)
# A thin patient in a wide field of view fills little of it. Table and head rest are thinner than a 20th of the frame
# where they touch the body.
_BODY = _Organ(0.02, 0.98, 1 / 20, on_film=False)


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
        ``triangle``, ``triangle within the film``, ``otsu on log``, ``otsu`` or ``whole frame``.
    """

    box: Box
    right_sided: bool
    reason: str


def stride_of(shape: tuple[int, int]) -> int:
    """How many pixels of a frame of (rows, columns) become one of the small picture in which boxes are looked for."""
    return max(1, min(8, max(shape) // 128))


def find_breast(small: np.ndarray, stride: int, shape: tuple[int, int]) -> Found:
    """Find the largest bright component that is neither label nor film border.

    Thresholds are tried in turn: the triangle method, which keeps thin skin where Otsu's cuts it off; the same
    within the film where the first one found the film; Otsu's on the logarithm; then the whole frame is taken.
    White bands along the frame's edge are blackened first and an opening parts what a thin bridge connects, so that
    labels, wedges and film borders decide nothing. Brightness inside the breast, as that of an implant, does not
    matter either: only the outline counts.

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
    picture = _without_borders((small >> 8).astype(np.uint8))
    return _first_fit(_breast_masks(small, picture), picture, _BREAST, stride, shape)


def breast_outline(small: np.ndarray, stride: int, shape: tuple[int, int], bands: int) -> np.ndarray:
    """Where the breast lies in each of several bands of equal height; the whole frame where no breast is found.

    Parameters
    ----------
    small, stride, shape
        As for `find_breast`.
    bands
        How many.

    Returns
    -------
    ndarray
        (bands, 2): left and right end in pixels of the frame, right exclusive; both 0 in a band without breast.
    """
    picture = _without_borders((small >> 8).astype(np.uint8))
    found = _first_component(_breast_masks(small, picture), _BREAST)
    component = np.ones(picture.shape, bool) if found is None else found[1]
    # A band is seen in its middle row: bands are finer than what is asked of them.
    rows = ((np.arange(bands) + 0.5) * component.shape[0] / bands).astype(int)
    seen = component[rows]
    left = seen.argmax(axis=1) * stride
    right = np.minimum((seen.shape[1] - seen[:, ::-1].argmax(axis=1)) * stride, shape[1])
    return np.asarray(np.stack([left, right], axis=1) * seen.any(axis=1)[:, None])


def _breast_masks(small: np.ndarray, picture: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    first = picture > _triangle(picture)
    yield "triangle", first
    film = picture[first]
    if film.size:
        yield "triangle within the film", picture > _triangle(film)
    yield "otsu on log", _otsu(_stretched(np.log1p(small * (picture > 0))))


def find_body(small: np.ndarray, stride: int, shape: tuple[int, int], *, saturated: bool = False) -> Found:
    """Find the largest bright component, holes and all: the patient without table and head rest.

    Parameters
    ----------
    small
        (rows, columns) uint16 display values of every `stride`-th pixel, in a window where air is dark.
    stride, shape
        As for `find_breast`.
    saturated
        The window shows the whole body white, so that white bands are body and no borders.

    Returns
    -------
    Found
        The box in pixels of the frame; `right_sided` is False, since a body has no chest wall to face.
    """
    picture = (small >> 8).astype(np.uint8)
    if not saturated:
        picture = _without_borders(picture)

    def masks() -> Iterator[tuple[str, np.ndarray]]:
        yield "triangle", _filled(picture > _triangle(picture))
        yield "otsu", _filled(_otsu(picture))
        yield "otsu on log", _filled(_otsu(_stretched(np.log1p(small.astype(np.float32)))))

    found = _first_fit(masks(), picture, _BODY, stride, shape)
    return Found(found.box, False, found.reason)


def _first_fit(
    masks: Iterator[tuple[str, np.ndarray]], picture: np.ndarray, organ: _Organ, stride: int, shape: tuple[int, int]
) -> Found:
    found = _first_component(masks, organ)
    if found is None:
        return Found((0, 0, shape[1], shape[0]), _is_right_sided(picture), "whole frame")
    reason, component = found
    return Found(_padded(component, stride, shape), _is_right_sided(picture * component), reason)


def _first_component(masks: Iterator[tuple[str, np.ndarray]], organ: _Organ) -> tuple[str, np.ndarray] | None:
    for reason, mask in masks:
        component = _largest(mask.astype(np.uint8), organ.opening)
        share = float(component.mean())
        if organ.least <= share <= organ.most and not (organ.on_film and _is_film(component)):
            return reason, component
    return None


def _is_film(component: np.ndarray) -> bool:
    """Tell a rectangle, which digitised film on a black sheet is, from a breast; a breast may fill the whole frame."""
    rows, columns = np.flatnonzero(component.any(axis=1)), np.flatnonzero(component.any(axis=0))
    box = component[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return box.size < component.size and bool(box.mean() > _FILM_FILL)


def _triangle(values: np.ndarray) -> int:
    return int(cv2.threshold(values.reshape(1, -1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_TRIANGLE)[0])


def _otsu(picture: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.threshold(picture, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1])


def _stretched(values: np.ndarray) -> np.ndarray:
    return (values * (255 / max(float(values.max()), 1e-6))).astype(np.uint8)


def _without_borders(picture: np.ndarray) -> np.ndarray:
    """Blacken the straight white bands that unexposed film leaves along the frame's edges.

    Tissue that a narrow window saturates is white too; it is kept, since its inner edge is no straight line.
    """
    top = int(picture.max())
    white = (picture >= 0.97 * top).astype(np.uint8)
    if not 0.002 < white.mean() < 0.9:
        return picture
    kept = picture
    count, labels, stats, _ = cv2.connectedComponentsWithStats(white, connectivity=4)
    for label in range(1, count):
        if stats[label, cv2.CC_STAT_AREA] < 0.002 * picture.size:
            continue
        mask = labels == label
        if any(_is_band(np.rot90(mask, turn)) for turn in range(4)):
            kept = np.where(mask, 0, kept).astype(np.uint8)
    return kept


def _is_band(mask: np.ndarray) -> bool:
    """Whether a component is a straight band along the left edge of the picture."""
    rows = np.flatnonzero(mask[:, 0] | mask[:, min(1, mask.shape[1] - 1)])
    if len(rows) < max(8, _BORDER_SPAN * mask.shape[0]) or mask.mean() > 0.45:
        return False
    widths = mask[rows].sum(axis=1)
    bend = np.abs(widths - np.polyval(np.polyfit(rows, widths, 1), rows))
    return bool(np.percentile(bend, 90) <= max(2.0, _BORDER_BEND * mask.shape[1]))


def _largest(mask: np.ndarray, opening: float) -> np.ndarray:
    """Keep the largest component; an opening first parts what touches it by a bridge thinner than so much of a side."""
    width = max(3, int(max(mask.shape) * opening) | 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    # Outside the frame counts as dark, so that thin white lines along its edges go too.
    eroded = cv2.erode(mask, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(eroded, connectivity=4)
    if count < 2:
        return np.zeros(mask.shape, bool)
    seed = (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    return np.asarray((cv2.dilate(seed, kernel) & mask) > 0)


def _filled(mask: np.ndarray) -> np.ndarray:
    """Close holes: a skull must not fall apart for the dark that it holds."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return np.asarray(cv2.drawContours(np.zeros(mask.shape, np.uint8), outlines, -1, 1, cv2.FILLED))


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
