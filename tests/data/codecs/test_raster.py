from __future__ import annotations

import cv2
import numpy as np
import pytest

from radboost.data.codecs import is_raster, read_raster
from radboost.errors import PixelError

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_both_depths_come_back_on_one_scale(tmp_path, suffix, dtype):
    image = RNG.integers(0, np.iinfo(dtype).max + 1, (20, 30)).astype(dtype)
    image[0, :2] = 0, np.iinfo(dtype).max
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), image)
    found = read_raster(path)
    # White is white in both: 255 and 65535 must not differ by a factor of 257 in the store.
    assert (found[0, 0], found[0, 1]) == (0, 65535)
    np.testing.assert_array_equal(found, image.astype(np.uint32) * (257 if dtype is np.uint8 else 1))


def test_an_image_is_not_stretched_to_its_own_range(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 4), 100, np.uint8))
    assert read_raster(tmp_path / "a.png").max() == 100 * 257


def test_colour_becomes_luma_and_alpha_is_dropped(tmp_path):
    colour = np.zeros((8, 8, 4), np.uint8)
    colour[..., 1], colour[..., 3] = 200, 7
    cv2.imwrite(str(tmp_path / "a.png"), colour)
    assert abs(int(read_raster(tmp_path / "a.png")[0, 0]) - 0.587 * 200 * 257) < 257


def test_jpeg_is_read(tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((16, 16), 90, np.uint8))
    assert np.abs(read_raster(tmp_path / "a.jpg").astype(int) - 90 * 257).max() <= 2 * 257


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".pgm"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6])
def test_a_truncated_file_is_refused(tmp_path, suffix, share):
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), RNG.integers(0, 256, (64, 64)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(PixelError):
        read_raster(path)


def test_a_text_file_named_png_is_refused_and_a_missing_one_too(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not an image")
    with pytest.raises(PixelError, match="no PNG, JPEG, TIFF or PGM"):
        read_raster(tmp_path / "a.png")
    with pytest.raises(PixelError, match="cannot be opened"):
        read_raster(tmp_path / "none.png")


def test_the_magic_of_pgm_is_more_than_two_letters():
    assert is_raster(b"P5\n10 10")
    assert not is_raster(b"P5,P6,P7")
