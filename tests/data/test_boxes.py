from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from radboost.data.boxes import find_breast
from radboost.data.crop import CropJob, PixelPolicy, render


def film(marker=None, *, right=False, background=300):
    """A half ellipse of tissue against one edge, a little noise, and perhaps a bright label apart from it."""
    rng = np.random.default_rng(0)
    picture = np.zeros((400, 300), np.float32)
    cv2.ellipse(picture, (0, 200), (170, 140), 0, -90, 90, 1.0, -1)
    picture = cv2.GaussianBlur(picture, (0, 0), 4) * 30000 + background + rng.normal(0, 80, picture.shape)
    if marker is not None:
        top, left, height, width = marker
        picture[top : top + height, left : left + width] = 65535
    picture = picture.clip(0, 65535).astype(np.uint16)
    return picture[:, ::-1] if right else picture


def find(picture, stride=4):
    return find_breast(np.ascontiguousarray(picture[::stride, ::stride]), stride, picture.shape)


def test_the_box_holds_the_tissue_and_little_else():
    left, top, right, bottom = find(film()).box
    assert left == 0
    assert 165 <= right <= 215
    assert 30 <= top <= 65
    assert 335 <= bottom <= 370


@pytest.mark.parametrize("marker", [(10, 240, 30, 50), (360, 250, 30, 40), (5, 200, 60, 90)])
def test_a_burned_in_marker_decides_nothing(marker):
    plain, marked = find(film()), find(film(marker))
    assert np.abs(np.subtract(plain.box, marked.box)).max() <= 8
    assert marked.right_sided == plain.right_sided


def test_a_mirrored_film_gives_the_mirrored_box():
    plain, mirrored = find(film()), find(film(right=True))
    left, top, right, bottom = mirrored.box
    # The stride samples other columns of the mirrored film, hence a few pixels of play.
    assert np.abs(np.subtract(plain.box, (300 - right, top, 300 - left, bottom))).max() <= 8
    assert (plain.right_sided, mirrored.right_sided) == (False, True)


@pytest.mark.parametrize("picture", [np.zeros((80, 60), np.uint16), np.full((80, 60), 65535, np.uint16)])
def test_a_picture_without_tissue_is_kept_whole(picture):
    found = find_breast(picture, 2, (160, 120))
    assert found.box == (0, 0, 120, 160)
    assert found.reason == "whole frame"


def test_the_chest_wall_is_found_on_real_films(shared_data):
    # mini-MIAS: odd numbers are right breasts, the chest wall at the right edge of the film.
    policy = PixelPolicy(64, "breast", mirror=True)
    out = np.empty(policy.shape, np.uint16)
    right, whole = [], 0
    for path in sorted((shared_data / "mini-mias" / "images").rglob("*.pgm"))[::3]:
        info = render(CropJob(str(path)), policy, out)
        odd = int(re.search(r"\d+", path.stem)[0]) % 2 == 1
        right.append(info.mirrored == odd)
        whole += info.reason == "whole frame"
    assert np.mean(right) >= 0.95
    assert whole == 0
