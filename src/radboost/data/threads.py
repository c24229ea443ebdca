"""The pool's contract with threads of this process, for decoding on a GPU, whose context no other process shares.

Nothing supervises: time and memory limits are not kept, and a decoder that crashes ends the run. What was finished
before is kept, as ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from radboost.data.pool import Done, Failed
from radboost.data.worker import Outcome, run

__all__ = ["Threads"]

J = TypeVar("J")
V = TypeVar("V")


class Threads:
    """Threads that fill slots; a context manager.

    Parameters
    ----------
    workers
        Number of threads.
    slot_shape
        Shape of the uint16 array that each job fills.
    ahead
        Most jobs in flight.
    """

    def __init__(self, workers: int, slot_shape: tuple[int, ...], ahead: int) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        self._slots = [np.zeros(slot_shape, np.uint16) for _ in range(ahead + 1)]
        self._ahead = ahead

    def __enter__(self) -> Threads:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def map(self, function: Callable[..., V], jobs: Iterable[J]) -> Iterator[Done[J, V] | Failed[J]]:
        """Run a function over jobs and give the results in the order of the jobs; see `radboost.data.pool.Pool.map`."""
        source = iter(jobs)
        free = deque(range(self._ahead + 1))
        pending: deque[tuple[J, int, Future[Outcome[V]]]] = deque()
        while True:
            while len(pending) < self._ahead and (job := next(source, _END)) is not _END:
                slot = free.popleft()
                future = self._threads.submit(run, function, job, self._slots[slot])
                pending.append((job, slot, future))  # type: ignore[arg-type]
            if not pending:
                return
            first, slot, future = pending.popleft()
            outcome = future.result()
            if outcome.failure is not None:
                yield Failed(first, *outcome.failure)
            else:
                value: Any = outcome.value
                yield Done(first, value, self._slots[slot], outcome.seconds, outcome.worker, outcome.peak_bytes)
            free.append(slot)


_END = object()
