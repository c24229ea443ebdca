"""Copies are found however many images there are; unrelated images are never called alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from radboost.booster import likeness
from radboost.booster.likeness import COSINE, LENGTH, LEVELLED, alike


@dataclass(frozen=True)
class Vectors:
    x: np.ndarray

    def read(self, pool: str, rows: np.ndarray) -> np.ndarray:
        return self.x[rows]


def images(n: int = 600, width: int = 96, rank: int = 12, seed: int = 0) -> np.ndarray:
    """Of low rank and off the origin, as embeddings are."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, rank)) * np.linspace(3, 1, rank) @ random.normal(size=(rank, width))
    return (x + 0.1 * random.normal(size=x.shape) + 20).astype(np.float32)


def found(x: np.ndarray, side: np.ndarray):
    return alike(Vectors(x), "avg", np.arange(len(x)), side)


SIDE = np.arange(600) % 3


def test_unrelated_images_are_not_alike() -> None:
    for seed in range(3):
        assert found(images(seed=seed), SIDE) == ([], [])


def test_copies_on_two_sides_are_found_and_those_on_one_are_not() -> None:
    x = images()
    x[100] = x[2]
    x[200] = x[3] + 1e-3 * np.random.default_rng(1).normal(size=96).astype(np.float32)
    x[303] = x[6]
    assert SIDE[6] == SIDE[303]
    assert SIDE[3] != SIDE[200]
    assert found(x, SIDE) == ([(2, 100)], [(3, 200)])


@pytest.mark.parametrize("block", [7, 64])
def test_the_answer_does_not_depend_on_how_rows_are_read(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    x = images()
    x[100], x[300] = x[2], x[5] + np.float32(1e-3)
    whole = found(x, SIDE)
    assert whole == ([(2, 100)], [(5, 300)])
    monkeypatch.setattr(likeness, "READ_AT_ONCE", block)
    monkeypatch.setattr(likeness, "ASK_AT_ONCE", block)
    assert found(x, SIDE) == whole


def test_it_agrees_with_comparing_all_pairs() -> None:
    """Vectors crowded around a few points, so that many pairs lie near the bounds on either side."""
    random = np.random.default_rng(4)
    crowd = random.normal(size=(60, 24))[random.integers(0, 60, 128)]
    x = (crowd + 0.01 * random.normal(size=(128, 1)) * random.normal(size=crowd.shape)).astype(np.float32)
    side = np.arange(128) % 2
    centred = x.astype(float) - x.mean(axis=0, dtype=np.float64)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    level = centred @ directions.T * np.minimum(1, sizes[likeness.LEVELS - 1] / sizes)

    def cosine(v: np.ndarray) -> np.ndarray:
        length = np.linalg.norm(v, axis=1)
        return v @ v.T / np.outer(length, length)

    length = np.linalg.norm(centred, axis=1)
    close = np.minimum.outer(length, length) / np.maximum.outer(length, length) >= 1 - LENGTH
    near = (cosine(centred) > COSINE) & (cosine(level) > LEVELLED) & close
    a, b = np.nonzero(np.triu(near & (side[:, None] != side), 1))
    assert 5 < len(a) < likeness.ENOUGH
    assert found(x, side) == ([], sorted(zip(a.tolist(), b.tolist(), strict=True)))


def test_a_network_that_sees_brightness_alone_does_not_make_everything_alike() -> None:
    """Without levelling, the farthest images along the one strong direction have a cosine near 1."""
    random = np.random.default_rng(5)
    bright = random.normal(size=(3000, 1)) * random.normal(size=(1, 64))
    x = (bright + 0.02 * images(3000, 64, 20) / 10).astype(np.float32)
    side = np.arange(3000) % 3
    centred = x.astype(float) - x.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    assert ((unit @ unit.T > COSINE) & (side[:, None] != side)).sum() > 1000
    assert found(x, side) == ([], [])
    x[100] = x[2] * np.float32(1.0001)
    assert found(x, side) == ([], [(2, 100)])


def test_narrow_or_empty_stores_are_compared_for_identity_only() -> None:
    x = np.array([[1.0], [1.0], [2.0]], dtype=np.float32)
    assert found(x, np.array([0, 1, 1])) == ([(0, 1)], [])
    assert found(x[:0], np.array([], dtype=int)) == ([], [])


def test_the_search_ends_when_everything_is_a_copy() -> None:
    x = np.tile(images(1), (4000, 1))
    identical, near = found(x, np.arange(4000) % 2)
    assert (len(identical), near) == (likeness.ENOUGH, [])
