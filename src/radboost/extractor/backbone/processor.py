"""What the config of a transformers model's image processor says; its code is never built."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from radboost.errors import WeightsError
from radboost.extractor.backbone.weights import SETTINGS

__all__ = ["processor_scaling", "processor_size", "read_processor"]

UNTRAINED = (0.5, 0.5, 0.5)
"""Mean and standard deviation of untrained networks whose config says nothing: pixels in -1..1."""


def read_processor(folder: Path) -> dict[str, Any]:
    """Read the config of the image processor in a model's folder, {} where there is none.

    Raises
    ------
    WeightsError
        It is no JSON.
    """
    for name in SETTINGS[1:]:
        try:
            found = json.loads((folder / name).read_text("utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise WeightsError("cannot be read as JSON", where=name, do="Fetch the model again") from error
        found = found.get("image_processor", found) if isinstance(found, dict) else {}
        if "image_mean" in found or "size" in found:
            return dict(found)
    return {}


def processor_size(processor: dict[str, Any]) -> int | None:
    """Give the side of the images that leave an image processor, pixels; None where it does not say."""
    cropped = processor.get("crop_size") if processor.get("do_center_crop") else None
    for found in (cropped, processor.get("size")):
        sides = list(found.values()) if isinstance(found, dict) else [found]
        whole = [side for side in sides if isinstance(side, int)]
        if whole:
            return max(whole)
    return None


def processor_scaling(
    processor: dict[str, Any], *, untrained: bool
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Give mean and standard deviation of pixels in 0..1; the library's are of pixels times its `rescale_factor`.

    Parameters
    ----------
    processor
        From `read_processor`.
    untrained
        Whether any scaling will do where none is told.

    Returns
    -------
    tuple
        Mean and standard deviation of three channels; None and None where they are not told.
    """
    mean, std = processor.get("image_mean"), processor.get("image_std")
    if processor.get("do_normalize") is False:
        mean, std = 0.0, 1.0
    if mean is None or std is None or processor.get("rescale_offset"):
        return (UNTRAINED, UNTRAINED) if untrained else (None, None)
    factor = float(processor.get("rescale_factor", 1 / 255)) if processor.get("do_rescale", True) else 1.0
    # Where pixels are scaled to 0..1 anyway, the numbers stay as they are written.
    unit = 1.0 if math.isclose(255 * factor, 1, rel_tol=1e-6) else 255 * factor
    both = ((v,) * 3 if isinstance(v, int | float) else tuple(v) for v in (mean, std))
    scaled_mean, scaled_std = (tuple(float(v) / unit for v in values) for values in both)
    return scaled_mean, scaled_std
