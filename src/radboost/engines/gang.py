"""Workers that act together on the nodes of a Ray cluster: all are asked at once, and all answer or none does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from radboost.engines.cluster import Cluster, Needs, node_address, translated
from radboost.errors import RadboostError

__all__ = ["Gang"]

PATIENCE_S = 300.0
"""How long we wait for room for all of them; a cluster that grows on demand takes minutes."""
_FAREWELL_S = 10.0


class _Actor:
    """Runs on a node, in one thread, which libraries that keep a connection by thread rely on."""

    def build(self, make: Callable[[], Any]) -> str:
        self._worker = make()
        return node_address()

    def act(self, method: str, *given: Any) -> Any:
        return getattr(self._worker, method)(*given)


class Gang:
    """Workers on nodes that have room for all of them at a time; a context manager.

    Work that is shared step by step cannot go on without one of its workers: what one raises, or its death, ends all.

    Parameters
    ----------
    cluster
        Connected.
    make
        Builds a worker on its node; importable by name there. Its ``close`` is called in the end.
    count
        Workers, ranks 0 to ``count - 1``.
    needs
        Of one worker.

    Raises
    ------
    RadboostError
        From entering: the cluster has no room for so many, or a worker cannot be built.
    """

    def __init__(self, cluster: Cluster, make: Callable[[], Any], count: int, needs: Needs) -> None:
        self._ray: Any = cluster.ray
        self._make, self._count, self._needs = make, count, needs
        self._actors: list[Any] = []
        self._group: Any = None
        self.hosts: list[str] = []
        """Address of the node of each worker."""

    def __len__(self) -> int:
        return self._count

    def __enter__(self) -> Gang:
        # Reserved at one stroke: two gangs that each got half of their workers would wait for each other for ever.
        bundle = {"CPU": self._needs.cpus, **({"GPU": self._needs.gpus} if self._needs.gpus else {})}
        self._group = self._ray.util.placement_group([bundle] * self._count)
        try:
            if not self._group.wait(PATIENCE_S):
                got = f"{self._count} workers with {self._needs.cpus} CPUs and {self._needs.gpus} GPUs each"
                do = "Give fewer --workers, and look at `ray status`"
                raise RadboostError("the cluster has no room for workers that share a fit", got=got, do=do)
            place = self._ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(self._group)
            kind = self._ray.remote(_Actor).options(
                num_cpus=self._needs.cpus,
                num_gpus=self._needs.gpus,
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy=place,
            )
            self._actors = [kind.remote() for _ in range(self._count)]
            self.hosts = self._all([actor.build.remote(self._make) for actor in self._actors])
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            leaving = [actor.act.remote("close") for actor in self._actors]
            self._ray.wait(leaving, num_returns=len(leaving), timeout=_FAREWELL_S)
        self._leave()

    def _leave(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = []
        self._ray.util.remove_placement_group(self._group)

    def ask(self, method: str, *given: Any) -> list[Any]:
        """Have all workers do the same; gives their answers by rank.

        Raises
        ------
        RadboostError
            A worker raised one or was lost.
        Exception
            Of ours, that a worker raised.
        """
        return self.deal(method, *([each] * self._count for each in given))

    def deal(self, method: str, *given: Sequence[Any]) -> list[Any]:
        """Have all workers do the same, each with its own: argument i of rank r is ``given[i][r]``. See `ask`."""
        return self._all([actor.act.remote(method, *own) for actor, own in self._dealt(given)])

    def _dealt(self, given: Sequence[Sequence[Any]]) -> list[tuple[Any, tuple[Any, ...]]]:
        return [(actor, tuple(each[rank] for each in given)) for rank, actor in enumerate(self._actors)]

    def _all(self, refs: Sequence[Any]) -> list[Any]:
        """Wait for all, but for none longer than until one has failed: the others may wait for that one for ever."""
        errors, left = self._ray.exceptions, list(refs)
        try:
            while left:
                come, left = self._ray.wait(left, num_returns=1)
                self._ray.get(come)
            return list(self._ray.get(list(refs)))
        except errors.RayTaskError as error:
            raise translated(error) from error
        except errors.RayError as error:
            do = (
                "Look at the memory of the nodes and at Ray's logs there; the same command goes on where this one ended"
            )
            what = "a worker of a fit that several share was lost"
            raise RadboostError(what, got=type(error).__name__, do=do) from error
