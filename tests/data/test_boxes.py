from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from radboost.data.boxes import find_body, find_breast, stride_of
from radboost.data.crop import CropJob, PixelPolicy
from radboost.data.dicom import DicomImage, write_dicom
from radboost.data.render import render


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


def test_the_breast_and_not_the_film_is_found_on_a_digitised_mammogram(shared_data):
    # Gray film, white lines along its edges, a label: the breast ends near column 2080 of 3064.
    policy = PixelPolicy(64, "breast", mirror=True)
    out = np.empty(policy.shape, np.uint16)
    boxes = []
    for name in ("MG1_J2KI", "MG1_JPLY"):
        info = render(CropJob(str(shared_data / "mg" / f"{name}.dcm")), policy, out)
        boxes.append(info.box)
        assert info.chest_wall == "left"
        assert 2000 < info.box[2] < 2250
    # The same film under two codecs, one of them decoded at an eighth of its size.
    assert np.abs(np.subtract(*boxes)).max() <= 16


@pytest.mark.parametrize("side", ["top", "right", "bottom"])
def test_a_white_film_border_decides_nothing(side):
    plain = find(film())
    picture = film()
    edge = {"top": np.s_[:25], "right": np.s_[:, -30:], "bottom": np.s_[-20:]}[side]
    picture[edge] = 65535
    found = find(picture)
    assert np.abs(np.subtract(plain.box, found.box)).max() <= 12
    assert found.right_sided is False


def test_a_thin_white_line_around_the_film_does_not_join_label_and_breast():
    picture = film((10, 240, 30, 50))
    picture[:3] = picture[-3:] = picture[:, -3:] = 65535
    picture[5:12, 200:300] = 65535  # from the label to the line
    assert np.abs(np.subtract(find(film()).box, find(picture).box)).max() <= 12


@pytest.mark.parametrize("background", [1500, 4000, 9000])
def test_gray_film_on_a_black_sheet_is_not_the_breast(background):
    sheet = np.zeros((400, 400), np.uint16)
    sheet[:, 50:350] = film(background=background)
    assert find(sheet).box[2] <= 50 + 215


def test_an_implant_does_not_shrink_the_box_to_itself():
    picture = film()
    cv2.ellipse(picture, (0, 200), (90, 80), 0, -90, 90, 62000, -1)
    assert np.abs(np.subtract(find(film()).box, find(picture).box)).max() <= 8


def test_the_body_is_found_without_the_table(shared_data):
    policy = PixelPolicy(64, "body")
    out = np.empty(policy.shape, np.uint16)
    boxes = [
        render(CropJob(str(p)), policy, out).box for p in sorted((shared_data / "ct" / "ge").glob("*.dcm"))[16:24:2]
    ]
    for left, top, right, bottom in boxes:
        assert 200 < right - left < 420  # head rest and table reach over 440 of 512 columns
        assert 200 < bottom - top < 450
    # Neighbouring slices of one head have neighbouring boxes.
    assert np.abs(np.diff(boxes, axis=0)).max() < 90


def test_a_body_box_does_not_depend_on_the_files_window(tmp_path):
    y, x = np.mgrid[:256, :256]
    hounsfield = np.full((256, 256), -1000, np.int16)
    hounsfield[(y - 130) ** 2 + (x - 120) ** 2 < 70**2] = 40
    hounsfield[240:243, 20:236] = 300  # the table
    boxes = []
    for window in ((40, 80), (-600, 1500), (500, 2000)):
        path = tmp_path / f"{window[1]}.dcm"
        write_dicom(path, DicomImage(hounsfield, 16, windows=(window,)))
        out = np.empty((1, 32, 32), np.uint16)
        boxes.append(render(CropJob(str(path)), PixelPolicy(32, "body"), out).box)
    assert len(set(boxes)) == 1
    assert np.abs(np.subtract(boxes[0], (50, 60, 190, 200))).max() <= 8


def test_a_hole_does_not_split_the_body():
    # A skull in a bone window is a ring.
    ring = np.zeros((200, 200), np.uint16)
    cv2.circle(ring, (100, 100), 80, 60000, 4)
    found = find_body(ring, 1, (200, 200))
    assert np.abs(np.subtract(found.box, (18, 18, 183, 183))).max() <= 8


@pytest.mark.parametrize("shape", [(1, 1), (100, 90), (1024, 1024), (4096, 3328), (5355, 4915)])
def test_the_small_picture_has_enough_pixels_and_not_many_more(shape):
    small = max(shape) / stride_of(shape)
    assert small >= min(128, max(shape))
    assert small <= max(256, max(shape) / 8)
