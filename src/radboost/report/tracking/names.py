"""Nested results as named numbers, under names that every tracker takes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import count

__all__ = ["flat_numbers", "safe_name"]

LABELS = ("target", "part", "subgroup", "group", "name", "member", "metric", "kind")
"""Keys whose text tells one row of a list from another, in the order in which they are named."""
HOLDERS = ("scores", "values", "numbers", "targets")
"""Keys that hold what is asked for, and tell nothing of it."""
LONGEST = 240
_UNSAFE = re.compile(r"[^\w.\- /]", re.ASCII)
_EMPTY_PARTS = re.compile(r"/(?:\.*/)+")


def safe_name(text: str) -> str:
    """Give a name that trackers take: letters, digits, ``_ . - /`` and spaces, at most 240 characters.

    >>> safe_name("spinal: L4/L5 (weighted)"), safe_name("//../a")
    ('spinal_ L4/L5 _weighted_', 'a')
    """
    kept = _EMPTY_PARTS.sub("/", f"/{_UNSAFE.sub('_', text)}/").strip("/ ")
    return kept[:LONGEST].strip("/ ") or "_"


def flat_numbers(content: object) -> dict[str, float]:
    """Name every number of a nested result.

    Parameters
    ----------
    content
        As JSON has it, or of dataclasses. A value with its interval, as ``[value, low, high]`` or under those keys,
        becomes three numbers; rows of a list are named by what they say of themselves (target, member, ...); other
        lists of numbers are curves and no metrics.

    Returns
    -------
    dict
        Name, safe and used once, to finite number.

    >>> flat_numbers({"scores": [{"target": "cancer", "member": "prior", "kind": "regular", "auc": [0.5, 0.4, 0.6]}]})
    {'cancer/prior/auc': 0.5, 'cancer/prior/auc_low': 0.4, 'cancer/prior/auc_high': 0.6}
    """
    found: dict[str, float] = {}
    for parts, value in _numbers(content, ()):
        # A row that says again whose it is does not say more.
        name = safe_name("/".join(part for part, before in zip(parts, (None, *parts), strict=False) if part != before))
        if name in found:
            name = next(f"{name[: LONGEST - 8]}_{k}" for k in count(2) if f"{name[: LONGEST - 8]}_{k}" not in found)
        found[name] = value
    return found


def _numbers(content: object, parts: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    if isinstance(content, bool):
        return
    if isinstance(content, int | float):
        if math.isfinite(content):
            yield parts, float(content)
    elif is_dataclass(content) and not isinstance(content, type):
        yield from _of_mapping({field.name: getattr(content, field.name) for field in fields(content)}, parts)
    elif isinstance(content, Mapping):
        yield from _of_mapping(content, parts)
    elif isinstance(content, Sequence) and not isinstance(content, str | bytes):
        if _is_interval(content):
            yield from _interval(content, parts)
        elif not all(isinstance(each, int | float | None) for each in content):
            for number, each in enumerate(content):
                yield from _numbers(each, parts if _is_named(each) else (*parts, str(number)))


def _of_mapping(content: Mapping[object, object], parts: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    if {"value", "low", "high"} <= content.keys():
        yield from _interval([content["value"], content["low"], content["high"]], parts)
        return
    own = [content[key] for key in LABELS if isinstance(content.get(key), str)]
    # Nearly all is regular, and scores are what is asked for: neither word tells anything from anything.
    inside = (*parts, *(str(each) for each in own if each != "regular"))
    for key, value in content.items():
        yield from _numbers(value, inside if key in HOLDERS else (*inside, str(key)))


def _is_named(row: object) -> bool:
    """Whether a row of a list says of itself which it is."""
    told = [row.get(key) if isinstance(row, Mapping) else getattr(row, key, None) for key in LABELS]
    return any(isinstance(text, str) for text in told)


def _is_interval(content: Sequence[object]) -> bool:
    if len(content) != 3 or not all(isinstance(each, int | float) for each in content):
        return False
    value, low, high = content
    return bool(low <= value <= high)  # type: ignore[operator]


def _interval(content: Sequence[object], parts: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    *before, last = parts or ("value",)
    for end, each in zip(("", "_low", "_high"), content, strict=True):
        yield from _numbers(each, (*before, last + end))
