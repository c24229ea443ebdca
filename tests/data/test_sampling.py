from __future__ import annotations

import numpy as np
import pytest

from radboost.data.dicom import Frame, Lut, Presentation, Window
from radboost.data.sampling import View, may_halve, reduction

PLAIN = Presentation(windows=(Window(32768, 65536, "LINEAR_EXACT"),))


def halved(frame, times):
    """What a symmetric low-pass and every 2**times-th pixel give: pixel n lies at pixel n * 2**times."""
    return np.ascontiguousarray(frame[:: 1 << times, :: 1 << times])


@pytest.mark.parametrize("long_side", [1, 500, 1023, 1024, 4096, 5355])
@pytest.mark.parametrize("size", [64, 224, 512, 1024])
def test_the_crop_keeps_twice_its_size_and_no_more_is_decoded_than_that_asks_for(long_side, size):
    times = reduction(long_side, size, levels=5)
    assert times == 0 or long_side >> times >= 2 * size
    assert times == 5 or long_side >> (times + 1) < 2 * size


def test_levels_that_the_codestream_does_not_have_are_not_left_out():
    assert reduction(8192, 64, levels=2) == 2
    assert reduction(8192, 64, levels=0) == 0


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("box", [(0, 0, 256, 192), (40, 24, 200, 152), (13, 7, 190, 121)])
def test_a_halved_frame_shows_every_part_where_the_full_one_does(times, box):
    # On ramps, a shift of one pixel of the full frame is a step of 100 in the values.
    y, x = np.mgrid[:192, :256]
    step = 1 << times
    for ramp in (x, y):
        full = (10_000 + 100 * ramp).astype(np.uint16)
        small = View(Frame(halved(full, times), PLAIN, reduce=times), full.shape).part(box)
        left, top, right, bottom = box
        assert small.shape == (round((bottom - top) / step), round((right - left) / step))
        # The mean over the pixels that each small one stands for.
        rows = np.linspace(top, bottom, small.shape[0] + 1)
        columns = np.linspace(left, right, small.shape[1] + 1)
        middle = (columns[:-1] + columns[1:]) / 2 if ramp is x else (rows[:-1] + rows[1:])[:, None] / 2
        expected = np.broadcast_to(10_000 + 100 * (middle - 0.5), small.shape)
        inside = np.s_[1:-1, 1:-1]  # at the frame's edge there is nothing to interpolate with
        assert np.abs(small[inside].astype(float) - expected[inside]).max() < 100 * step / 32 + 2


def test_strides_count_in_pixels_of_the_full_frame():
    full = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    whole = View(Frame(full, PLAIN), full.shape).small(8)
    half = View(Frame(halved(full, 2), PLAIN, reduce=2), full.shape).small(8)
    np.testing.assert_array_equal(whole, half)


def test_what_averages_would_falsify_is_not_halved():
    window = PLAIN.windows
    assert may_halve(PLAIN, None)
    assert may_halve(Presentation(), Window(40, 80))
    # The frame's own extremes become black and white, and no average reaches them.
    assert not may_halve(Presentation(), None)
    # Black padding fades into black; padding that would be white leaves a bright fringe around the tissue.
    assert may_halve(Presentation(windows=window, padding=(0, 0)), None)
    assert not may_halve(Presentation(windows=window, padding=(60_000, 65_535)), None)
    assert not may_halve(Presentation(windows=window, padding=(0, 0), inverted=True), None)
    assert may_halve(Presentation(voi=Lut(0, 8, bytes(512)), padding=(0, 0)), None)
