"""A map lies on its frame where it belongs, with a scale in millimetres where the file gives one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radboost.booster.why import Block
from radboost.data.crop import CropInfo
from radboost.data.placement import Placement
from radboost.pipeline.explain.explain import UnitTold
from radboost.pipeline.explain.frames import Frame
from radboost.pipeline.explain.where import CropMap
from radboost.pipeline.explain.why import Why
from radboost.report.explain_figures import _overlay, block_name, map_drawing
from radboost.report.explain_page import _unit
from radboost.report.page import Page
from radboost.report.page.write import render


@pytest.fixture
def found():
    """A right breast: its crop is mirrored, and its heat lies at the crop's left edge."""
    drawn = np.zeros((32, 32), np.float32)
    drawn[8:16, 0:4] = 2.0
    placed = Placement((100, 0, 200, 100), 32, mirrored=True, to_left=True)
    info = CropInfo(placed.box, True, "given", "window", 0, 0, 0, shape=(400, 200), spacing=(0.5, 0.5))
    return CropMap("c", "CC", "map", 0, np.zeros((1, 32, 32), np.uint16), info, placed, np.ones(1), drawn)


def frame(spacing):
    return Frame(np.zeros((100, 50), np.uint8), (400, 200), spacing)


def test_heat_is_drawn_on_the_side_that_it_was_seen_on(found):
    shown = _overlay(found, frame(None), 2.0)
    assert shown.shape == (100, 50, 4)
    ys, xs = np.nonzero(shown[..., 3] > 100)
    # 4 of 32 columns of a crop of 100 pixels, against its right edge; the frame is shown four times smaller.
    assert (xs.min(), xs.max()) == (47, 49)
    assert 5 <= ys.min() <= 7
    assert 11 <= ys.max() <= 13
    x, y = found.hottest
    assert 187 < x < 200
    assert 25 < y < 50


def test_a_bar_of_millimetres_needs_a_spacing(found):
    # A third of the frame's 100 mm, rounded down to a length that is easily read.
    assert "20 mm" in map_drawing(frame((0.5, 0.5)), found, 2.0).svg
    assert " mm" not in map_drawing(frame(None), found, 2.0).svg


def test_equal_heights_have_one_highest_point_among_them(found):
    drawn = np.zeros((32, 32), np.float32)
    drawn[4, 4] = drawn[4, 20] = 1.0
    x, y = replace(found, drawn=drawn, placed=Placement((0, 0, 32, 32), 32)).hottest
    assert (x, y) in ((4.5, 4.5), (20.5, 4.5))


def test_where_nothing_speaks_nothing_is_said_to_be_loudest(found):
    # As where a blend's weight is on metadata alone, or on none of its members.
    block = Block("own", "ab/avg", "CC")
    for heat, share, said in ((0.0, 0.0, False), (2.0, 0.3, True)):
        map_ = replace(found, drawn=np.full((32, 32), heat, np.float32))
        why = Why("prob", 0.1, (block,), (share,), 0.0, 0.1 + share, ())
        unit = UnitTold("u" * 32, "", 0.1 + share, None, why, (map_,), {"c": frame(None)}, ())
        text = render(Page("t", "l", (_unit(unit, None, 1),)))
        assert ("has the largest share" in text) == said
        assert ("without the window at the cross" in text) == said
        assert ("no window moves the log odds" in text) != said


def test_blocks_are_named_by_what_tells_them_apart():
    def named(*blocks):
        blocks = tuple(Block(*block) for block in blocks)
        why = Why("prob", 0.1, blocks, (0.0,) * len(blocks), 0.0, 0.1, ())
        return [block_name(block, why) for block in blocks]

    own, age = ("own", "ab/avg", "CC"), ("metadata", "", "age")
    assert named(own, age) == ["CC", "age (metadata)"]
    assert named(own, ("own", "ab/max", "CC")) == ["CC [avg]", "CC [max]"]
    assert named(own, ("difference", "cd/avg", "CC"))[0] == "CC [ab/avg]"
