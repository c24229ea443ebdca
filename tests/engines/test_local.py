"""Jobs on threads: results in order, errors not swallowed."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from radboost.engines.local import run_jobs
from radboost.errors import UserError


@pytest.mark.parametrize("workers", [1, 2, 5, None])
def test_results_keep_the_order_of_the_jobs(workers: int | None) -> None:
    first = threading.Event()

    def job(number: int) -> int:
        if workers in (2, 5):
            # The first job ends after the second began, so that order cannot come from the clock.
            first.wait(10) if number == 0 else first.set()
        return number * number

    assert run_jobs([partial(job, i) for i in range(6)], workers) == [0, 1, 4, 9, 16, 25]


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_reaches_the_caller_as_it_was(workers: int) -> None:
    def fail() -> None:
        raise UserError("no", got=3)

    with pytest.raises(UserError, match="got 3"):
        run_jobs([lambda: None, fail, lambda: None], workers)


def test_progress_counts_finished_jobs() -> None:
    class Count:
        steps = 0

        def start(self, what: str, total: int | None) -> None: ...

        def advance(self, steps: int = 1) -> None:
            self.steps += steps

        def say(self, text: str) -> None: ...

    count = Count()
    run_jobs([int] * 7, 2, count)
    assert count.steps == 7


def test_no_jobs_and_no_workers() -> None:
    assert run_jobs([]) == []
    with pytest.raises(UserError, match="at least one worker"):
        run_jobs([int], 0)
