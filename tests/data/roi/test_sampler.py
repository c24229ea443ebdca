"""Patches from boxes alone: what each shows, what it must not show, and that only the seed decides."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from radboost.data.regions import Patches
from radboost.data.roi.sampler import Ground, covered, draw_around, draw_background, grid, square
from radboost.errors import TaskError, UserError

WHOLE = np.array([[0.0, 800.0]] * 64)
FILM = Ground((1000, 800), WHOLE)


def overlap(patch, region):
    """Pixel by pixel, on two masks."""
    a, b = (np.zeros((1000, 800), bool) for _ in range(2))
    for mask, (left, top, right, bottom) in ((a, patch), (b, region)):
        mask[top:bottom, left:right] = True
    inter = (a & b).sum()
    return max(inter / a.sum(), inter / b.sum())


def test_overlap_is_the_larger_of_both_shares_as_counted_in_pixels():
    rng = np.random.default_rng(0)
    patches = square(rng.uniform((0, 0), (800, 1000), (12, 2)), 224, FILM.shape)
    regions = np.array([[100, 100, 180, 190], [300, 200, 700, 800], [790, 990, 800, 1000]])
    found = covered(patches, regions)
    for k, patch in enumerate(patches):
        np.testing.assert_allclose(found[k], [overlap(patch, region) for region in regions])


@settings(max_examples=40, deadline=None)
@given(
    left=st.integers(0, 780),
    top=st.integers(0, 980),
    width=st.integers(1, 500),
    height=st.integers(1, 700),
    size=st.sampled_from([32, 224, 512, 1200]),
    seed=st.integers(0, 99),
)
def test_patches_of_a_region_are_as_many_as_asked_and_show_it(left, top, width, height, size, seed):
    region = np.array([[left, top, min(left + width, 800), min(top + height, 1000)]])
    spec = Patches("around", 10, 10, size)
    boxes = draw_around(region, FILM, spec, np.random.default_rng(seed))
    assert boxes.shape == (10, 4)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= (800, 1000)).all()
    assert (np.minimum(boxes[:, 2:] - boxes[:, :2], (size, size)) == boxes[:, 2:] - boxes[:, :2]).all()
    assert (covered(boxes, region)[:, 0] > 0).all()
    again = draw_around(region, FILM, spec, np.random.default_rng(seed))
    np.testing.assert_array_equal(boxes, again)


def test_the_cut_off_holds_where_it_can_and_falls_where_it_cannot():
    rng = np.random.default_rng(1)
    # Larger than the patch, but much of it: a patch within it is easily found.
    boxes = draw_around(np.array([[100, 100, 600, 700]]), FILM, Patches(size=224), rng)
    assert (covered(boxes, np.array([[100, 100, 600, 700]])) > 0.9).all()
    # A strip across the film: no patch holds nine tenths of it, nor lies in it; .224 / .5 is the most there is.
    strip = np.array([[0, 450, 800, 550]])
    boxes = draw_around(strip, FILM, Patches(size=224), rng)
    shares = covered(boxes, strip)[:, 0]
    assert len(boxes) == 10
    assert (shares > 0.35).all()
    assert (shares <= 0.9).all()


def test_background_shows_no_region_of_the_picture_not_only_the_first():
    # The public sampler looks at the first region alone; the second here lies where it would draw.
    regions = np.array([[0, 0, 60, 60], [250, 300, 550, 700], [600, 800, 700, 900]])
    spec = Patches("around", 10, 200, 224)
    boxes = draw_background(regions, FILM, spec, np.random.default_rng(2))
    assert len(boxes) == 200
    assert (covered(boxes, regions) <= 0.35).all()
    first_only = draw_background(regions[:1], FILM, spec, np.random.default_rng(2))
    assert (covered(first_only, regions) > 0.35).any(), "the case would prove nothing"


def test_background_lies_in_the_breast_and_off_the_edge():
    bands = np.zeros((50, 2))
    bands[10:40] = (100, 500)
    ground = Ground((1000, 800), bands)
    boxes = draw_background(
        np.empty((0, 4), np.int64), ground, Patches(size=100, background=300), np.random.default_rng(0)
    )
    assert len(boxes) == 300
    assert (ground.tissue(boxes) >= 0.5).all()
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert (middle[:, 0] > 49).all()
    assert (middle[:, 0] < 551).all()
    assert (boxes[:, 0] >= 32).all()


def test_a_crowded_picture_gives_fewer_and_ends():
    everything = np.array([[0, 0, 800, 1000]])
    assert len(draw_background(everything, FILM, Patches(), np.random.default_rng(0))) == 0
    empty = Ground((1000, 800), np.zeros((64, 2)))
    assert len(draw_background(everything[:0], empty, Patches(), np.random.default_rng(0))) == 0


def test_tissue_is_the_share_of_a_box_in_the_breast():
    bands = np.array([[0.0, 0.0], [0.0, 400.0]])
    ground = Ground((1000, 800), bands)
    boxes = np.array([[0, 0, 100, 100], [0, 450, 100, 550], [350, 600, 450, 700], [0, 600, 100, 700]])
    np.testing.assert_allclose(ground.tissue(boxes), [0, 0.5, 0.5, 1])


@pytest.mark.parametrize("size", [64, 224, 512, 2000])
def test_a_grid_covers_the_breast(size):
    bands = np.zeros((50, 2))
    bands[5:45] = (0, 600)
    ground = Ground((1000, 800), bands)
    boxes = grid(ground, Patches("grid", 2, 0, size))
    seen = np.zeros(ground.shape, bool)
    for left, top, right, bottom in boxes:
        seen[top:bottom, left:right] = True
    assert seen[100:900, :600].all()
    assert len(np.unique(boxes, axis=0)) == len(boxes)
    # Neighbours overlap by half at least, so that a finding on a border lies whole in some patch.
    steps = np.diff(np.unique(boxes[:, 0]))
    assert (steps <= size / 2 + 1).all()


def test_a_grid_of_a_film_without_breast_is_one_patch_at_least():
    assert len(grid(Ground((300, 200), np.zeros((8, 2))), Patches("grid", 2, 0, 224))) >= 1


def test_named_sets_are_those_of_the_public_recipe():
    s1, big, s10, five = (Patches.parse(name) for name in ("s1", "s1-big", "s10", "5"))
    assert (s1.place, s1.count, s1.background, s1.size) == ("centre", 1, 1, 224)
    assert (big.place, big.count, big.background, big.size) == ("centre", 1, 1, 512)
    assert (s10.place, s10.count, s10.background, s10.size) == ("around", 10, 10, 224)
    assert (s10.cover, s10.clear) == (0.9, 0.35)
    assert (five.place, five.count, five.background) == ("around", 5, 5)
    assert Patches.parse("s10", 96).size == 96
    for text in ("s2", "ten", ""):
        with pytest.raises(UserError, match="--patches"):
            Patches.parse(text)
    with pytest.raises(TaskError, match="count 0"):
        Patches.parse("0")
