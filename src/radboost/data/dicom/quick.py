"""Read short attributes straight from their bytes: pydicom's conversion costs more than reading the file does.

What is not plain ASCII, or not stored as the dictionary says, is left to pydicom.
"""

from __future__ import annotations

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from radboost.data.dicom import door

__all__ = ["first_number", "numbers", "tag_of", "text"]

_TAGS: dict[str, BaseTag] = {}
# The text VRs whose values are separated by a backslash (PS3.5 6.2); None: implicit VR.
_SPLIT = {None, "AE", "AS", "CS", "DA", "DS", "IS", "LO", "SH", "UI"}
_WHOLE = {None, "US"}


def tag_of(keyword: str) -> BaseTag:
    """Tag of an attribute that the dictionary knows."""
    if keyword not in _TAGS:
        tag = tag_for_keyword(keyword)
        if tag is None:
            msg = f"no DICOM keyword: {keyword}"
            raise ValueError(msg)
        _TAGS[keyword] = BaseTag(tag)
    return _TAGS[keyword]


def text(dataset: Dataset, keyword: str, separator: str | None = None) -> str:
    """Give a descriptive attribute's first value as `radboost.data.dicom.door.text` does, or all with a separator."""
    tag = tag_of(keyword)
    if tag not in dataset:
        return ""
    plain = _ascii(dataset, tag)
    if plain is None:
        return door.text(dataset, keyword)
    parts = [part.strip().strip("\0") for part in plain.split("\\")]
    return parts[0] if separator is None else separator.join(parts)


def numbers(dataset: Dataset, keyword: str, count: int | None = None) -> tuple[float, ...] | None:
    """Give a DS or IS attribute as `radboost.data.dicom.door.numbers` does."""
    tag = tag_of(keyword)
    if tag not in dataset:
        return None
    plain = _ascii(dataset, tag)
    if plain is None:
        return door.numbers(dataset, keyword, count)
    try:
        found = tuple(float(part) for part in plain.rstrip("\0 ").split("\\"))
    except ValueError:
        return door.numbers(dataset, keyword, count)
    return found if all(v - v == 0 for v in found) and count in (None, len(found)) else None


def first_number(dataset: Dataset, keyword: str, default: float | None = None) -> float | None:
    """Give an attribute as `radboost.data.dicom.door.number` does; quickly if it is a single US.

    Raises
    ------
    PixelError
        When it is there and no finite number.
    """
    tag = tag_of(keyword)
    if tag not in dataset:
        return default
    raw: object = dataset.get_item(tag)
    if isinstance(raw, RawDataElement) and raw.VR in _WHOLE and raw.value is not None and len(raw.value) == 2:
        return float(int.from_bytes(raw.value, "little" if raw.is_little_endian else "big"))
    return door.number(dataset, keyword, default)


def _ascii(dataset: Dataset, tag: BaseTag) -> str | None:
    """Text of an element that nothing has looked at yet; None where pydicom must judge."""
    raw: object = dataset.get_item(tag)
    if not isinstance(raw, RawDataElement) or raw.VR not in _SPLIT:
        return None
    value = raw.value
    # An escape begins another character set (PS3.5 6.1.2.5).
    return value.decode("ascii") if value and value.isascii() and b"\x1b" not in value else None
