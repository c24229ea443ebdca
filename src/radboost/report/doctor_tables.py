"""The report of `radboost doctor` as tables, one an area."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from radboost.data.probe import State
from radboost.report.tables import Table

if TYPE_CHECKING:
    from radboost.pipeline.doctor.examine import Report

__all__ = ["doctor_tables"]

EXTRAS = "extra "


def doctor_tables(report: Report) -> Iterator[Table]:
    """Give a table an area, extras in one, and what it all comes to."""
    areas: dict[str, list[tuple[str, ...]]] = {}
    for probe in report.probes:
        extra = probe.area.removeprefix(EXTRAS) if probe.area.startswith(EXTRAS) else ""
        name = f"{extra}: {probe.name}" if extra else probe.name
        areas.setdefault("extras" if extra else probe.area, []).append((name, probe.state, probe.detail, probe.do))
    for area, rows in areas.items():
        yield Table(area, ("", "", "", ""), tuple(rows), words=True)
    broken = [probe for probe in report.probes if probe.state is State.broken]
    needed = [probe.name for probe in broken if probe.needed]
    notes = [f"{probe.name}: {probe.detail}" for probe in report.probes if probe.state is State.note]
    if needed:
        title = f"broken, and needed: {', '.join(needed)}"
    elif broken:
        title = f"all that is needed works; broken, and not needed: {', '.join(probe.name for probe in broken)}"
    else:
        title = "all that is needed works"
    yield Table(title, (), (), tuple(f"look at {note}" for note in notes))
