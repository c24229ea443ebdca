"""The one door to experiment trackers: a run is opened before a command works, and closed with what came of it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from radboost.errors import UserError
from radboost.report.tracking.gather import Outcome

__all__ = ["TRACKERS", "Status", "Tracker", "open_tracker"]


class Status(StrEnum):
    """How a command ended, in MLflow's words."""

    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class Tracker(Protocol):
    """One run in a tracker.

    Attributes
    ----------
    place
        Where it is logged, for the person at the terminal; without credentials.
    look
        The command that shows it.
    """

    place: str
    look: str

    def log(self, outcome: Outcome) -> None:
        """Log what came of the command."""

    def close(self, status: Status) -> None:
        """End the run."""


TRACKERS: Mapping[str, str] = {
    "tensorboard": "radboost.report.tracking.tensorboard_log",
    "mlflow": "radboost.report.tracking.mlflow_log",
}
"""Name on the command line, and of the extra, to the module that writes for it."""


def open_tracker(tracker: str, command: str, options: Mapping[str, str], beside: Path, uri: str | None) -> Tracker:
    """Open a run and log a command's options.

    Parameters
    ----------
    tracker
        One of `TRACKERS`.
    command
        Name of the command.
    options
        As `settings` gives them.
    beside
        Folder in which the log lies where `uri` names no other place.
    uri
        Of MLflow ``sqlite:///FILE``, ``file:FOLDER`` or a server's ``http(s)://``; of TensorBoard a folder.

    Raises
    ------
    UserError
        There is no such tracker, its extra is not installed, or the place cannot be written or does not answer.
    """
    if tracker not in TRACKERS:
        do = f"Give {' or '.join(TRACKERS)}"
        raise UserError("is no tracker that is known", where="--track", got=tracker, do=do)
    try:
        opened: Tracker = importlib.import_module(TRACKERS[tracker]).start(command, options, beside, uri)
    except ImportError as error:
        do = f"Install it: pip install 'radboost[{tracker}]'"
        raise UserError(f"needs the extra {tracker}", where=f"--track {tracker}", got=str(error), do=do) from error
    return opened
