"""Work on this machine: independent jobs over threads, one thread each, results in the order of the jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from radboost.data.pool import available_cores
from radboost.data.progress import Progress, Silent
from radboost.errors import UserError

__all__ = ["run_jobs"]

Result = TypeVar("Result")


def run_jobs(
    jobs: Sequence[Callable[[], Result]], workers: int | None = None, progress: Progress | None = None
) -> list[Result]:
    """Run independent jobs and give their results in order.

    Every job computes with one thread, whatever the number of workers, so that sums are added up in the same order on
    every machine and a result never depends on `workers`.

    Parameters
    ----------
    jobs
        Functions without arguments. They must release the interpreter lock to gain from a second worker, which the
        numeric libraries do.
    workers
        Jobs at a time; None for one a core.
    progress
        Advanced by one a finished job.

    Raises
    ------
    UserError
        `workers` is less than 1.
    Exception
        Whatever a job raised; jobs not yet begun are then dropped.
    """
    if workers is not None and workers < 1:
        raise UserError("there must be at least one worker", where="workers", got=workers)
    bar = progress or Silent()
    count = max(1, min(workers or available_cores(), len(jobs)))
    with threadpool_limits(limits=1):
        if count == 1:
            return [_counted(job, bar) for job in jobs]
        pool = ThreadPoolExecutor(count)
        try:
            futures = [pool.submit(_counted, job, bar) for job in jobs]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            failed = [f for f in futures if f in done and f.exception() is not None]
            return [failed[0].result()] if failed else [future.result() for future in futures]
        finally:
            # Also when the user interrupts: what is in hand ends, what waits is dropped.
            pool.shutdown(wait=True, cancel_futures=True)


def _counted(job: Callable[[], Result], progress: Progress) -> Result:
    result = job()
    progress.advance()
    return result
