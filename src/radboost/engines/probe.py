"""Whether a Ray cluster answers: asked only when the user names one."""

from __future__ import annotations

from radboost.data.probe import Probe, State
from radboost.engines.cluster import Cluster
from radboost.errors import UserError

__all__ = ["probe_ray"]


def probe_ray(address: str) -> list[Probe]:
    """Connect to a cluster and count what its nodes have.

    Parameters
    ----------
    address
        ``HOST:PORT`` or ``auto``.
    """
    name = f"cluster {address}"
    try:
        with Cluster(address) as cluster:
            nodes = cluster.nodes()
    except UserError as error:
        return [Probe("Ray", name, State.broken, f"{error.what}: {error.got}", error.do or "", needed=True)]
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    return [Probe("Ray", name, State.works, f"nodes: {len(nodes)}, cores: {cpus}, GPUs: {gpus}", needed=True)]
