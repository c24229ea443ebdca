"""A connection to a Ray cluster, and what its nodes have."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import dataclass
from types import ModuleType, TracebackType
from typing import Any

from radboost.errors import RadboostError, UserError

__all__ = ["Cluster", "Needs", "node_address", "translated"]

_KNOCK_S = 10.0


@dataclass(frozen=True)
class Needs:
    """What one actor reserves on its node.

    Attributes
    ----------
    cpus, gpus
        Of the node's own count of them.
    """

    cpus: int = 1
    gpus: int = 0

    def fit(self, node: Needs) -> int:
        """Count the actors that a node has room for.

        >>> Needs(4, 1).fit(Needs(16, 2)), Needs(4).fit(Needs(7)), Needs(1, 1).fit(Needs(8))
        (2, 1, 0)
        """
        return min(have // need for need, have in ((self.cpus, node.cpus), (self.gpus, node.gpus)) if need)


class Cluster:
    """A connection to a Ray cluster; a context manager.

    One that this process had already stays open; one that is started here lives on loopback and ends with the block.
    Nothing is reported to anyone, and no dashboard is started.

    Parameters
    ----------
    address
        ``HOST:PORT`` or ``auto``; None: what RAY_ADDRESS says, else this machine alone.

    Raises
    ------
    UserError
        Ray is not installed, or no cluster answers.
    """

    def __init__(self, address: str | None = None) -> None:
        self._address = address or os.environ.get("RAY_ADDRESS") or "local"
        self._ray = _import_ray()
        self._ours = False
        self._sigterm: Any = None

    def __enter__(self) -> Cluster:
        if self._ray.is_initialized():
            return self
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if self._address == "local":
            quiet |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        try:
            _knock(self._address)
            self._sigterm = signal.getsignal(signal.SIGTERM)
            self._ray.init(address=self._address, **quiet)
        except (OSError, RuntimeError, ValueError) as error:
            do = (
                "Start one with `ray start --head`, and give its HOST:PORT; versions of Ray and Python must agree, and "
                "RAY_AUTH_MODE=token and its token are needed here where they were set there"
            )
            got = str(error).splitlines()[0][:200]
            raise UserError("no Ray cluster answers", where=self._address, got=got, do=do) from error
        self._ours = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ours:
            self._ray.shutdown()
            self._ours = False
            # Ray puts a handler of its own in place, in the main thread, and leaves it there.
            if signal.getsignal(signal.SIGTERM) is not self._sigterm and self._sigterm is not None:
                signal.signal(signal.SIGTERM, self._sigterm)

    @property
    def ray(self) -> ModuleType:
        """The library, connected."""
        return self._ray

    def nodes(self) -> list[Needs]:
        """Give what each living node has in all, whoever uses it now."""
        found = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return [Needs(int(each.get("CPU", 0)), int(each.get("GPU", 0))) for each in found]


def _knock(address: str) -> None:
    """See that someone listens: Ray itself asks for minutes before it gives up."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()


def _import_ray() -> ModuleType:
    # Before the import, which reads it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.exceptions
        import ray.util.scheduling_strategies
    except ImportError as error:
        do = "Install it with `pip install 'radboost[ray]'`"
        raise UserError("the extra `ray` is needed", where="--engine ray", got=str(error), do=do) from error
    found: ModuleType = ray
    return found


def node_address() -> str:
    """Address of the node that this process is on, as the other nodes see it; of a cluster of its own, loopback."""
    ray = _import_ray()
    mine = ray.get_runtime_context().get_node_id()
    return next(str(node["NodeManagerAddress"]) for node in ray.nodes() if node["NodeID"] == mine)


def translated(error: Any) -> Exception:
    """Give what a worker raised: ours as it was, another's with its kind and text."""
    cause = error.cause
    if isinstance(cause, RadboostError):
        return cause
    do = "Look at Ray's logs on the node"
    return RadboostError("a worker failed", got=f"{type(cause).__name__}: {str(cause)[:200]}", do=do)
