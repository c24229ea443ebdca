"""A crop's geometry can be undone: what lights up in the crop lies where it was in the frame."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from radboost.data.crop import CropJob, PixelPolicy
from radboost.data.placement import Placement
from radboost.data.render import render

SQUARE = (300, 340, 120, 150)  # top, bottom, left, right in the frame


@pytest.fixture
def frame(tmp_path):
    pixels = np.full((500, 400), 30, np.uint8)
    pixels[SQUARE[0] : SQUARE[1], SQUARE[2] : SQUARE[3]] = 255
    Image.fromarray(pixels).save(tmp_path / "frame.png")
    return tmp_path / "frame.png"


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("policy", [PixelPolicy(96), PixelPolicy(96, "box"), PixelPolicy(96, mirror=True)])
def test_a_bright_square_comes_back_to_where_it_was(frame, policy, mirrored):
    out = np.empty(policy.shape, np.uint16)
    info = render(CropJob(str(frame), box=(60, 200, 310, 450), mirrored=mirrored), policy, out)
    placed = info.placed(policy.size, to_left=policy.mirror)
    heat = placed.on_frame(out[0].astype(np.float32), info.shape)
    assert heat.shape == (500, 400)
    ys, xs = np.nonzero(np.nan_to_num(heat) > 40000)
    # Half a pixel of the crop is 2.6 of the frame.
    found = (ys.min(), ys.max() + 1, xs.min(), xs.max() + 1)
    assert np.allclose(found, SQUARE, atol=4)
    left, top, right, bottom = info.box
    outside = np.ones(heat.shape, bool)
    outside[top:bottom, left:right] = False
    assert np.isnan(heat[outside]).all()
    assert np.isfinite(heat[~outside]).all()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("to_left", [False, True])
def test_there_and_back_is_the_same_point(mirrored, to_left):
    placed = Placement((10, 20, 210, 120), 64, mirrored, to_left)
    points = np.random.default_rng(0).uniform(0, 200, (20, 2))
    np.testing.assert_allclose(placed.to_crop(placed.to_frame(points)), points, atol=1e-9)
    x, y, width, height = placed.seat
    corners = placed.to_frame([[x, y], [x + width, y + height]])
    wanted = [[210, 20], [10, 120]] if mirrored else [[10, 20], [210, 120]]
    np.testing.assert_allclose(corners, wanted)
