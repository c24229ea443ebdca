"""Read the headers of many files in the supervised pool; what cannot be read is set aside with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from radboost.data.cohort import QUARANTINE
from radboost.data.dicom import Header
from radboost.data.look import look
from radboost.data.pool import Done, Failed, Limits, Pool, available_cores
from radboost.data.progress import Progress

__all__ = ["Scan", "scan"]


@dataclass
class Scan:
    """What a scan found.

    Attributes
    ----------
    headers
        Header by path, in the order asked for; None for PNG, JPEG, TIFF and PGM.
    marks
        What tells each image's content from another's, by path.
    bad
        Triples (path, kind, reason) of files to set aside.
    skipped
        Kind of each file that is no image, by path.
    """

    headers: dict[str, Header | None] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    bad: list[tuple[str, str, str]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def quarantine(self) -> pd.DataFrame:
        """The files set aside as a table."""
        return pd.DataFrame(self.bad, columns=QUARANTINE)


def scan(root: Path, paths: Sequence[str], workers: int | None, limits: Limits, progress: Progress) -> Scan:
    """Read the header of every path below `root`; at most a few files are in flight at any time."""
    found = Scan()
    progress.start("reading headers", len(paths))
    with Pool(workers or available_cores(), limits) as pool:
        for outcome in pool.map(partial(look, root=str(root)), paths):
            if isinstance(outcome, Failed):
                found.bad.append((outcome.job, outcome.kind, outcome.reason))
            elif isinstance(outcome, Done):
                if outcome.value.kind == "image":
                    found.headers[outcome.job] = outcome.value.header
                    found.marks[outcome.job] = outcome.value.mark
                else:
                    found.skipped[outcome.job] = outcome.value.kind
            progress.advance()
    return found
