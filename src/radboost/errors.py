"""Every error that radboost raises on purpose.

::

    RadboostError                 exit code 1: something failed
    ├── FormatError               a result on disk is damaged or of another format
    ├── PixelError                one file cannot become pixels; goes to quarantine, never ends a run
    ├── SolverError               an optimum could not be certified
    └── UserError                 exit code 2: the request cannot be met as it stands
        ├── TaskError             a task's name or file
        ├── TableError            a table's columns or values
        ├── ExistsError           a result is already there
        ├── MismatchError         two results do not belong together
        ├── LeakError             a score would be judged on what it was fitted on
        └── WeightsError          a backbone's weights cannot be had

A message says what is wrong, where, the value got, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = [
    "ExistsError",
    "FormatError",
    "LeakError",
    "MismatchError",
    "PixelError",
    "RadboostError",
    "SolverError",
    "TableError",
    "TaskError",
    "UserError",
    "WeightsError",
    "offenders",
]


class RadboostError(Exception):
    """The root of the tree: catch this to catch all that radboost raises on purpose.

    Parameters
    ----------
    what
        What is wrong, one clause without a full stop.
    where
        The file, table or option at fault.
    got
        The value found there.
    do
        What the reader can do about it.
    """

    exit_code = 1

    def __init__(
        self, what: str, *, where: str | Path | None = None, got: object = None, do: str | None = None
    ) -> None:
        self.what, self.where, self.got, self.do = what, where, got, do
        super().__init__(self._message())

    def _message(self) -> str:
        text = self.what if self.where is None else f"{self.where}: {self.what}"
        if self.got is not None:
            text += f" (got {self.got})"
        return text if self.do is None else f"{text}. {self.do}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only parts would be lost on the way back from a worker process.
        return (_rebuild, (type(self), self.what, self.where, self.got, self.do))


def _rebuild(
    kind: type[RadboostError], what: str, where: str | Path | None, got: object, do: str | None
) -> RadboostError:
    return kind(what, where=where, got=got, do=do)


class FormatError(RadboostError):
    """A result on disk is damaged, incomplete, or of a format this version does not read."""


class PixelError(RadboostError):
    """One file cannot become pixels. Its reason is written to quarantine and the run goes on."""


class SolverError(RadboostError):
    """An optimum could not be certified, so no answer is given."""


class UserError(RadboostError):
    """The request cannot be met as it stands; changing the request helps."""

    exit_code = 2


class TaskError(UserError):
    """A task's name is unknown, or its TOML file does not describe a task."""


class TableError(UserError):
    """A table lacks a column or holds a value that the task does not allow."""


class ExistsError(UserError):
    """A result is already there and ``--overwrite`` was not given."""


class MismatchError(UserError):
    """Two results do not belong together: another cohort, other folds, another fingerprint."""


class LeakError(UserError):
    """A score would be judged on something it was fitted on."""


class WeightsError(UserError):
    """A backbone's weights are neither given, nor cached, nor reachable."""


def offenders(values: Sequence[object], limit: int = 5) -> str:
    """First few offending values and how many there are.

    >>> offenders(["a", "b", "c"], limit=2)
    'a, b, ... (3 in all)'
    >>> offenders([7])
    '7'
    """
    shown = ", ".join(str(v) for v in values[:limit])
    return shown if len(values) <= limit else f"{shown}, ... ({len(values)} in all)"
