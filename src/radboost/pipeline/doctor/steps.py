"""Probes run one after the other in a process of their own: what ends it costs one line of the report."""

from __future__ import annotations

import contextlib
import importlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection

from radboost.data.probe import Probe, State

__all__ = ["Step", "run_apart", "run_here"]

PATIENCE_S = 120.0
"""How long one step may take: a cold import of torch from a network disk takes a minute."""

UNTOLD = {"MLFLOW_DISABLE_TELEMETRY": "true", "RAY_USAGE_STATS_ENABLED": "0", "DO_NOT_TRACK": "1"}
"""Some libraries tell their makers that they were imported; a report that nobody sent is no reason to."""


@dataclass(frozen=True)
class Step:
    """One probe to run.

    Attributes
    ----------
    area, name
        How its failure is called in the report.
    function
        ``package.module:name`` of what returns a list of `Probe`, imported where it runs.
    arguments
        Of the function.
    needed
        Whether radboost, or what was asked for, fails where it fails.
    """

    area: str
    name: str
    function: str
    arguments: tuple[object, ...] = ()
    needed: bool = False

    def failed(self, reason: str) -> list[Probe]:
        """Give the line that says so."""
        return [Probe(self.area, self.name, State.broken, reason, needed=self.needed)]


def run_here(step: Step) -> list[Probe]:
    """Run one step in this process; what it raises is its finding."""
    module, _, name = step.function.partition(":")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function: Callable[..., list[Probe]] = getattr(importlib.import_module(module), name)
            return function(*step.arguments)
    except Exception as error:  # a library that does not fit another may raise anything, and that is what is asked
        text = str(error).splitlines()[0][:200] if str(error) else ""
        return step.failed(f"{type(error).__name__}: {text}")


def run_apart(steps: Sequence[Step], patience_s: float = PATIENCE_S) -> Iterator[list[Probe]]:
    """Run steps in another process, in order; one that kills it or hangs is told, and the next go on in a fresh one.

    Parameters
    ----------
    steps
        What to run. They share the process, as the libraries do in earnest.
    patience_s
        How long each may take, seconds.

    Yields
    ------
    list of Probe
        What each step found, in order.
    """
    context, left = get_context("spawn"), list(steps)
    while left:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_serve, args=(left, theirs), daemon=True)
        process.start()
        theirs.close()
        try:
            while left:
                if not ours.poll(patience_s):
                    yield left.pop(0).failed(f"gave no answer in {patience_s:g} s")
                    break
                # Raises EOFError where the process is gone.
                found = ours.recv()
                left.pop(0)
                yield found
        except EOFError:
            process.join()
            yield left.pop(0).failed(f"ended the process that tried it{_signal(process.exitcode)}")
        finally:
            process.kill()
            process.join()
            ours.close()


def _serve(steps: Sequence[Step], pipe: Connection) -> None:
    os.environ.update(UNTOLD)
    # Libraries print at will, C libraries past Python's own streams; the report is none of theirs.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    for step in steps:
        pipe.send(run_here(step))
    pipe.close()
    with contextlib.suppress(Exception):
        # Ray and CUDA tidy up for seconds; nothing here needs it.
        os._exit(0)


def _signal(code: int | None) -> str:
    return f" (signal {-code})" if code is not None and code < 0 else f" (exit code {code})"
