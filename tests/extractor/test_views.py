from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from radboost.errors import UserError
from radboost.extractor.views import ViewConfig, augment, draw, hu_shift

CONFIG = ViewConfig(count=3, seed=5)
IDS = [f"{k:032x}" for k in range(6)]
STILL = ViewConfig(
    count=1, flip_horizontal=False, flip_vertical=False, rotate=0.0, shift=0.0, zoom=0.0, intensity=(0.0,)
)
"""Nothing moves; each test sets one thing free."""


@pytest.fixture
def images():
    return torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_view_0_is_the_crop_itself(images):
    assert augment(images, IDS, 0, CONFIG) is images


def test_views_differ_from_crop_to_crop_and_from_view_to_view(images):
    same = images[:1].expand(6, -1, -1, -1)
    views = torch.cat([augment(same, IDS, view, CONFIG) for view in (1, 2, 3)])
    assert len({v.numpy().tobytes() for v in views}) == 18
    assert not torch.equal(augment(same, IDS, 1, replace(CONFIG, seed=6)), views[:6])


def test_neither_batch_nor_order_shows(images):
    # A store is resumed at another batch size, and its shards are made by several workers.
    together = augment(images, IDS, 2, CONFIG)
    assert torch.equal(augment(images, IDS, 2, CONFIG), together)
    order = [4, 0, 5, 2, 3, 1]
    assert torch.equal(augment(images[order], [IDS[k] for k in order], 2, CONFIG), together[order])
    for k, crop_id in enumerate(IDS):
        assert torch.equal(augment(images[k : k + 1], [crop_id], 2, CONFIG)[0], together[k])


def test_more_views_leave_the_first_as_they_were(images):
    assert torch.equal(augment(images, IDS, 2, replace(CONFIG, count=9)), augment(images, IDS, 2, CONFIG))


def test_memory_layout_does_not_show(images):
    last = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(augment(last, IDS, 1, CONFIG), augment(images, IDS, 1, CONFIG))


@given(
    st.text(max_size=40),
    st.integers(1, 255),
    st.builds(
        ViewConfig,
        count=st.just(255),
        seed=st.integers(0, (1 << 63) - 1),
        flip_horizontal=st.booleans(),
        flip_vertical=st.booleans(),
        rotate=st.floats(0, 180),
        shift=st.floats(0, 1),
        zoom=st.floats(0, 0.9),
    ),
)
def test_numbers_stay_within_their_ranges(crop_id, view, config):
    found = draw(crop_id, view, config)
    assert found == draw(crop_id, view, config)
    assert abs(found.angle) <= config.rotate
    assert max(abs(found.right), abs(found.down)) <= config.shift
    assert 1 - config.zoom <= found.zoom <= 1 + config.zoom
    assert abs(found.intensity) <= 1
    assert config.flip_horizontal or not found.flip_horizontal
    assert config.flip_vertical or not found.flip_vertical


def test_numbers_fill_their_ranges_evenly():
    draws = [draw(f"{k}", 1 + k % 4, ViewConfig(count=4)) for k in range(4000)]
    for values, most in (
        ([d.angle for d in draws], 30),
        ([d.right for d in draws], 0.1),
        ([d.down for d in draws], 0.1),
        ([d.zoom - 1 for d in draws], 0.2),
        ([d.intensity for d in draws], 1),
    ):
        counts, _ = np.histogram(values, 10, (-most, most))
        # 400 +- 19 are expected in each tenth; five deviations leave no room for chance in a fixed sample.
        assert np.abs(counts - 400).max() < 95
    for flips in ([d.flip_horizontal for d in draws], [d.flip_vertical for d in draws]):
        assert abs(sum(flips) - 2000) < 160


def test_numbers_are_the_same_on_every_machine():
    # Written down once: a store that is extended elsewhere must get the same views.
    found = draw("0" * 32, 1, ViewConfig(count=1, seed=1))
    assert [round(v, 6) for v in (found.angle, found.right, found.down, found.zoom, found.intensity)] == [
        27.851732,
        0.022534,
        0.032785,
        1.067015,
        -0.223687,
    ]


class TestGeometry:
    """Against what each move is, done by hand."""

    @staticmethod
    def moved(images, monkeypatch, **numbers):
        still = {"flip_horizontal": False, "flip_vertical": False, "angle": 0.0, "right": 0.0, "down": 0.0}
        found = replace(draw("x", 1, STILL), **(still | {"zoom": 1.0, "intensity": 0.0} | numbers))
        monkeypatch.setattr("radboost.extractor.views.draw", lambda *_: found)
        return augment(images, ["x"] * len(images), 1, replace(STILL, intensity=(1.0,)))

    def test_nothing(self, images):
        torch.testing.assert_close(augment(images, IDS, 1, STILL), images, atol=1e-5, rtol=0)

    def test_mirrors(self, images, monkeypatch):
        across = self.moved(images, monkeypatch, flip_horizontal=True)
        torch.testing.assert_close(across, images.flip(3), atol=1e-5, rtol=0)
        down = self.moved(images, monkeypatch, flip_vertical=True)
        torch.testing.assert_close(down, images.flip(2), atol=1e-5, rtol=0)

    def test_a_quarter_turn(self, images, monkeypatch):
        for angle, turns in ((90.0, -1), (-90.0, 1)):
            turned = self.moved(images, monkeypatch, angle=angle)
            torch.testing.assert_close(turned, images.rot90(turns, (2, 3)), atol=1e-4, rtol=0)

    def test_a_shift_brings_black_in(self, images, monkeypatch):
        moved = self.moved(images, monkeypatch, right=0.25, down=-0.125)
        torch.testing.assert_close(moved[:, :, :28, 8:], images[:, :, 4:, :24], atol=1e-5, rtol=0)
        assert moved[:, :, :, :8].abs().max() < 1e-5
        assert moved[:, :, 28:].abs().max() < 1e-5

    def test_a_zoom_keeps_the_centre_and_shows_less_or_more(self, monkeypatch):
        square = torch.zeros(1, 1, 64, 64)
        square[:, :, 24:40, 24:40] = 1
        for zoom in (0.5, 1.5):
            area = self.moved(square, monkeypatch, zoom=zoom)
            assert float(area.sum()) == pytest.approx(256 * zoom**2, rel=0.02)
            torch.testing.assert_close(area, area.flip(2, 3), atol=1e-4, rtol=0)

    def test_a_turn_of_an_oblong_keeps_shapes(self, monkeypatch):
        # A disc stays a disc only where the turn is made in pixels, not in parts of the sides.
        y, x = torch.meshgrid(torch.arange(48.0), torch.arange(96.0), indexing="ij")
        disc = ((y - 23.5) ** 2 + (x - 47.5) ** 2 < 15**2).float()[None, None]
        turned = self.moved(disc, monkeypatch, angle=45.0)
        assert float((turned - disc).abs().mean()) < 0.01

    def test_intensity_spares_black_and_stays_in_range(self, images, monkeypatch):
        images[:, :, :4] = 0
        lighter = self.moved(images, monkeypatch, intensity=0.5)
        torch.testing.assert_close(
            lighter, torch.where(images > 0, (images + 0.5).clamp(max=1), 0.0), atol=1e-4, rtol=0
        )
        darker = self.moved(images, monkeypatch, intensity=-0.5)
        assert float(darker.min()) >= 0


def test_windows_of_one_image_move_together(images):
    config = replace(STILL, intensity=hu_shift([(40, 80), (80, 200), (40, 400)]))
    grey = torch.full((1, 3, 16, 16), 0.5)
    added = (augment(grey, ["a"], 1, config) - grey)[0, :, 8, 8] * torch.tensor([80.0, 200.0, 400.0])
    assert 0 < float(added.abs().max()) <= 15
    torch.testing.assert_close(added, added[:1].expand(3), rtol=1e-3, atol=1e-3)


def test_a_fingerprint_names_all_that_decides():
    assert ViewConfig(seed=3, rotate=5).fingerprint() == 0, "without views nothing of them decides"
    plain = CONFIG.fingerprint()
    assert json.loads(json.dumps(plain)) == plain
    changes = {"count": 4, "seed": 6, "flip_horizontal": False, "flip_vertical": False, "rotate": 5.0, "shift": 0.2}
    for field, value in (changes | {"zoom": 0.1, "intensity": (0.1,)}).items():
        assert replace(CONFIG, **{field: value}).fingerprint() != plain, field


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": -1},
        {"count": 256},
        {"seed": -1},
        {"rotate": 181},
        {"rotate": math.nan},
        {"shift": 1.5},
        {"zoom": 1.0},
        {"intensity": ()},
        {"intensity": (-0.1,)},
    ],
)
def test_ranges_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UserError):
        ViewConfig(**wrong)


def test_a_request_that_does_not_fit_is_refused(images):
    for ids, view, config in ((IDS, 4, CONFIG), (IDS[:2], 1, CONFIG), (IDS, 1, replace(CONFIG, intensity=(0.1, 0.2)))):
        with pytest.raises(UserError):
            augment(images, ids, view, config)
