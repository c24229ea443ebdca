"""A supervised pool: files that hang, crash a decoder or ask for all the memory cost one item each, never the run.

Jobs run in processes that import no torch: copies of one that was started clean and has imported what they need, so
that a worker stands in a hundredth of a second (docs/adr/0008). Pixels come back through shared memory, small values
through a pipe. The supervising itself (time limits, replacing dead workers) is pebble's.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import forkserver, get_context
from multiprocessing.context import BaseContext
from types import TracebackType
from typing import Any, Generic, TypeVar

import numpy as np
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from radboost.data.worker import THREADS, Slots, slot_of, start_worker, work
from radboost.errors import RadboostError

__all__ = ["Done", "Failed", "Limits", "Pool", "available_cores"]

J = TypeVar("J")
V = TypeVar("V")

# Seconds between two looks at a pool that is waited for; and, beyond a job's own time limit, for starting a worker.
_WATCH_S = 1.0
_PATIENCE_S = 120.0
# What jobs are made of. A module that cannot be imported there is imported by the worker, which then says why.
_IMPORTED = ("radboost.data.look", "radboost.data.render")
# How often in a row, without one finished job in between, a broken pool is built anew before we give up.
_REBUILDS = 3


def available_cores() -> int:
    """Cores that this process may use, which in a container or a cluster job are fewer than the machine has."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


@dataclass(frozen=True)
class Limits:
    """What one job may use.

    Attributes
    ----------
    seconds
        Wall time of one job.
    memory_bytes
        Address space beyond what the worker holds when it starts. Kept by the system where it can (Linux);
        a job that wants more fails and the others go on.
    """

    seconds: float = 60.0
    memory_bytes: int = 6 << 30


@dataclass(frozen=True)
class Done(Generic[J, V]):
    """A finished job.

    Attributes
    ----------
    job
        The job.
    value
        What the function returned.
    pixels
        What the function wrote, uint16 of the pool's slot shape; a view that is valid until the next result
        is asked for. None in a pool without slots.
    seconds
        Wall time in the worker.
    worker
        Its process id.
    peak_bytes
        Most memory that it ever held; 0 where the system does not tell.
    """

    job: J
    value: V
    pixels: np.ndarray | None
    seconds: float
    worker: int = 0
    peak_bytes: int = 0


@dataclass(frozen=True)
class Failed(Generic[J]):
    """A job that gave no result.

    Attributes
    ----------
    job
        The job.
    reason
        What happened, for people; names no file.
    kind
        ``unreadable`` or ``not an image`` (the file's fault, told by the function), ``time limit``, ``memory``,
        ``crashed`` (the worker died), or ``unexpected`` (the function raised something unforeseen).
    """

    job: J
    reason: str
    kind: str


@dataclass
class _Pending(Generic[J]):
    job: J
    slot: int
    future: ProcessFuture[Any]


class Pool:
    """Supervised workers; a context manager.

    Parameters
    ----------
    workers
        Number of processes.
    limits
        What one job may use.
    slot_shape
        Shape of the uint16 array that each job fills; without it jobs return values only.
    ahead
        Most jobs in flight, twice the workers by default: it bounds the memory, however many jobs come.
    """

    def __init__(
        self,
        workers: int,
        limits: Limits = Limits(),
        slot_shape: tuple[int, ...] | None = None,
        ahead: int | None = None,
    ) -> None:
        if workers < 1 or (ahead is not None and ahead < 1):
            msg = f"workers and ahead must be at least 1, got {workers} and {ahead}"
            raise ValueError(msg)
        self._workers = workers
        self._limits = limits
        self._shape = slot_shape
        self._ahead = 2 * workers if ahead is None else ahead
        self._memory: Slots | None = None
        self._pool: ProcessPool | None = None

    def __enter__(self) -> Pool:
        if self._shape is not None:
            # One slot more than jobs in flight: the result that the caller looks at keeps its own.
            size = 2 * int(np.prod(self._shape, dtype=np.int64)) * (self._ahead + 1)
            try:
                self._memory = Slots(create=True, size=size)
            except OSError as error:
                raise RadboostError(
                    "the shared memory for crops cannot be had",
                    got=f"{size:,} bytes: {error.strerror}",
                    do="Use fewer workers or a smaller crop size.",
                ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        if self._memory is not None:
            self._memory.close()
            self._memory.unlink()
            self._memory = None

    def map(self, function: Callable[..., V], jobs: Iterable[J]) -> Iterator[Done[J, V] | Failed[J]]:
        """Run a function over jobs and give the results in the order of the jobs.

        Parameters
        ----------
        function
            Called as ``function(job)``, or ``function(job, out=slot)`` in a pool with slots; importable by name, or a
            partial of such a function.
        jobs
            As many as you like, also without end: each is taken when there is room for it.

        Yields
        ------
        Done or Failed
            One for each job.

        Raises
        ------
        UserError
            When the function raises one: the request is wrong, not a file.
        RadboostError
            When workers cannot be kept alive.
        """
        if self._shape is not None and self._memory is None:
            msg = "a pool with slots is used within a with statement"
            raise RuntimeError(msg)
        source = iter(jobs)
        free = deque(range(self._ahead + 1))
        pending: deque[_Pending[J]] = deque()
        rebuilds = 0
        finished = False
        try:
            while True:
                while len(pending) < self._ahead and free:
                    job = next(source, _END)
                    if job is _END:
                        break
                    slot = free.popleft()
                    pending.append(_Pending(job, slot, self._schedule(function, job, slot)))  # type: ignore[arg-type]
                if not pending:
                    finished = True
                    return
                first = pending[0]
                try:
                    outcome: Any = self._await(first.future)
                except BaseException as error:
                    outcome = self._failure(first.job, error)
                if outcome is None:
                    rebuilds += 1
                    self._rebuild(function, pending, rebuilds)
                    continue
                rebuilds = 0
                pending.popleft()
                yield outcome if isinstance(outcome, Failed) else self._done(first, outcome)
                free.append(first.slot)
        finally:
            if not finished:
                # The caller left early or something broke: what still runs must not write into a slot later.
                self._stop()

    def _schedule(self, function: Callable[..., V], job: J, slot: int) -> ProcessFuture[Any]:
        if self._pool is None:
            name = None if self._memory is None else self._memory.name
            self._pool = ProcessPool(
                max_workers=self._workers,
                initializer=start_worker,
                initargs=(name, self._shape, self._limits.memory_bytes),
                context=_context(),
            )
        try:
            return self._pool.schedule(work, args=(function, job, slot), timeout=self._limits.seconds)
        except RuntimeError as error:  # the pool broke since the last result
            failed: ProcessFuture[Any] = ProcessFuture()
            failed.set_exception(BrokenProcessPool(str(error)))
            return failed

    def _await(self, future: ProcessFuture[Any]) -> Any:
        """Wait for a result and watch the pool: a job handed over while it broke is never told of."""
        last = time.monotonic() + self._limits.seconds + _PATIENCE_S
        while True:
            try:
                return future.result(_WATCH_S)
            except TimeoutError:
                if future.done():
                    return future.result()
                # All jobs before it are done, so it runs, or will as soon as its worker stands.
                if self._pool is None or not self._pool.active or time.monotonic() > last:
                    raise BrokenProcessPool("a job was lost") from None

    def _failure(self, job: J, error: BaseException) -> Failed[J] | None:
        """Translate what a future raised; None when the pool itself is broken."""
        if isinstance(error, BrokenProcessPool | CancelledError):
            return None
        if isinstance(error, TimeoutError):
            return Failed(job, f"not done within the time limit of {self._limits.seconds:g} s", "time limit")
        if isinstance(error, ProcessExpired):
            return Failed(job, f"the worker process died ({_cause(error.exitcode)}); it was replaced", "crashed")
        raise error

    def _done(self, pending: _Pending[J], outcome: Any) -> Done[J, Any] | Failed[J]:
        if outcome.failure is not None:
            return Failed(pending.job, *outcome.failure)
        pixels = None
        if self._memory is not None and self._shape is not None:
            pixels = slot_of(self._memory, self._shape, pending.slot)
        return Done(pending.job, outcome.value, pixels, outcome.seconds, outcome.worker, outcome.peak_bytes)

    def _rebuild(self, function: Callable[..., V], pending: deque[_Pending[J]], rebuilds: int) -> None:
        """Start new workers and give them what the broken pool had not finished."""
        self._stop()
        if rebuilds > _REBUILDS:
            raise RadboostError(
                "worker processes give no results",
                got=f"{rebuilds} times in a row",
                do="Look at the messages above, raise the memory limit or use fewer workers.",
            )
        for item in pending:
            if not item.future.done() or item.future.cancelled() or item.future.exception() is not None:
                item.future = self._schedule(function, item.job, item.slot)

    def _stop(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()


def _context() -> BaseContext:
    """How workers are started: forked from a clean process where that can be had (Linux), else spawned."""
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        # Does nothing where it runs already.
        forkserver.ensure_running()
    except OSError:  # such as a temporary folder whose name is longer than a socket's may be
        return get_context("spawn")
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return context


_END = object()


def _cause(code: int) -> str:
    # A negative exit code is the signal that ended the process; 9 is what the system sends when memory is out.
    return {-9: "killed by the system, often for lack of memory", -11: "segmentation fault"}.get(
        code, f"signal {-code}" if code < 0 else f"exit code {code}"
    )
