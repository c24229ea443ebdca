"""The same extraction on the nodes of a Ray cluster: a shard is a task, and only this process writes the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from types import TracebackType

import numpy as np
import torch

from radboost.data.cohort import Cohort
from radboost.data.interrupt import Patience
from radboost.data.jobs import crop_jobs
from radboost.data.pool import available_cores
from radboost.data.progress import Progress
from radboost.data.quarantine import Quarantine
from radboost.data.store import StoreWriter, differing
from radboost.engines.cluster import Cluster, Needs
from radboost.engines.ray import ActorPool
from radboost.errors import RadboostError, UserError
from radboost.extractor.accounting import Accounting, Meter, record
from radboost.extractor.backbone import Backbone
from radboost.extractor.commit import Committer
from radboost.extractor.config import ExtractConfig
from radboost.extractor.embedder import Embedder, ShardDone, ShardTask, Told, there, versions
from radboost.extractor.stream import Batch
from radboost.extractor.work import Plan, Work, most_together
from radboost.nets.device import resolve_precision

__all__ = ["LOOKED_FOR", "Fleet", "share"]

SHARD_ROWS = {"cpu": 1024, "cuda": 4096}
"""Crops a shard where nothing else is said, rounded up to whole batches: nodes may differ in speed, so no rate is
measured. Long against the one batch that a node waits for at either end of a shard; short enough to be done again."""
LOOKED_FOR = 16
"""Files of the cohort that every node must have, of all that it should have."""


def share(config: ExtractConfig, nodes: list[Needs]) -> Needs:
    """Choose what an actor reserves: a GPU with its share of the cores, else as many cores as would work here.

    Raises
    ------
    UserError
        A GPU was asked for and no node has one, or one by its number.
    """
    name = config.device
    if name not in ("auto", "cpu", "cuda"):
        do = "Give auto, cpu or cuda: Ray deals out the GPUs"
        raise UserError("no such device with --engine ray", where="--device", got=name, do=do)
    able = [] if name == "cpu" else [node for node in nodes if node.gpus]
    if able:
        cores = min(node.cpus // node.gpus for node in able)
        return Needs(min(config.workers or cores, cores), 1)
    if name == "cuda":
        raise UserError("no node of the cluster has a GPU", where="--device", got=name, do="Use --device cpu")
    wished = max(config.workers or available_cores(), torch.get_num_threads())
    return Needs(max(1, min(wished, max((node.cpus for node in nodes), default=1))))


class Fleet:
    """A cluster as the place of one extraction; a context manager. Nothing is started before it is needed.

    Parameters
    ----------
    cohort
        Whose crops. Its files lie under the same path on every node.
    config
        How.
    """

    def __init__(self, cohort: Cohort, config: ExtractConfig) -> None:
        self.cohort, self.config = cohort, config
        self._held = ExitStack()
        self._cluster: Cluster | None = None
        self._pool: ActorPool[ShardTask, ShardDone] | None = None
        self._told: list[Told] = []
        self._backbone: Mapping[str, object] | None = None
        self._needs = Needs()
        paths = cohort.manifest["path"].to_numpy()
        some = np.unique(np.linspace(0, len(paths) - 1, LOOKED_FOR).astype(int))
        self._files = tuple(str(cohort.root / paths[row]) for row in some)
        self.workers = 1
        """Decoding processes of an actor."""

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.__exit__(kind, error, trace)

    @property
    def device(self) -> torch.device:
        """Where networks run, on whichever node."""
        self._connect()
        return torch.device("cuda" if self._needs.gpus else "cpu")

    @property
    def kind(self) -> str:
        """Kind of device; empty where none was needed."""
        return self._told[0].kind if self._told else ""

    @property
    def most(self) -> int:
        """Actors that worked at a time, at most."""
        return max(1, self._pool.most) if self._pool else 1

    def precision(self, name: str) -> str:
        """Choose a precision; ``auto`` as the first actor's device has it."""
        return self.start(self.config).precision if name == "auto" else resolve_precision(name, torch.device("cpu"))

    def start(self, config: ExtractConfig) -> Told:
        """Start actors, unless that was done, and wait for the first; gives what it tells.

        Raises
        ------
        RadboostError
            No actor can be had; files are missing on a node, or its weights or libraries differ.
        """
        if self._pool is None:
            cluster = self._connect()
            together, threads = most_together(self.cohort, config), torch.get_num_threads()
            resolved = replace(config, device="cuda" if self._needs.gpus else "cpu")
            make = partial(Embedder, resolved, self.workers, together, threads, self._files)
            self._pool = self._held.enter_context(ActorPool(cluster, make, self._needs, self._check))
            self._pool.first()
        return self._told[0]

    def map(
        self, tasks: Iterator[ShardTask], backbone: Mapping[str, object], stop: Callable[[], bool]
    ) -> Iterator[ShardDone]:
        """Embed shards and give them in order.

        Parameters
        ----------
        tasks, stop
            As for `ActorPool.map`.
        backbone
            The identifier that every actor's network must have.
        """
        self._backbone = backbone
        for told in self._told:
            self._compare(told)
        if self._pool is None:
            msg = "start comes first"
            raise RuntimeError(msg)
        return self._pool.map(tasks, stop)

    def _connect(self) -> Cluster:
        if self._cluster is None:
            self._cluster = self._held.enter_context(Cluster(self.config.ray_address))
            self._needs = share(self.config, self._cluster.nodes())
            self.workers = self.config.workers or max(1, self._needs.cpus)
        return self._cluster

    def _check(self, told: Told) -> None:
        here = versions()
        if told.versions != here:
            names = sorted(n for n in {*here, *told.versions} if here.get(n) != told.versions.get(n))
            got = ", ".join(f"{name} {told.versions.get(name)} there, {here.get(name)} here" for name in names)
            do = "Install the same versions on all nodes"
            raise RadboostError("a node has other libraries, which may give other embeddings", got=got, do=do)
        # A node that lacks the files would put all that it is given into quarantine.
        expected = max(there(self._files), *(other.found for other in self._told), 0)
        if told.found < expected:
            got = f"{told.found} of {len(self._files)} there, {expected} elsewhere"
            do = "Let every node see this folder under this path"
            raise RadboostError("a node lacks files of the cohort", where=self.cohort.root, got=got, do=do)
        self._compare(told)
        self._told.append(told)

    def _compare(self, told: Told) -> None:
        if self._backbone is not None and (names := differing(self._backbone, told.backbone)):
            do = "Give every node the same weights: the same --checkpoint file or the same hub cache"
            raise RadboostError("a node has another backbone", got=f"{', '.join(names)} differ", do=do)

    def work(self, plan: Plan, progress: Progress) -> Work:
        """Give the work to be called with the backbone."""
        return _RemoteWork(plan, progress, fleet=self)


@dataclass
class _RemoteWork(Work):
    """Embed what a store lacks, elsewhere."""

    fleet: Fleet = field(kw_only=True)

    def _stream(
        self, backbone: Backbone, writer: StoreWriter | None, quarantine: Quarantine
    ) -> tuple[StoreWriter | None, Accounting]:
        plan, config, fleet = self.plan, self.plan.config, self.fleet
        begun = time.perf_counter()
        told = fleet.start(config)
        load = plan.load_s + time.perf_counter() - begun
        size = told.batch
        usual = -(-SHARD_ROWS[plan.device.type] // size) * size
        rows = writer.rows_per_shard if writer is not None else config.shard_rows or usual
        self.progress.start("extract", len(self._left))
        self._meter = Meter()
        compiled = ", compiled" if config.compile else ""
        content = self._content(backbone)
        with (
            Patience(lambda: self.progress.say("finishing the shards in hand; once more to leave at once")) as patience,
            Committer(plan.out, writer, content, told.kind, self._meter) as shards,
        ):
            for done in fleet.map(self._tasks(rows, told), backbone.identifier(), lambda: patience.asked):
                self._meter.merge(done.meter, done.actor)
                self._report(Batch(done.start, done.stop, [], {}, done.failed), quarantine)
                if done.rows is not None:
                    shards.commit(done.rows, rows, done.kind + compiled)
                    self._new += len(done.rows.crop_ids) // (1 + config.views.count)
        self._meter.devices = fleet.most
        settings = told.kind, config.precision, size
        account = self._meter.account(self._new, fleet.workers * fleet.most, plan.device, settings, load)
        if shards.writer is not None:
            record(plan.out, account)
        if patience.asked:
            raise KeyboardInterrupt
        return shards.writer, account

    def _tasks(self, rows: int, told: Told) -> Iterator[ShardTask]:
        config = self.plan.config
        jobs = crop_jobs(self.plan.cohort, config.pixels, self._left)
        for start in range(0, len(self._left), rows):
            part = tuple(islice(jobs, rows))
            yield ShardTask(start, self._ids[start : start + rows], part, config.precision, told.batch)
