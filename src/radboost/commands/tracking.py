"""`--track`, which every command that makes something has: what was asked, what came of it, and pages, to a tracker."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from radboost.commands.console import INTERRUPTED, remark, reported

if TYPE_CHECKING:
    from radboost.report.tracking import Outcome, Status, Tracker

__all__ = ["noted", "tracked"]

Track = Annotated[
    str | None, typer.Option("--track", help="Log settings, numbers and pages: tensorboard or mlflow (extras).")
]
TrackUri = Annotated[str | None, typer.Option("--track-uri", help="Where to. [default: beside --out, on this machine]")]


@dataclass
class _Notes:
    """What a command told while it ran."""

    numbers: dict[str, object] = field(default_factory=dict)
    pages: list[Path] = field(default_factory=list)


_NOTES: ContextVar[_Notes | None] = ContextVar("notes", default=None)


def noted(numbers: Mapping[str, object] | None = None, pages: Iterable[Path] = ()) -> None:
    """Tell the tracker, if there is one, of numbers and pages that the result at ``--out`` does not hold by itself.

    Parameters
    ----------
    numbers
        Nested as JSON; see `radboost.report.tracking.flat_numbers`.
    pages
        HTML pages and pictures.
    """
    notes = _NOTES.get()
    if notes is not None:
        notes.numbers.update(numbers or {})
        notes.pages.extend(pages)


def tracked(name: str, command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options ``--track`` and ``--track-uri``.

    The run is opened before the work begins, so that a tracker that cannot be had costs nothing but a message. One that
    fails at the end costs a message too, and never the result.

    Parameters
    ----------
    name
        Of the command.
    command
        A typer command with the option ``debug``.
    """
    signature = inspect.signature(command, eval_str=True)
    more = [
        inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for option, annotation in (("track", Track), ("track_uri", TrackUri))
    ]

    @functools.wraps(command)
    def run(*given: Any, track: str | None = None, track_uri: str | None = None, **named: Any) -> None:
        bound = signature.bind(*given, **named)
        bound.apply_defaults()
        options, debug = bound.arguments, bool(bound.arguments.get("debug", False))
        if track is None:
            with reported(debug):
                _refuse_alone(track_uri)
            return command(*given, **named)
        out = options.get("out")
        with reported(debug):
            from radboost.report.tracking import open_tracker, settings

            beside = out.parent if isinstance(out, Path) else Path()
            tracker = open_tracker(track, name, settings(options), beside, track_uri)
        return _follow(functools.partial(command, *given, **named), tracker, name, out)

    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *more])  # type: ignore[attr-defined]
    return run


def _refuse_alone(track_uri: str | None) -> None:
    if track_uri is not None:
        from radboost.errors import UserError

        raise UserError("says where to log, and nothing is logged", where="--track-uri", do="Give --track as well")


def _follow(work: Callable[[], None], tracker: Tracker, name: str, out: Path | None) -> None:
    """Run a command and close its run in the tracker, however it ends."""
    from radboost.report.tracking import Status

    notes, status = _Notes(), Status.FAILED
    token = _NOTES.set(notes)
    try:
        work()
        status = Status.FINISHED
    except typer.Exit as leaving:
        ended = {0: Status.FINISHED, INTERRUPTED: Status.KILLED}
        status = ended.get(leaving.exit_code, Status.FAILED)
        raise
    except KeyboardInterrupt:
        status = Status.KILLED
        raise
    finally:
        _NOTES.reset(token)
        _close(tracker, status, functools.partial(_outcome, name, out, notes))


def _outcome(name: str, out: Path | None, notes: _Notes) -> Outcome:
    from radboost.report.tracking import flat_numbers, gather

    found = gather(name, out)
    pages = {f"{name}-{number}{path.suffix.lower()}": path for number, path in enumerate(notes.pages, 1)}
    return replace(found, metrics={**found.metrics, **flat_numbers(notes.numbers)}, pages={**found.pages, **pages})


def _close(tracker: Tracker, status: Status, outcome: Callable[[], Outcome]) -> None:
    try:
        if status == "FINISHED":
            tracker.log(outcome())
        tracker.close(status)
    except KeyboardInterrupt:
        remark(f"interrupted while logging to {tracker.place}; the result itself is whole")
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:  # a tracker may raise anything; none of it is worth the hours that the result took
        reason = str(error).splitlines()[0][:200] if str(error) else ""
        remark(f"not all was logged to {tracker.place}: {type(error).__name__}: {reason}; the result itself is whole")
    else:
        if status == "FINISHED":
            remark(f"logged to {tracker.place}; to look at it: {tracker.look}")
