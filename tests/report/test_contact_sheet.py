"""The sheet shows each crop beside its frame, the box where it is, and the oddest first."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from radboost.data.crop import PixelPolicy
from radboost.data.export import ExportConfig, export_crops
from radboost.data.index import IndexConfig, index
from radboost.errors import UserError
from radboost.report.contact_sheet import BOX_INK, GAP, SheetConfig, contact_sheet, odd_looking


def boxes(**columns) -> pd.DataFrame:
    table = {"reason": "triangle", "rows": 100, "columns": 100, "left": 0, "top": 0, "right": 50, "bottom": 80}
    return pd.DataFrame({name: columns.get(name, [value] * 5) for name, value in table.items()})


@pytest.mark.parametrize(
    "odd",
    [
        {"reason": ["triangle", "triangle", "whole frame", "triangle", "triangle"]},
        {"right": [50, 51, 8, 49, 50]},
        {"bottom": [80, 79, 8, 81, 80]},
    ],
)
def test_the_odd_one_stands_out(odd):
    assert int(np.argmax(odd_looking(boxes(**odd)))) == 2


def test_equal_boxes_are_equally_odd_and_one_alone_is_scored_too():
    np.testing.assert_array_equal(odd_looking(boxes()), np.zeros(5))
    np.testing.assert_array_equal(odd_looking(boxes().head(1)), [0.0])


def film(centre: int, axes: tuple[int, int]) -> np.ndarray:
    """Half an ellipse against the left edge."""
    pixels = cv2.ellipse(np.zeros((200, 160), np.uint8), (0, centre), axes, 0, 0, 360, 180, cv2.FILLED)
    return cv2.GaussianBlur(pixels, (0, 0), 3)


@pytest.fixture
def exported(tmp_path):
    root: Path = tmp_path / "films"
    root.mkdir()
    for number in range(4):
        cv2.imwrite(str(root / f"film{number}.png"), film(100, (70, 60)))
    cv2.imwrite(str(root / "small.png"), film(105, (50, 25)))
    cohort = index(root, None, IndexConfig(workers=1)).cohort
    pixels = PixelPolicy.of("breast", 64)
    return cohort, export_crops(cohort, np.arange(5), tmp_path / "crops", ExportConfig(pixels, workers=1)), pixels


def test_the_box_is_drawn_where_the_breast_is_and_the_oddest_comes_first(exported, tmp_path):
    cohort, done, pixels = exported
    out = tmp_path / "sheet.png"
    side = 100
    assert contact_sheet(cohort, done, pixels, out, SheetConfig(side=side, workers=1)) == 5
    sheet = np.asarray(Image.open(out))
    # The first cell's frame: 200 x 160 pixels in a square of 100, so half as large and 10 from either side.
    frame = sheet[GAP : GAP + side, GAP + side : GAP + 2 * side]
    drawn = np.argwhere((frame == BOX_INK).all(axis=-1))
    top, left = drawn.min(axis=0)
    bottom, right = drawn.max(axis=0)
    assert (top, bottom) == (pytest.approx(40, abs=6), pytest.approx(65, abs=6))  # the small breast
    assert (left, right) == (pytest.approx(10, abs=2), pytest.approx(35, abs=6))


def test_fewer_cells_than_crops_show_the_oddest(exported, tmp_path):
    cohort, done, pixels = exported
    assert contact_sheet(cohort, done, pixels, tmp_path / "s.png", SheetConfig(cells=2, workers=1)) == 2


def test_a_sheet_is_a_png(exported, tmp_path):
    with pytest.raises(UserError, match="is a PNG"):
        contact_sheet(*exported, tmp_path / "sheet.jpg")
