"""Several designs of the same units, one an augmented view, as rows below one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from radboost.booster.design.gather import Stacked
from radboost.booster.design.matrix import Design, ImageBlock, Store

__all__ = ["count_views", "stack_views"]

MOST_VIEWS = 255


def count_views(stores: Sequence[Store], crop_ids: Sequence[str]) -> int:
    """Count the augmented views that some store has of some of these crops."""
    count = 0
    while count < MOST_VIEWS and any((np.asarray(s.rows_of(crop_ids, count + 1)) >= 0).any() for s in stores):
        count += 1
    return count


def stack_views(designs: Sequence[Design]) -> Design:
    """Put designs of the same units below one another, the clean one first.

    A series of one view is no series of another: their numbers differ.
    """
    if len(designs) == 1:
        return designs[0]
    first = designs[0]
    names = ("unit", "group", "fold", "split", "position", "label", "task_weight")
    aligned: dict[str, Any] = {name: np.concatenate([getattr(d, name) for d in designs]) for name in names}
    apart = int(first.sequence.max(initial=-1)) + 1
    sequence = [np.where(d.sequence >= 0, d.sequence + apart * k, -1) for k, d in enumerate(designs)]
    blocks = tuple(_stacked(blocks) for blocks in zip(*(d.blocks for d in designs), strict=True))
    metadata = pd.concat([d.metadata for d in designs], ignore_index=True)
    return replace(first, **aligned, sequence=np.concatenate(sequence), blocks=blocks, metadata=metadata)


def _stacked(blocks: Sequence[ImageBlock]) -> ImageBlock:
    parts = tuple(block.x for block in blocks)
    count = sum(len(part) for part in parts)
    present = np.concatenate([block.present for block in blocks])
    return replace(blocks[0], x=Stacked(parts, np.arange(count)), present=present)
