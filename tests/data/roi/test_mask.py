"""Mask or picture: the content tells, whatever the file is called."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest

from radboost.data.dicom.write import DicomImage, write_dicom
from radboost.data.journal import Journal
from radboost.data.pool import Pool
from radboost.data.progress import Silent
from radboost.data.roi.find import Eyes, find_regions, grounds
from radboost.data.roi.mask import MASK, see_breast, see_mask
from radboost.data.scan import Reading, Scan
from radboost.errors import PixelError

ROOM = np.zeros((100, 80), bool)
ROOM[20:40, 10:60] = True


def picture(rng: np.random.Generator, shape=(100, 80)) -> np.ndarray:
    return rng.integers(0, 60000, shape).astype(np.uint16)


def mask(shape=(100, 80), on: int = 255, dtype=np.uint8) -> np.ndarray:
    drawn = cv2.resize(ROOM.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST)
    return drawn.astype(dtype) * dtype(on)


@pytest.mark.parametrize(("on", "dtype"), [(255, np.uint8), (1, np.uint8), (65535, np.uint16), (4095, np.uint16)])
@pytest.mark.parametrize("suffix", [".dcm", ".png"])
def test_two_values_are_a_mask_however_they_are_stored(tmp_path, on, dtype, suffix):
    drawn = mask(on=on, dtype=dtype)
    if suffix == ".dcm":
        write_dicom(tmp_path / "a.dcm", DicomImage(drawn, drawn.itemsize * 8))
    else:
        cv2.imwrite(str(tmp_path / "a.png"), drawn)
    ((is_mask, *box, x, y, rows, columns),) = see_mask(f"a{suffix}", str(tmp_path)).values
    assert is_mask == 1
    assert box == [10, 20, 60, 40]
    assert (x, y, rows, columns) == (35, 30, 100, 80)


def test_pictures_and_empty_masks_are_none(tmp_path):
    rng = np.random.default_rng(0)
    for name, pixels in (("many", picture(rng)), ("flat", np.full((50, 50), 7, np.uint16))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), pixels)
        assert see_mask(f"{name}.png", str(tmp_path)).values[0][0] == 0
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(PixelError):
        see_mask("broken.png", str(tmp_path))


def test_a_mask_that_was_kept_as_jpeg_is_still_one(tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), mask((800, 640)), [cv2.IMWRITE_JPEG_QUALITY, 90])
    is_mask, *box = see_mask("a.jpg", str(tmp_path)).values[0][:5]
    assert is_mask == 1
    np.testing.assert_allclose(box, [80, 160, 480, 320], atol=2)


def eyes(root: Path, journal: Journal) -> Eyes:
    # Only the size of an image is asked of its header.
    headers = {"image.dcm": SimpleNamespace(rows=200, columns=160)}
    return Eyes(root, Reading(workers=1), journal, Silent(), Scan(headers=headers))


def test_the_mask_is_found_by_content_and_brought_to_the_image(tmp_path):
    cv2.imwrite(str(tmp_path / "crop.png"), picture(np.random.default_rng(1), (30, 30)))
    cv2.imwrite(str(tmp_path / "mask.png"), mask((100, 80)))
    cv2.imwrite(str(tmp_path / "other.png"), mask((100, 80))[::-1])
    cases = {
        # In either order: the names say nothing.
        ("crop.png", "mask.png"): "",
        ("mask.png", "crop.png"): "",
        ("mask.png", "mask.png"): "",
        ("crop.png",): "none of its 1 files may be the mask",
        (): "none of its 0 files may be the mask",
        # Which of two is right cannot be told.
        ("mask.png", "other.png"): "2 of its 2 files may be the mask",
    }
    with Journal(None, tmp_path) as journal:
        paths = pd.Series([*["image.dcm"] * len(cases), "lost.dcm"])
        located = find_regions(paths, pd.Series([*map(list, cases), ["mask.png"]]), eyes(tmp_path, journal))
    np.testing.assert_array_equal(located.regions.iloc[:3], [[20, 40, 120, 80, 70, 60]] * 3)
    assert located.regions.iloc[3:].isna().all(axis=None)
    assert located.faults.tolist() == [*cases.values(), "its image cannot be read"]
    assert located.shapes == {"image.dcm": (200, 160)}


def test_a_mask_in_the_place_of_an_image_is_set_aside(tmp_path):
    cv2.imwrite(str(tmp_path / "image.png"), picture(np.random.default_rng(3)))
    cv2.imwrite(str(tmp_path / "mask.png"), mask())
    with Journal(None, tmp_path) as journal:
        sight = eyes(tmp_path, journal)
        assert list(grounds(["image.png", "mask.png"], sight)) == ["image.png"]
    assert [path for path, _, _ in sight.found.bad] == ["mask.png"]


def test_what_was_seen_is_not_looked_at_again_unless_the_file_changed(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "mask.png"), mask())
    with Journal(tmp_path / "notes.jsonl", tmp_path) as journal:
        first = eyes(tmp_path, journal).see(MASK, ["mask.png"])

    def at_work(*jobs):
        raise AssertionError(jobs)

    with Journal(tmp_path / "notes.jsonl", tmp_path) as journal, monkeypatch.context() as patch:
        patch.setattr(Pool, "_schedule", at_work)
        assert eyes(tmp_path, journal).see(MASK, ["mask.png"]) == first
        cv2.imwrite(str(tmp_path / "mask.png"), mask()[:, :40])
        with pytest.raises(AssertionError):
            eyes(tmp_path, journal).see(MASK, ["mask.png"])


def test_the_breast_is_found_band_by_band(tmp_path):
    rows, columns = 400, 320
    y, x = np.mgrid[:rows, :columns]
    breast = (x / 200) ** 2 + ((y - 200) / 150) ** 2 < 1
    pixels = np.where(breast, 20000 + 500 * np.random.default_rng(0).normal(size=breast.shape), 0)
    cv2.imwrite(str(tmp_path / "a.png"), pixels.clip(0).astype(np.uint16))
    (size, *bands) = see_breast("a.png", str(tmp_path)).values
    assert size == (rows, columns, 0)
    middles = (np.arange(len(bands)) + 0.5) * rows / len(bands)
    truth = 200 * np.sqrt(np.clip(1 - ((middles - 200) / 150) ** 2, 0, None))
    found = np.array(bands)
    # Within the opening that parts breast and bridges, and closer where the breast is wide.
    np.testing.assert_allclose(found[:, 1], truth, atol=20)
    np.testing.assert_allclose(found[16:48, 1], truth[16:48], atol=6)
