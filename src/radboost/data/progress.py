"""How long work tells where it stands, without knowing who listens."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """What a stage calls while it works; a terminal bar and a notebook widget both fit."""

    def start(self, what: str, total: int | None) -> None:
        """Begin a piece of work of `total` steps (None: not known yet)."""

    def advance(self, steps: int = 1) -> None:
        """Count finished steps."""

    def say(self, text: str) -> None:
        """Tell one line that matters to the person who waits."""


class Silent:
    """Nobody listens."""

    def start(self, what: str, total: int | None) -> None:
        """Ignore."""

    def advance(self, steps: int = 1) -> None:
        """Ignore."""

    def say(self, text: str) -> None:
        """Ignore."""
