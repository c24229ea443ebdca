"""Files that were set aside, by reason."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath

import pandas as pd

from radboost.data.cohort import QUARANTINE, Cohort
from radboost.report.page import Cell, Item, Note, Section, Table

__all__ = ["faults_section", "files_aside", "set_aside"]

MOST = 50


def set_aside(cohort: Cohort) -> dict[str, pd.DataFrame]:
    """Give the lists of a cohort's quarantine by the command that made them.

    A list that cannot be read is left out: it is beside the point of every other part.
    """
    found = {"index": cohort.quarantine}
    folder = None if cohort.folder is None else cohort.folder / "quarantine"
    if folder is not None and folder.is_dir():
        for path in sorted(folder.glob("*.csv")):
            command = path.stem.partition("-")[0]
            if path.stem == "index":
                continue
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
            if set(QUARANTINE) <= set(table.columns):
                found[command] = pd.concat([found[command], table]) if command in found else table
    return {name: table.drop_duplicates() for name, table in found.items() if len(table)}


def files_aside(cohort: Cohort) -> int:
    """Count the files that any command set aside."""
    return len({path for table in set_aside(cohort).values() for path in table["path"]})


def faults_section(cohort: Cohort) -> tuple[Section, list[str]]:
    """Count files in quarantine by kind and reason; no reason that names its file is shown."""
    found = set_aside(cohort)
    if not found:
        return Section("Quarantine", (Note("No file was set aside."),)), []
    counts: Counter[tuple[str, str, str]] = Counter()
    for command, table in found.items():
        for path, kind, reason in table[QUARANTINE].itertuples(index=False, name=None):
            counts[command, kind, _plain(path, reason)] += 1
    rows: list[tuple[Cell, ...]] = [
        (kind, reason, command, n) for (command, kind, reason), n in counts.most_common(MOST)
    ]
    items: list[Item] = [
        Table(
            "quarantine", "Files that could not be used.", ("kind", "reason", "found by", "files"), rows, _more(counts)
        )
    ]
    files = files_aside(cohort)
    told = "One file is" if files == 1 else f"{files:,} files are"
    return Section("Quarantine", tuple(items)), [f"{told} in quarantine: see why below."]


def _plain(path: str, reason: str) -> str:
    named = PurePosixPath(path)
    return "(the reason names the file)" if any(part in reason for part in (named.name, named.stem) if part) else reason


def _more(counts: Counter[tuple[str, str, str]]) -> tuple[str, ...]:
    hidden = len(counts) - MOST
    lists = "The cohort's quarantine folder names each file."
    return (lists,) if hidden <= 0 else (f"{hidden} rarer reasons are left out. {lists}",)
