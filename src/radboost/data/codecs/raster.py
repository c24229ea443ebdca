"""Image files that are no DICOM: PNG, JPEG, TIFF and PGM, 8 and 16 bit, as display values."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from radboost.data.codecs.spec import MAX_PIXELS
from radboost.errors import PixelError

__all__ = ["SUFFIXES", "is_raster", "read_raster"]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm"})
"""File name endings taken for raster images, lower case."""

_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")


def is_raster(start: bytes) -> bool:
    """Whether a file that begins with these bytes (eight or more) is a raster image that `read_raster` knows."""
    return start.startswith(_MAGIC) or (start[:2] in (b"P2", b"P5") and start[2:3].isspace())


def read_raster(path: Path) -> np.ndarray:
    """Read a raster image as grayscale.

    Parameters
    ----------
    path
        PNG, JPEG, TIFF (its first page) or PGM; its content, not its name, decides.

    Returns
    -------
    numpy.ndarray
        (rows, columns) uint16. 8-bit values are scaled by 257, so that 255 becomes 65535; 16-bit values are
        kept. Colour becomes luma (ITU-R BT.601). An alpha channel is dropped.

    Raises
    ------
    PixelError
        When the file cannot be opened, is no such image, or is damaged.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise PixelError("the file cannot be opened", got=error.strerror) from error
    if not is_raster(data[:16].tobytes()):
        raise PixelError("the file is no PNG, JPEG, TIFF or PGM image", got=f"{data.size:,} bytes")
    # The flags keep 16 bits and the file's own orientation. A damaged file would be told on stderr, once a layer.
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise PixelError("the image cannot be decoded", got=error.err) from error
    finally:
        cv2.utils.logging.setLogLevel(level)
    if image is None:
        raise PixelError("the image is damaged or of a kind that is not supported", got=f"{data.size:,} bytes")
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise PixelError(f"the image has more than {MAX_PIXELS:,} pixels", got=image.shape)
    if image.dtype not in (np.uint8, np.uint16):
        raise PixelError("only images of 8 and 16 bit are supported", got=image.dtype)
    return _grey(image)


def _grey(image: np.ndarray) -> np.ndarray:
    if image.ndim == 3:
        if image.shape[2] >= 3:
            image = cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_BGR2GRAY)
        else:
            image = np.ascontiguousarray(image[..., 0])
    return image if image.dtype == np.uint16 else np.multiply(image, 257, dtype=np.uint16)
