"""What a phantom may be asked for: ranges of its fields, told alike by all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from radboost.errors import UserError

__all__ = ["Checks", "check_ranges", "is_mix", "share"]

Checks = Mapping[str, tuple[bool, str]]
"""By field: whether its value is good, and what to give instead."""


def check_ranges(phantom: object, checks: Checks) -> None:
    """Check the fields of a phantom; its seed, and the number of its first patient or study, are checked as well.

    Raises
    ------
    UserError
        A value is not good.
    """
    numbers = {"seed": "a seed", "first_patient": "an index", "first_study": "an index"}
    there = {name: what for name, what in numbers.items() if hasattr(phantom, name)}
    whole = {name: (getattr(phantom, name) >= 0, f"Give {what} of at least 0.") for name, what in there.items()}
    for name, (good, advice) in {**whole, **checks}.items():
        if not good:
            where = f"{type(phantom).__name__}.{name}"
            raise UserError("value out of range", where=where, got=getattr(phantom, name), do=advice)


def share(value: float, of: str) -> tuple[bool, str]:
    """Check a share, 0 to 1, of what `of` names."""
    return 0 <= value <= 1, f"Give the share of {of}, 0 to 1."


def is_mix(mix: Mapping[Any, float], known: Collection[Any]) -> bool:
    """Whether a mix has shares of at least 0, not all 0, of what is known."""
    return bool(mix) and set(mix) <= set(known) and min(mix.values()) >= 0 and sum(mix.values()) > 0
