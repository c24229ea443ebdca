"""Patches of one picture, from the boxes of its regions alone: numbers in, boxes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radboost.data.regions import Patches

__all__ = ["FALL", "MISSES", "Ground", "covered", "draw_around", "draw_background", "grid", "square"]

Boxes = npt.NDArray[np.int64]
"""(patches, 4): left, top, right, bottom in pixels of the image, right and bottom exclusive."""

MISSES = 1000
"""Draws without a hit after which less overlap will do."""
FALL = 0.05
"""How much less."""


@dataclass(frozen=True, eq=False)
class Ground:
    """The picture that patches are drawn from.

    Attributes
    ----------
    shape
        (rows, columns) of the image.
    bands
        (bands, 2): left and right end of the breast in bands of equal height, from the top.
    """

    shape: tuple[int, int]
    bands: npt.NDArray[np.float64]

    def tissue(self, boxes: Boxes) -> npt.NDArray[np.float64]:
        """Share of breast in each box, (boxes,)."""
        height = self.shape[0] / len(self.bands)
        edges = np.arange(len(self.bands) + 1) * height
        across = np.minimum(boxes[:, None, 2], self.bands[:, 1]) - np.maximum(boxes[:, None, 0], self.bands[:, 0])
        down = np.minimum(boxes[:, None, 3], edges[1:]) - np.maximum(boxes[:, None, 1], edges[:-1])
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        held = (np.clip(across, 0, None) * np.clip(down, 0, None)).sum(axis=1)
        return np.asarray(held / np.maximum(area, 1), dtype=np.float64)


def square(centres: npt.ArrayLike, size: int, shape: tuple[int, int]) -> Boxes:
    """Put squares on centres (x, y), moved to lie within the frame; a frame that is smaller cuts them.

    >>> square([[10.0, 90.0]], 40, (100, 200))
    array([[  0,  60,  40, 100]])
    """
    points = np.asarray(centres, dtype=np.float64).reshape(-1, 2)
    rows, columns = shape
    wide, high = min(size, columns), min(size, rows)
    left = np.clip(np.rint(points[:, 0] - wide / 2), 0, columns - wide)
    top = np.clip(np.rint(points[:, 1] - high / 2), 0, rows - high)
    return np.stack([left, top, left + wide, top + high], axis=1).astype(np.int64)


def covered(boxes: Boxes, regions: Boxes) -> npt.NDArray[np.float64]:
    """How much each patch shows of each region: the larger of inter / region and inter / patch, (boxes, regions).

    A region counts as its bounding box.
    """
    a, b = boxes[:, None, :], regions[None, :, :]
    across = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    down = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    inter = np.clip(across, 0, None) * np.clip(down, 0, None)
    smaller = np.minimum(_area(boxes)[:, None], _area(regions)[None, :])
    return np.asarray(inter / np.maximum(smaller, 1), dtype=np.float64)


def _area(boxes: Boxes) -> npt.NDArray[np.int64]:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), dtype=np.int64)


def draw_around(region: Boxes, ground: Ground, spec: Patches, rng: np.random.Generator) -> Boxes:
    """Draw patches whose centres lie in a region's box and that show more than `spec.cover` of it, or lie in it.

    Parameters
    ----------
    region
        (1, 4).
    ground, spec, rng
        The picture, the rule, and the source of the draw.

    Returns
    -------
    Boxes
        Exactly `spec.count`: after each `MISSES` draws without a hit, `FALL` less overlap will do, until any will.
    """
    left, top, right, bottom = region[0]
    kept: list[Boxes] = []
    cover, misses, left_over = spec.cover, 0, spec.count
    while left_over:
        centres = rng.uniform((left, top), (right, bottom), (MISSES, 2))
        boxes = square(centres, spec.size, ground.shape)
        hits = np.flatnonzero(covered(boxes, region)[:, 0] > cover)[:left_over]
        kept.append(boxes[hits])
        left_over -= len(hits)
        # Counted as if drawn one by one: a hit does not forgive the misses before it.
        misses += MISSES - len(hits)
        if misses >= MISSES:
            cover, misses = cover - FALL, misses - MISSES
    return np.concatenate(kept)


def draw_background(regions: Boxes, ground: Ground, spec: Patches, rng: np.random.Generator) -> Boxes:
    """Draw patches of breast that show no region of the picture.

    Parameters
    ----------
    regions
        (regions, 4), all that the picture has.
    ground, spec, rng
        The picture, the rule, and the source of the draw.

    Returns
    -------
    Boxes
        `spec.background` of them, fewer where `MISSES` draws for each did not find so many.
    """
    rows, columns = ground.shape
    edge = min(spec.edge, max(0, (min(rows, columns) - spec.size) // 2))
    half = spec.size / 2
    low = np.minimum((edge + half, edge + half), (columns / 2, rows / 2))
    high = np.maximum((columns - edge - half, rows - edge - half), (columns / 2, rows / 2))
    kept: list[Boxes] = []
    left_over = spec.background
    for _ in range(spec.background):
        if not left_over:
            break
        boxes = square(rng.uniform(low, high, (MISSES, 2)), spec.size, ground.shape)
        clear = ~(covered(boxes, regions) > spec.clear).any(axis=1)
        hits = np.flatnonzero(clear & (ground.tissue(boxes) >= spec.tissue))[:left_over]
        kept.append(boxes[hits])
        left_over -= len(hits)
    return np.concatenate(kept) if kept else np.empty((0, 4), np.int64)


def grid(ground: Ground, spec: Patches) -> Boxes:
    """Cover the breast with patches, `spec.count` steps to a side, row by row.

    Returns
    -------
    Boxes
        At least one: where none holds `spec.tissue` of breast, the one that holds most.
    """
    hit = np.flatnonzero(ground.bands[:, 1] > ground.bands[:, 0])
    if len(hit):
        height = ground.shape[0] / len(ground.bands)
        top, bottom = hit[0] * height, (hit[-1] + 1) * height
        left, right = ground.bands[hit, 0].min(), ground.bands[hit, 1].max()
    else:
        (bottom, right), top, left = ground.shape, 0.0, 0.0
    xs, ys = (_steps(a, b, spec) for a, b in ((left, right), (top, bottom)))
    boxes = np.unique(square([(x, y) for y in ys for x in xs], spec.size, ground.shape), axis=0)
    boxes = boxes[np.lexsort((boxes[:, 0], boxes[:, 1]))]
    tissue = ground.tissue(boxes)
    return boxes[tissue >= min(spec.tissue, float(tissue.max()))]


def _steps(start: float, stop: float, spec: Patches) -> npt.NDArray[np.float64]:
    """Centres of patches from one end to the other, evenly spaced, at most so far apart as asked for."""
    free = max(0.0, stop - start - spec.size)
    count = int(np.ceil(free * spec.count / spec.size)) + 1
    middle = (start + stop) / 2
    return middle + (np.linspace(-0.5, 0.5, count) * free if count > 1 else np.zeros(1))
