"""What a person sees: tables, progress bars, one clear line for an error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.progress import Task as BarTask
from rich.table import Table as Grid
from rich.text import Text

from radboost.errors import RadboostError

if TYPE_CHECKING:
    from radboost.report.tables import Table

__all__ = ["INTERRUPTED", "bar", "following", "next_command", "remark", "reported", "say", "show", "written"]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells count it."""

PIPE_WIDTH = 180
"""Width of a table in a pipe or a file, which have none of their own: cutting a table there would lose numbers."""

_err = Console(stderr=True, highlight=False, soft_wrap=True)


def _out() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


class _Rate(TextColumn):
    """Steps a second, once there are some."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: BarTask) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


class _Bar:
    """A progress bar with rate and time left; nothing at all where stderr is no terminal."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def start(self, what: str, total: int | None) -> None:
        """Begin a new bar below the finished ones."""
        self._task = self._bars.add_task(escape(what), total=total)

    def advance(self, steps: int = 1) -> None:
        """Move the current bar."""
        if self._task is not None:
            self._bars.advance(self._task, steps)

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(escape(text))


@contextmanager
def bar() -> Iterator[_Bar]:
    """Show progress on stderr while the block runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=_err, disable=not sys.stderr.isatty()) as bars:
        yield _Bar(bars)


@contextmanager
def reported(debug: bool, *, resumes: bool = False) -> Iterator[None]:
    """Turn an error into one line and an exit code; with `debug`, let the traceback through."""
    try:
        yield
    except RadboostError as error:
        if debug:
            raise
        _err.print(f"[bold red]error:[/] {escape(str(error))}")
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        _err.print(
            f"interrupted; {'what is finished is kept: run it again to go on' if resumes else 'nothing was kept'}"
        )
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        if debug or isinstance(error, typer.Exit):
            raise
        what = escape(f"{type(error).__name__}: {error}")
        _err.print(f"[bold red]error:[/] {what} (run with --debug for the traceback)")
        raise typer.Exit(1) from None


def say(text: str) -> None:
    """Print one line."""
    _out().print(escape(text), soft_wrap=True)


def remark(text: str) -> None:
    """Print one line on stderr, beside what the command prints."""
    _err.print(escape(text))


def show(table: Table) -> None:
    """Print a table; numbers to the right, a note below."""
    # As a line of its own: rich would wrap a title to the width of the grid.
    say(table.title)
    if not table.rows:
        return _notes(table)
    grid = Grid(show_edge=False, pad_edge=False, show_header=any(table.columns))
    for number, name in enumerate(table.columns):
        grid.add_column(escape(name), justify="left" if number == 0 or table.words else "right", overflow="fold")
    for row in table.rows:
        grid.add_row(*(escape(cell) for cell in row))
    _out().print(grid)
    return _notes(table)


def _notes(table: Table) -> None:
    for note in table.notes:
        say(note)


def written(content: object, goal: str | None, overwrite: bool) -> bool:
    """Write JSON to a file, or to stdout for ``-``; say whether stdout is still free for a table.

    Raises
    ------
    ExistsError
        The file is there, and `overwrite` is off.
    UserError
        It cannot be written.
    """
    from radboost.data.folder import write_json
    from radboost.errors import ExistsError, UserError

    if goal is None:
        return True
    if goal == "-":
        typer.echo(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False))
        return False
    path = Path(goal)
    if path.exists() and not overwrite:
        raise ExistsError("already exists", where=path, do="Choose another file, or give --overwrite to replace it")
    try:
        write_json(path, content)
    except OSError as error:
        raise UserError("cannot be written", where=path, got=error.strerror, do="Choose another file") from error
    return True


def next_command(*lines: str) -> None:
    """Say what to type next."""
    say("next: " + "\n      ".join(lines))


@contextmanager
def following(debug: bool, *, resumes: bool = False) -> Iterator[_Bar]:
    """Report errors and show progress: what every command wraps its work in; `resumes` if a second call goes on."""
    with reported(debug, resumes=resumes), bar() as progress:
        yield progress
