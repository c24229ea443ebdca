"""The tasks radboost knows by name, and the door for a user's own."""

from __future__ import annotations

from pathlib import Path

from radboost.data.task import Task
from radboost.data.tasks.cbis_ddsm import CBIS_DDSM
from radboost.data.tasks.custom import read_task
from radboost.data.tasks.rsna_breast import RSNA_BREAST
from radboost.data.tasks.rsna_ich import RSNA_ICH
from radboost.data.tasks.rsna_lumbar import RSNA_LUMBAR
from radboost.errors import TaskError

__all__ = ["TASKS", "get_task"]

TASKS: dict[str, Task] = {task.name: task for task in (RSNA_BREAST, RSNA_ICH, CBIS_DDSM, RSNA_LUMBAR)}
"""Every built-in task by its name on the command line."""


def get_task(name: str) -> Task:
    """Find a built-in task by name, or read a TOML file.

    Raises
    ------
    TaskError
        The name is unknown, or the file does not describe a task.

    >>> get_task("rsna-breast").group
    'patient_id'
    """
    if name in TASKS:
        return TASKS[name]
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        return read_task(path)
    known = ", ".join(sorted(TASKS))
    raise TaskError("unknown task", where=name, do=f"Name one of {known}, or give a TOML file that describes your own")
