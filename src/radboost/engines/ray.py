"""Work on the nodes of a Ray cluster: workers that are built once and take tasks in turn.

A task is done when its result is here. What a lost node had in hand, or had done and not yet sent, is done again on
another; results come in the order of the tasks whatever happens to nodes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from radboost.engines.cluster import Cluster, Needs, translated
from radboost.errors import RadboostError

__all__ = ["ActorPool", "Worker"]

Task = TypeVar("Task")
Result = TypeVar("Result")
TaskIn = TypeVar("TaskIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)

QUEUED = 2
"""Tasks an actor has at most: one in hand, one that waits, so that it never waits for us."""
WINDOW = 3
"""Tasks an actor, on average, that were handed out and whose results were not taken: it bounds the memory, and lets a
node be three times as fast as the slowest."""
TRIES = 4
"""A task that this many actors died of is at fault itself."""
PATIENCE_S = 300.0
"""How long no actor may be there before we give up: a cluster that grows on demand takes minutes."""
_WATCH_S = 1.0
_FAREWELL_S = 10.0
_LEAVE = "leave"


class Worker(Protocol[TaskIn, ResultOut]):
    """What lives in an actor."""

    def describe(self) -> Any:
        """Tell what was built, for `ActorPool`'s check."""

    def __call__(self, task: TaskIn) -> ResultOut:
        """Do one task; the result is not None."""

    def close(self) -> None:
        """Give back what is held: processes, shared memory; may come in the middle of a task, from another thread."""


class _Actor:
    """Runs on a node. Built by a call, so that what fails comes back as an error and not as a death."""

    def build(self, make: Callable[[], Any]) -> Any:
        self._worker = make()
        return self._worker.describe()

    def run(self, task: Any) -> Any:
        return self._worker(task)

    def close(self) -> None:
        self._worker.close()


@dataclass(eq=False)
class _Job(Generic[Task, Result]):
    """A task on its way."""

    task: Task
    ref: Any = None
    tries: int = 0
    result: Result | None = None
    error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.error is not None or self.result is not None


@dataclass(eq=False)
class _Host(Generic[Task, Result]):
    """An actor as seen from here; `ready` is what `build` will tell."""

    handle: Any
    ready: Any
    up: bool = False
    jobs: deque[_Job[Task, Result]] = field(default_factory=deque)


class ActorPool(Generic[Task, Result]):
    """Actors on all nodes that have room for one, replaced when they die; a context manager.

    Parameters
    ----------
    cluster
        Connected.
    make
        Builds a worker on its node; importable by name there, or a partial of what is. Files that it names must be
        there under the same path.
    needs
        Of one actor.
    check
        Given what each worker tells of itself, before it gets a task; raises to end the run.
    """

    def __init__(
        self,
        cluster: Cluster,
        make: Callable[[], Worker[Task, Result]],
        needs: Needs,
        check: Callable[[Any], None] = lambda _: None,
    ) -> None:
        self._cluster, self._make, self._needs, self._check = cluster, make, needs, check
        self._ray: Any = cluster.ray
        self._hosts: list[_Host[Task, Result]] = []
        self._failed_starts = 0
        self._looked = 0.0
        self._alone_since = time.monotonic()
        self.most = 0
        """Actors that were up at one time, at most."""

    def __enter__(self) -> ActorPool[Task, Result]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Also of a worker that sits in a task: what it holds would stay on its node for ever.
        leaving = [host.handle.close.options(concurrency_group=_LEAVE).remote() for host in self._hosts if host.up]
        if leaving:
            self._ray.wait(leaving, num_returns=len(leaving), timeout=_FAREWELL_S)
        for host in self._hosts:
            self._ray.kill(host.handle)
        self._hosts = []

    def first(self) -> None:
        """Wait until one worker is up and was checked.

        Raises
        ------
        RadboostError
            As `map`.
        """
        while not self.up:
            self._turn()

    def map(self, tasks: Iterable[Task], stop: Callable[[], bool] = lambda: False) -> Iterator[Result]:
        """Do tasks and give their results in order.

        Parameters
        ----------
        tasks
            As many as you like; each is taken when there is an actor for it.
        stop
            Asked about once a second; from the first yes on nothing new is begun. What is in hand is finished and
            given, and what must come before it.

        Raises
        ------
        RadboostError
            No actor can be had, or a task ends whatever process takes it.
        Exception
            What a task raised, when it is its turn, as it was if it is ours and else told by a RadboostError.
        """
        source = iter(tasks)
        window: deque[_Job[Task, Result]] = deque()
        again: deque[_Job[Task, Result]] = deque()
        more = True
        while True:
            # Each result is handed over before more is begun, so that an ending by the caller is heard early.
            while window and window[0].done:
                job = window.popleft()
                if job.error is not None:
                    raise job.error
                yield job.result  # type: ignore[misc]
                del job
            if more and stop():
                more = False
                self._shed(window)
                again = deque(job for job in again if job in window)
            while (again or more) and (host := self._free()) is not None:
                if not again:
                    if len(window) >= WINDOW * self.up:
                        break
                    more, taken = _next(source)
                    again.extend(taken)
                    window.extend(taken)
                    continue
                job = again.popleft()
                job.ref = host.handle.run.remote(job.task)
                host.jobs.append(job)
            if not window and not more:
                return
            lost = self._turn()
            again = deque(job for job in window if job in lost or job in again)

    @property
    def up(self) -> int:
        """Actors that are up."""
        return sum(host.up for host in self._hosts)

    def _free(self) -> _Host[Task, Result] | None:
        """Give the actor with least to do that can take a task."""
        able = [host for host in self._hosts if host.up and len(host.jobs) < QUEUED]
        return min(able, key=lambda host: len(host.jobs), default=None)

    def _turn(self) -> list[_Job[Task, Result]]:
        """Wait a little, take what came, replace what died; gives the jobs to be done again."""
        self._refill()
        refs = [host.ready for host in self._hosts if not host.up]
        refs += [job.ref for host in self._hosts for job in host.jobs]
        if not refs:
            time.sleep(_WATCH_S)
        else:
            self._ray.wait(refs, num_returns=1, timeout=_WATCH_S)
            come = set(self._ray.wait(refs, num_returns=len(refs), timeout=0)[0])
        lost: list[_Job[Task, Result]] = []
        for host in list(self._hosts) if refs else ():
            if host.up:
                lost += self._collect(host, come)
            elif host.ready in come:
                self._greet(host)
        if self.up:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > PATIENCE_S:
            got = f"none with {self._needs.cpus} CPUs and {self._needs.gpus} GPUs free in {PATIENCE_S:.0f} s"
            raise RadboostError("no node of the cluster takes a worker", got=got, do="Look at `ray status`")
        return lost

    def _refill(self) -> None:
        """Start an actor wherever there is room for one: at first, after a death, and on a node that came later."""
        now = time.monotonic()
        if now - self._looked < _WATCH_S:
            return
        self._looked = now
        room = sum(self._needs.fit(node) for node in self._cluster.nodes())
        # A thread of its own for the leave; tasks still run one at a time.
        kind = self._ray.remote(concurrency_groups={_LEAVE: 1})(_Actor).options(
            num_cpus=self._needs.cpus, num_gpus=self._needs.gpus, max_restarts=0, max_task_retries=0
        )
        for _ in range(room - len(self._hosts)):
            handle = kind.remote()
            self._hosts.append(_Host(handle, handle.build.remote(self._make)))

    def _greet(self, host: _Host[Task, Result]) -> None:
        """Take an actor in that is built."""
        errors = self._ray.exceptions
        try:
            told = self._ray.get(host.ready)
        except errors.RayTaskError as error:
            raise translated(error) from error
        except errors.RayError as error:
            self._drop(host)
            self._failed_starts += 1
            if self._failed_starts >= 2 * TRIES:
                what = "worker processes die while they start"
                do = "Look at the memory of the nodes and at Ray's logs there"
                raise RadboostError(what, got=f"{self._failed_starts} in a row, {_kind(error)}", do=do) from error
        else:
            self._check(told)
            host.up, self._failed_starts = True, 0
            self.most = max(self.most, self.up)

    def _collect(self, host: _Host[Task, Result], come: set[Any]) -> list[_Job[Task, Result]]:
        """Take what an actor did; gives what it lost."""
        errors = self._ray.exceptions
        lost: list[_Job[Task, Result]] = []
        while host.jobs and host.jobs[0].ref in come:
            job = host.jobs.popleft()
            ref, job.ref = job.ref, None
            try:
                job.result = self._ray.get(ref)
            except errors.RayTaskError as error:
                job.error = translated(error)
            except errors.RayError as error:
                # What an actor died of was in its hand; what waited behind is not to blame.
                job.tries += 1
                if job.tries < TRIES:
                    lost.append(job)
                else:
                    do = "Look at the memory of the nodes and at Ray's logs there"
                    what = "a piece of work ends every process that takes it"
                    job.error = RadboostError(what, got=f"{job.tries} times, {_kind(error)}", do=do)
                if not isinstance(error, errors.ObjectLostError):
                    lost += host.jobs
                    self._drop(host)
                    break
        return lost

    def _shed(self, window: deque[_Job[Task, Result]]) -> None:
        """Drop the jobs that none has begun, but for those before one that was begun: results keep their order."""
        heads = [host.jobs[0] for host in self._hosts if host.jobs]
        while window and not (window[-1].done or window[-1] in heads):
            job = window.pop()
            for host in self._hosts:
                if job in host.jobs:
                    host.jobs.remove(job)
                    self._ray.cancel(job.ref)

    def _drop(self, host: _Host[Task, Result]) -> None:
        self._hosts.remove(host)
        host.jobs.clear()
        # It may live still and only be out of reach: what it would do is done by another.
        self._ray.kill(host.handle)


def _next(source: Iterator[Task]) -> tuple[bool, list[_Job[Task, Any]]]:
    """Give whether there was one more task, and that task."""
    for task in source:
        return True, [_Job(task)]
    return False, []


def _kind(error: Exception) -> str:
    return type(error).__name__
