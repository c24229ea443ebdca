"""Files that could not become crops, told in the cohort: the one place that may name them."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from pathlib import Path

from radboost.data.cohort import QUARANTINE
from radboost.data.folder import write_text

__all__ = ["Quarantine"]


@dataclass
class Quarantine:
    """One new file `<command>-<n>.csv` in a cohort's quarantine folder, written when there is something to tell.

    Attributes
    ----------
    cohort
        The cohort's folder; None keeps the rows in memory only.
    command
        Who tells: ``extract`` or ``crops``.
    rows
        (path, kind, reason) of each failure so far.
    """

    cohort: Path | None
    command: str = "extract"
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    _file: Path | None = None

    def add(self, rows: list[tuple[str, str, str]]) -> None:
        """Tell failures; the file on disk is replaced whole."""
        if not rows:
            return
        self.rows += rows
        if self.cohort is None:
            return
        folder = self.cohort / "quarantine"
        folder.mkdir(exist_ok=True)
        if self._file is None:
            taken = [int(m[1]) for p in folder.iterdir() if (m := re.fullmatch(rf"{self.command}-(\d+)\.csv", p.name))]
            self._file = folder / f"{self.command}-{max(taken, default=0) + 1}.csv"
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([tuple(QUARANTINE), *self.rows])
        write_text(self._file, text.getvalue())
