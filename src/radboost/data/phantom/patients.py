"""A phantom cohort is written patient by patient, in this process or in several: the files do not depend on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from radboost.data.pool import Failed, Limits, Pool, available_cores
from radboost.errors import ExistsError, RadboostError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Rows", "each_patient", "open_truth", "write_asked"]

Rows = list[dict[str, object]]
"""Rows of a table to be."""
Value = TypeVar("Value")
_SECONDS_A_PATIENT = 600.0


def open_truth(table: Path) -> Path:
    """Make the folder for what no task reads, beside a table that must not be there yet; give its path.

    Raises
    ------
    ExistsError
        When the table is there: it is written last, so a whole phantom is.
    """
    if table.exists():
        msg = "a phantom cohort is already there"
        raise ExistsError(msg, where=table, do="Give another folder, or remove this one first.")
    truth = table.parent / "truth"
    truth.mkdir(parents=True, exist_ok=True)
    return truth


def write_asked(truth: Path, phantom: DataclassInstance) -> None:
    """Keep what was asked for beside the truth, as ``phantom.json``."""
    content: dict[str, Any] = asdict(phantom)
    (truth / "phantom.json").write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", "utf-8")


def each_patient(write: Callable[[int], Value], patients: int, workers: int | None, folder: Path) -> Iterator[Value]:
    """Write patients 0 to ``patients`` - 1 and yield what ``write`` gives for each, in order.

    Parameters
    ----------
    write
        Writes one patient; must pickle when ``workers`` is not 1.
    patients
        How many, at least 1.
    workers
        Processes; None for one a core.
    folder
        Where the files go, for the error alone.

    Raises
    ------
    RadboostError
        When a worker could not write a patient.
    """
    count = min(workers or available_cores(), patients)
    if count == 1:
        yield from map(write, range(patients))
        return
    with Pool(count, Limits(seconds=_SECONDS_A_PATIENT)) as pool:
        for result in pool.map(write, range(patients)):
            if isinstance(result, Failed):
                msg = f"phantom patient {result.job} could not be written: {result.reason}"
                raise RadboostError(msg, where=folder, do="Look at the free disk space and the rights of this folder.")
            yield result.value
