"""What runs in a worker process: one job at a time, under a memory limit, pixels into shared memory."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from radboost.errors import PixelError, UserError

__all__ = ["THREADS", "Outcome", "Slots", "peak_bytes", "run", "slot_of", "start_worker", "work"]

V = TypeVar("V")

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What numeric libraries ask for their number of threads, when they are imported."""


class Slots(SharedMemory):
    """Shared memory that can be given up while a reader still holds a view of it."""

    def close(self) -> None:
        """Close it, or leave that to the last view."""
        with suppress(BufferError):  # then the mapping goes when the last view goes
            super().close()


def slot_of(memory: SharedMemory, shape: tuple[int, ...], index: int) -> np.ndarray:
    """Give one slot as a uint16 array of `shape`, a view of the shared memory."""
    size = 2 * int(np.prod(shape, dtype=np.int64))
    return np.ndarray(shape, np.uint16, buffer=memory.buf, offset=index * size)


# What a worker process knows; set once by its initialiser, never in the parent.
_memory: SharedMemory | None = None
_shape: tuple[int, ...] = ()


def start_worker(name: str | None, shape: tuple[int, ...] | None, memory_bytes: int) -> None:
    """Prepare a worker: threads, memory limit, shared memory. pebble has it ignore Ctrl-C already."""
    global _memory, _shape
    for variable in THREADS:
        os.environ[variable] = "1"
    if name is not None and shape is not None:
        # Attaching registers the name a second time with the parent's resource tracker, which keeps a set:
        # the parent's unlink clears it. The parent stops all workers before that.
        _memory, _shape = Slots(name), shape
    if sys.platform == "linux":
        import resource

        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + memory_bytes, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@dataclass(frozen=True)
class Outcome(Generic[V]):
    """What one job gave.

    Attributes
    ----------
    value
        What the function returned; None where it failed.
    failure
        (reason, kind), or None.
    seconds
        Wall time.
    worker
        Process or thread id.
    peak_bytes
        Most memory that the worker ever held; 0 where the system does not tell.
    """

    value: V | None
    failure: tuple[str, str] | None
    seconds: float
    worker: int
    peak_bytes: int


def work(function: Callable[..., V], job: object, slot: int) -> Outcome[V]:
    """Run one job in the worker; what a bad file may raise comes back as a failure."""
    return run(function, job, None if _memory is None else slot_of(_memory, _shape, slot))


def run(function: Callable[..., V], job: object, out: np.ndarray | None) -> Outcome[V]:
    """Run one job here; `work` without the worker."""
    begun = time.perf_counter()
    value, failure = None, None
    try:
        value = function(job) if out is None else function(job, out=out)
    except UserError:
        raise
    except PixelError as error:
        # Without the file's name, which the job carries: reasons may be printed.
        plain = str(PixelError(error.what, got=error.got, do=error.do))
        failure = plain, getattr(error, "kind", "unreadable")
    except MemoryError:
        failure = "more memory is needed than the limit allows", "memory"
    except Exception as error:  # one odd file must not end the run; a fault in our code shows by its count
        failure = f"{type(error).__name__}: {error}", "unexpected"
    return Outcome(value, failure, time.perf_counter() - begun, threading.get_native_id(), peak_bytes())


def peak_bytes() -> int:
    """Most memory that this process ever held, bytes; 0 where the system does not tell."""
    try:
        # Not getrusage, whose figure a started process inherits from the one that started it.
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    except (OSError, StopIteration):
        return 0
