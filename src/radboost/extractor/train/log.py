"""What a training says while it runs, on the terminal and in a file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from radboost.data.progress import Progress

__all__ = ["LOG", "Logged"]

LOG = "log.txt"
"""Name of the file."""


class Logged:
    """Passes progress on, and writes what is begun and said into a file, which grows when a training is gone on with.

    Parameters
    ----------
    progress
        Who listens.
    file
        Where the lines go, each with its time (UTC). They name no file and no patient.
    """

    def __init__(self, progress: Progress, file: Path) -> None:
        self._progress, self._file = progress, file

    def start(self, what: str, total: int | None) -> None:
        """Begin a piece of work."""
        self._write(what if total is None else f"{what}: {total:,} steps")
        self._progress.start(what, total)

    def advance(self, steps: int = 1) -> None:
        """Count finished steps."""
        self._progress.advance(steps)

    def say(self, text: str) -> None:
        """Tell one line."""
        self._write(text)
        self._progress.say(text)

    def _write(self, text: str) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n")
