"""What lives on a node of a cluster: a backbone with its stream and decoding pool, given one shard at a time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from radboost import __version__
from radboost.data.codecs import DeviceDecoder
from radboost.data.crop import CropJob
from radboost.data.folder import environment
from radboost.data.jobs import grouped
from radboost.data.pool import Pool
from radboost.data.render import render_each
from radboost.data.store import Rows
from radboost.data.threads import Threads
from radboost.extractor.accounting import Meter
from radboost.extractor.backbone import load_backbone
from radboost.extractor.batch import choose_batch
from radboost.extractor.config import ExtractConfig
from radboost.extractor.shards import Cuts, Shard
from radboost.extractor.stream import Stream, StreamConfig
from radboost.extractor.work import decoding_pool
from radboost.nets.device import device_kind, resolve_device, resolve_precision

__all__ = ["Embedder", "ShardDone", "ShardTask", "Told", "there", "versions"]


@dataclass(frozen=True)
class Told:
    """What an actor tells of itself.

    Attributes
    ----------
    kind
        Of its device.
    precision, batch
        What it would take where nothing was asked for.
    backbone
        Identifier of its network.
    versions
        Of the libraries.
    found
        Files that are there, of those it was to look for.
    """

    kind: str
    precision: str
    batch: int
    backbone: Mapping[str, object]
    versions: Mapping[str, str]
    found: int


@dataclass(frozen=True)
class ShardTask:
    """One shard to be embedded.

    Attributes
    ----------
    start
        Position of its first crop in the work that is left.
    ids
        (n,) crop ids.
    jobs
        n crops.
    precision, batch
        The same for every shard.
    """

    start: int
    ids: npt.NDArray[np.bytes_]
    jobs: tuple[CropJob, ...]
    precision: str
    batch: int


@dataclass(frozen=True)
class ShardDone:
    """One shard embedded.

    Attributes
    ----------
    start, stop
        Positions of its crops.
    rows
        What is to be written; None if a crop failed and that was to end the run.
    failed
        Position, kind and reason of crops without an embedding.
    meter
        Counts of this shard alone.
    kind
        Of the device.
    actor
        A number of its own for each actor.
    """

    start: int
    stop: int
    rows: Rows | None
    failed: list[tuple[int, str, str]]
    meter: Meter
    kind: str
    actor: int


class Embedder:
    """Backbone, stream and decoding pool of one actor.

    Parameters
    ----------
    config
        What is asked; precision and batch size may be left open.
    workers
        Decoding processes.
    together
        Crops of one frame that come back together.
    threads
        Of the network on a CPU: as many as where the extraction was asked for, so that sums add up in the same order.
    files
        Some of the cohort's, to be looked for.
    """

    def __init__(
        self, config: ExtractConfig, workers: int, together: int, threads: int, files: tuple[str, ...]
    ) -> None:
        self._config, self._workers, self._together, self._files = config, workers, together, files
        self._device = resolve_device(config.device)
        if self._device.type == "cpu":
            torch.set_num_threads(threads)
        self._backbone = load_backbone(config.backbone)
        if config.compile:
            self._backbone.model.compile()
        self._backbone.model.to(self._device)
        self._actor = int.from_bytes(os.urandom(3), "big")
        self._held = ExitStack()
        self._stream: Stream | None = None
        self._pool: Pool | Threads
        self._decoder: DeviceDecoder | None = None

    def describe(self) -> Told:
        """Tell device, network, libraries, and whether the files are there."""
        config = self._config
        precision = resolve_precision(config.precision, self._device)
        batch = config.batch_size or choose_batch(self._backbone, self._device, precision, config.pixels.channels)
        kind, backbone = device_kind(self._device), self._backbone.identifier()
        return Told(kind, precision, batch, backbone, versions(), there(self._files))

    def __call__(self, task: ShardTask) -> ShardDone:
        """Embed one shard.

        Raises
        ------
        RadboostError
            As a stream and a shard do.
        """
        config = self._config
        if self._stream is None:
            shape = (task.batch, *config.pixels.shape)
            views = config.views
            self._stream = Stream(self._backbone, StreamConfig(self._device, task.precision, shape, views))
            self._pool = decoding_pool(config, self._workers, self._together, task.batch)
            self._held.enter_context(self._pool)
            self._decoder = DeviceDecoder() if config.decode == "cuda" else None
        total = len(task.jobs)
        cuts, shard, meter = Cuts(total, task.batch, total), Shard(config.dtype, 1 + config.views.count), Meter()
        function = partial(render_each, policy=config.pixels, device=self._decoder)
        items = self._pool.map(function, grouped(task.jobs, self._together))
        failed: list[tuple[int, str, str]] = []
        rows = None
        for batch in self._stream.run(items, task.ids.astype(str).tolist(), cuts.stop_after, meter):
            shard.add(batch)
            failed += [(task.start + position, kind, reason) for position, kind, reason in batch.failed]
            if failed and config.strict:
                break
        else:
            # A pool left in mid-map ends its processes, and starting them takes longer than many a shard.
            next(items, None)
            rows = shard.close(task.ids, self._backbone.widths)
        if self._device.type == "cuda":
            meter.device_peak = int(torch.cuda.max_memory_allocated(self._device))
        kind = device_kind(self._device)
        return ShardDone(task.start, task.start + total, rows, failed, meter, kind, self._actor)

    def close(self) -> None:
        """End the decoding processes."""
        self._held.close()


def versions() -> dict[str, str]:
    """Versions that embeddings may depend on; of one release for a CPU and for a GPU the same."""
    return {"radboost": __version__, **{name: each.partition("+")[0] for name, each in environment().items()}}


def there(files: tuple[str, ...]) -> int:
    """Count the files that this machine has."""
    return sum(Path(file).is_file() for file in files)
