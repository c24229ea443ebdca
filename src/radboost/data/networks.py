"""Networks that were trained on a cohort's folds, as a store names them: one matrix a pooling and network.

Two networks are two coordinate systems, so a column of one stands for nothing in another. A pooling of the network of
outer fold 2 is called ``avg@fold2``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from radboost.data.folder import FORMATS, read_header

__all__ = ["TRAINED_GROUPS", "TRAINING_FORMAT", "fold_of", "fold_pool", "network_name", "training_content"]

TRAINING_FORMAT = FORMATS["training"]
"""Of the header of a training."""

TRAINED_GROUPS = "trained_groups"
"""Field of a store's config: the hashed groups that each network was trained on, by the network's name."""

_FOLD = re.compile(r"(.+)@fold(\d+)")


def network_name(fold: int) -> str:
    """Name the network of an outer fold.

    >>> network_name(2)
    'fold2'
    """
    return f"fold{fold}"


def fold_pool(pool: str, fold: int) -> str:
    """Name a pooling of the network of an outer fold.

    >>> fold_pool("avg", 2)
    'avg@fold2'
    """
    return f"{pool}@{network_name(fold)}"


def fold_of(pool: str) -> int | None:
    """Give the outer fold whose network a pooling is of; None for a network of no fold.

    >>> fold_of("avg@fold2"), fold_of("avg")
    (2, None)
    """
    matched = _FOLD.fullmatch(pool)
    return None if matched is None else int(matched[2])


def training_content(folder: Path) -> dict[str, Any]:
    """Read the header of a training; raises UserError where it is none."""
    return read_header(folder, "training", TRAINING_FORMAT)
