"""Made-up embeddings of a shifted pair, in memory: every site's scanner shows the finding in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from radboost.data.cohort import METADATA, Cohort

__all__ = ["ShiftStore"]

WIDTH = 6
SIGNAL = 1.2
"""Deviations by which a finding moves an embedding, along its site's direction."""

DIRECTIONS = {"A": (1.0, 0.0), "B": (0.5, 0.87), "C": (-0.7, 0.71)}
"""In the plane of the first two columns; the others are noise. What speaks for the finding at A is against it at C."""


@dataclass(frozen=True)
class ShiftStore:
    """What stage two asks of a store.

    Attributes
    ----------
    place
        Row of each crop.
    vectors
        Shape (crops, width).
    """

    place: dict[str, int]
    vectors: npt.NDArray[np.float32]
    fingerprint_hash: str = "5" * 64
    pools: tuple[str, ...] = ("avg",)

    @classmethod
    def draw(cls, cohort: Cohort, seed: int) -> ShiftStore:
        """Draw the embeddings of a cohort of `radboost.data.phantom.shift`.

        Given label and site they depend on nothing else, so that one ratio of metadata makes both cohorts alike.
        """
        random = np.random.default_rng(np.random.SeedSequence((seed, 11)))
        manifest = cohort.manifest
        label = cohort.targets.set_index("unit").loc[manifest["instance"], "label"].to_numpy(np.float64)
        towards = np.array([DIRECTIONS[site] for site in manifest[METADATA + "site"]])
        vectors = random.normal(size=(len(manifest), WIDTH))
        vectors[:, :2] += SIGNAL * (2 * label - 1)[:, None] / 2 * towards
        place = {str(crop): row for row, crop in enumerate(manifest["crop_id"])}
        return cls(place, vectors.astype(np.float32))

    @property
    def config(self) -> dict[str, Any]:
        """How it was made."""
        return {"backbone": "phantom"}

    def width(self, pool: str) -> int:
        """Columns of a pooling."""
        return WIDTH

    def rows_of(self, crop_ids: Sequence[str], view: int = 0) -> npt.NDArray[np.int64]:
        """Row of each crop, -1 where it is absent."""
        return np.array([self.place.get(crop, -1) for crop in crop_ids], dtype=np.int64)

    def read(self, pool: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Embeddings of the rows."""
        return self.vectors[rows]
