"""The way to pydicom: its warnings silenced, its errors turned into ours."""

from __future__ import annotations

import warnings
from types import TracebackType

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from radboost.errors import PixelError

__all__ = ["attribute", "door", "items", "number", "numbers", "text"]


class door:
    """Translate whatever pydicom raises inside the block into a `PixelError`.

    Parameters
    ----------
    what
        What cannot be done, one clause.

    Raises
    ------
    PixelError
        For any error but ours and a lack of memory, which the pool reports in its own words.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._warnings = warnings.catch_warnings()

    def __enter__(self) -> None:
        self._mode = config.settings.reading_validation_mode
        self._warnings.__enter__()
        warnings.simplefilter("ignore")
        # Malformed values are the rule in the field: they are judged where they are used, once, in our own words.
        config.settings.reading_validation_mode = config.IGNORE

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        config.settings.reading_validation_mode = self._mode
        self._warnings.__exit__(kind, error, trace)
        if isinstance(error, PixelError | MemoryError) or not isinstance(error, Exception):
            return
        if isinstance(error, OSError):
            raise PixelError(self._what, got=error.strerror or str(error)) from error
        # A malformed file may bring pydicom to raise anything.
        raise PixelError(self._what, got=f"{type(error).__name__}: {error}") from error


def attribute(dataset: Dataset, keyword: str) -> object:
    """Give an attribute's value, its first where several stand; None where it is absent or empty.

    Raises
    ------
    PixelError
        When the attribute is there and cannot be read: guessing would change the pixels in silence.
    """
    with door(f"the attribute {keyword} cannot be read"):
        value = dataset.get(keyword)
        if isinstance(value, MultiValue | list | tuple):
            value = value[0] if len(value) else None
        return None if value in ("", b"") else value


def number(dataset: Dataset, keyword: str, default: float | None = None) -> float | None:
    """Give an attribute as a finite number, or the default where it is absent or empty.

    Raises
    ------
    PixelError
        When it is there and no finite number.
    """
    value = attribute(dataset, keyword)
    if value is None:
        return default
    with door(f"the attribute {keyword} is no number"):
        result = float(str(value))
        if result - result != 0:
            raise PixelError(f"the attribute {keyword} is not finite", got=value)
        return result


def numbers(dataset: Dataset, keyword: str, count: int | None = None) -> tuple[float, ...] | None:
    """Give a multi-valued attribute as finite numbers; None where it is absent or not what it should be.

    Parameters
    ----------
    dataset
        Where to look.
    keyword
        The attribute.
    count
        How many values it must have; any number when None.
    """
    try:
        with door(keyword):
            value = dataset.get(keyword)
            if value is None or value == "":
                return None
            several = value if isinstance(value, MultiValue | list | tuple) else [value]
            result = tuple(float(v) for v in several)
    except PixelError:
        return None
    if any(v - v != 0 for v in result) or (count is not None and len(result) != count):
        return None
    return result or None


def text(dataset: Dataset, keyword: str) -> str:
    """Give a descriptive attribute as stripped text; empty where it is absent or cannot be read."""
    try:
        value = attribute(dataset, keyword)
    except PixelError:
        return ""
    return "" if value is None else str(value).strip().strip("\0")


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Give the items of a sequence, none where it is absent.

    Raises
    ------
    PixelError
        When the sequence is there and cannot be read.
    """
    with door(f"the sequence {keyword} cannot be read"):
        value = dataset.get(keyword)
        return list(value) if isinstance(value, Sequence) else []
