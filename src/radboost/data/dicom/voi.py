"""Read from a data set how its frame wants to be shown (PS3.3 C.7.6.16, C.11.1, C.11.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, cast

import numpy as np
from pydicom.dataset import Dataset, FileDataset

from radboost.data.codecs import BIG_ENDIAN
from radboost.data.dicom.door import door, items, number, numbers, text
from radboost.data.dicom.pixel_data import syntax_of
from radboost.data.dicom.presentation import Lut, Presentation, Window
from radboost.errors import PixelError

__all__ = ["presentation_of"]

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def presentation_of(dataset: FileDataset, index: int) -> Presentation:
    """Collect modality transform, VOI and polarity of one frame.

    Parameters
    ----------
    dataset
        The image.
    index
        Frame number from 0.

    Raises
    ------
    PixelError
        When a rescale or a table is there and cannot be read; an unusable window counts as none.
    """
    rescale: Dataset = dataset
    voi: Dataset = dataset
    # Enhanced multi-frame objects say it per frame or once for all (PS3.3 C.7.6.16).
    for group in _groups(dataset, index):
        rescale = next(iter(items(group, "PixelValueTransformationSequence")), rescale)
        voi = next(iter(items(group, "FrameVOILUTSequence")), voi)
    slope = number(rescale, "RescaleSlope", 1.0) or 1.0
    little = syntax_of(dataset) != BIG_ENDIAN
    shown = Presentation(
        slope=slope,
        intercept=number(rescale, "RescaleIntercept", 0.0) or 0.0,
        modality=_lut(dataset, "ModalityLUTSequence", little=little),
        voi=_lut(dataset, "VOILUTSequence", little=little),
        windows=tuple(_windows(voi)),
        inverted=text(dataset, "PhotometricInterpretation").upper() == "MONOCHROME1",
    )
    padding = number(dataset, "PixelPaddingValue")
    if padding is None:
        return shown
    # Some files write a signed padding value as unsigned or the other way round; the value in the pixels counts,
    # so a padding value that no pixel can hold simply never matches.
    limit = number(dataset, "PixelPaddingRangeLimit", padding)
    ends = sorted((padding, padding if limit is None else limit))
    return replace(shown, padding=(ends[0], ends[1]))


def _groups(dataset: Dataset, index: int) -> Iterator[Dataset]:
    yield from items(dataset, "SharedFunctionalGroupsSequence")[:1]
    yield from items(dataset, "PerFrameFunctionalGroupsSequence")[index : index + 1]


def _windows(dataset: Dataset) -> Iterator[Window]:
    centres, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    stated = text(dataset, "VOILUTFunction").upper()
    function = cast(Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"], stated if stated in _FUNCTIONS else "LINEAR")
    for centre, width in zip(centres or (), widths or (), strict=False):
        yield Window(centre, width, function)


def _lut(dataset: Dataset, keyword: str, *, little: bool) -> Lut | None:
    sequence = items(dataset, keyword)
    if not sequence:
        return None
    descriptor = numbers(sequence[0], "LUTDescriptor", 3)
    with door(f"the table in {keyword} cannot be read"):
        value = sequence[0].get("LUTData")
        entries = (
            np.frombuffer(value, "<u2" if little else ">u2")
            if isinstance(value, bytes)
            else np.asarray([] if value is None else value)
        )
    if descriptor is None and not entries.size:
        return None  # an item whose attributes are all empty says nothing
    if descriptor is None or entries.ndim != 1 or entries.dtype.kind not in "iu":
        raise PixelError(f"the table in {keyword} cannot be read", got=f"descriptor {descriptor}")
    count, first, bits = (int(v) for v in descriptor)
    count = count or 1 << 16
    if count > entries.size >= count // 2 and isinstance(value, bytes) and bits <= 8:
        entries = np.frombuffer(value, np.uint8)  # two 8-bit entries packed in one word
    if entries.size < count or not 1 <= bits <= 16:
        raise PixelError(f"the table in {keyword} is incomplete", got=f"{entries.size} of {count} entries, {bits} bits")
    return Lut(first, bits, entries[:count].astype("<u2").tobytes())
