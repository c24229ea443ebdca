"""A synthetic scan: embeddings drawn, not extracted, whose lesions span neighbouring slices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from radboost.booster.rows import Rows, Span

Scans = Callable[..., Rows]


@pytest.fixture
def scans() -> Scans:
    """Half of the series have one lesion of three to six slices; a slice by itself tells it by 1.5 deviations only."""

    def make(series: int = 40, slices: int = 12, signal: float = 1.5, seed: int = 0, columns: int = 8) -> Rows:
        random = np.random.default_rng(seed)
        y = np.zeros((series, slices), dtype=np.int64)
        for own in y:
            first, length = random.integers(0, slices - 3), random.integers(3, 7)
            own[first : first + length] = random.random() < 0.5
        x = random.normal(size=(series * slices, columns))
        x[:, 0] += signal * y.ravel()
        number, place = np.repeat(np.arange(series), slices), np.tile(np.arange(slices), series)
        x = (x / np.sqrt(columns)).astype(np.float32)
        spans = (Span("image", 0, columns, True),)
        return Rows(x, y.ravel(), np.ones(len(x)), number.copy(), 2, spans, sequence=number, position=place)

    return make
