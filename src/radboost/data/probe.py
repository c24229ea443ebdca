"""What was found out about one part of the installation: handed up from every room to `radboost doctor`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

__all__ = ["Probe", "State"]


class State(StrEnum):
    """How a part is."""

    works = "works"
    """It was tried, or is what it should be."""
    note = "note"
    """It does, but a reader should look at it."""
    absent = "absent"
    """It is not there, and nothing that is there needs it."""
    broken = "broken"
    """It is there, or ought to be, and cannot be used."""


@dataclass(frozen=True)
class Probe:
    """One line of the report. It names no user, no machine and no folder that was not asked about.

    Attributes
    ----------
    area
        Part of the installation, as ``libraries`` or ``codecs``.
    name
        What was looked at.
    state
        How it is.
    detail
        Version, numbers, or the reason.
    do
        What to do, or what an absent part would add; empty where there is nothing to.
    needed
        Whether radboost, or what was asked for, fails without it.
    """

    area: str
    name: str
    state: State
    detail: str = ""
    do: str = ""
    needed: bool = False

    def to_dict(self) -> dict[str, object]:
        """Give it as JSON-able values."""
        return {**asdict(self), "state": self.state.value}
