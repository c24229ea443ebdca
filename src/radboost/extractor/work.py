"""One extraction while it lasts: crops in, shards out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from radboost.data.codecs import DeviceDecoder
from radboost.data.cohort import Cohort
from radboost.data.interrupt import Patience
from radboost.data.jobs import crop_groups, most_in_a_frame
from radboost.data.pool import Pool, available_cores
from radboost.data.progress import Progress
from radboost.data.quarantine import Quarantine
from radboost.data.render import render_each
from radboost.data.store import ID_DTYPE, EmbeddingStore, StoreWriter
from radboost.data.threads import Threads
from radboost.errors import PixelError, RadboostError
from radboost.extractor.accounting import Accounting, Meter, record
from radboost.extractor.backbone import Backbone
from radboost.extractor.batch import choose_batch
from radboost.extractor.commit import Committer
from radboost.extractor.config import ExtractConfig
from radboost.extractor.shards import Cuts, Shard
from radboost.extractor.stream import Batch, Stream, StreamConfig
from radboost.nets.device import device_kind, resolve_device, resolve_precision

__all__ = ["Here", "Plan", "Work", "decoding_pool", "most_together"]

AHEAD_BYTES = 32 << 20
"""Of decoded crops that wait in shared memory, which containers keep small."""
GROUP_BYTES = 8 << 20
"""Of the crops of one frame that come back together."""


def most_together(cohort: Cohort, config: ExtractConfig) -> int:
    """Count the crops of one frame that come back together, at most."""
    return max(1, min(most_in_a_frame(cohort), GROUP_BYTES // _crop_bytes(config)))


def _crop_bytes(config: ExtractConfig) -> int:
    return 2 * int(np.prod(config.pixels.shape))


def decoding_pool(config: ExtractConfig, workers: int, together: int, batch: int) -> Pool | Threads:
    """Make a pool that keeps a batch or two ahead of the network, as far as shared memory goes."""
    ahead = max(2 * workers, min(batch // together + workers, AHEAD_BYTES // (_crop_bytes(config) * together)))
    slot_shape = (together, *config.pixels.shape)
    if config.decode == "cuda":
        return Threads(workers, slot_shape, ahead)
    return Pool(workers, config.limits, slot_shape=slot_shape, ahead=ahead)


@dataclass(frozen=True)
class Plan:
    """What is to be done, and where.

    Attributes
    ----------
    cohort
        Whose crops.
    out
        The store's folder; its lock is held.
    config
        How; its precision is resolved.
    device
        Where.
    fingerprint
        Of the embeddings.
    load_s
        Seconds that the network took to build.
    replace
        A store that is there gives way to the first new shard.
    """

    cohort: Cohort
    out: Path
    config: ExtractConfig
    device: torch.device
    fingerprint: Mapping[str, object]
    load_s: float = 0.0
    replace: bool = False


@dataclass
class Work:
    """Embed what a store lacks.

    Attributes
    ----------
    plan
        What.
    progress
        Who listens.
    """

    plan: Plan
    progress: Progress
    _meter: Meter = field(default_factory=Meter)
    # Manifest row and crop id of each position in the work that is left.
    _left: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    _ids: npt.NDArray[np.bytes_] = field(default_factory=lambda: np.empty(0, ID_DTYPE))
    _new: int = 0

    def __call__(self, backbone: Backbone) -> tuple[EmbeddingStore, int, Accounting | None]:
        """Do it; gives the store, the crops embedded now, and the account of it where there was work.

        Raises
        ------
        KeyboardInterrupt
            SIGINT or SIGTERM came; the shard in hand was finished.
        RadboostError
            No crop could be embedded, or a shard could not be written.
        """
        plan = self.plan
        crop_ids = plan.cohort.manifest["crop_id"].tolist()
        writer, tried = None, np.empty(0, ID_DTYPE)
        if (plan.out / "store.json").is_file() and not plan.replace:
            writer = StoreWriter.resume(plan.out, plan.fingerprint)
            tried = writer.tried()
        self._left = StoreWriter.remaining(crop_ids, tried)
        self._ids = np.array(crop_ids, ID_DTYPE)[self._left]
        account = None
        quarantine = Quarantine(plan.cohort.folder)
        if len(self._left):
            writer, account = self._stream(backbone, writer, quarantine)
        if writer is None:
            _, kind, reason = quarantine.rows[0]
            do = "Look at the paths and at quarantine/ in the cohort"
            got = f"{len(self._left)} failed; the first: {kind}, {reason}"
            raise RadboostError("no crop could be embedded", where=plan.cohort.folder, got=got, do=do)
        return writer.store(), self._new, account

    def _stream(
        self, backbone: Backbone, writer: StoreWriter | None, quarantine: Quarantine
    ) -> tuple[StoreWriter | None, Accounting]:
        plan, config = self.plan, self.plan.config
        workers = config.workers or available_cores()
        backbone.model.to(plan.device)
        size = config.batch_size or choose_batch(backbone, plan.device, config.precision, config.pixels.channels)
        cuts = Cuts(len(self._left), size, config.shard_rows if writer is None else writer.rows_per_shard)
        shard = Shard(config.dtype, 1 + config.views.count)
        fed = StreamConfig(plan.device, config.precision, (size, *config.pixels.shape), config.views)
        stream = Stream(backbone, fed)
        together = most_together(plan.cohort, config)
        ids = self._ids.astype(str).tolist()
        self.progress.start("extract", len(self._left))
        self._meter = Meter()
        kind = device_kind(plan.device)
        content = self._content(backbone)
        decoder = DeviceDecoder() if config.decode == "cuda" else None
        with (
            Patience(lambda: self.progress.say("finishing the shard in hand; once more to leave at once")) as patience,
            Committer(
                plan.out, writer, content, f"{kind}, compiled" if config.compile else kind, self._meter
            ) as shards,
            decoding_pool(config, workers, together, size) as pool,
        ):

            def stop_after(start: int) -> int:
                if patience.asked:
                    cuts.end_early()
                return cuts.stop_after(start)

            groups = crop_groups(plan.cohort, config.pixels, self._left, together)
            items = pool.map(partial(render_each, policy=config.pixels, device=decoder), groups)
            for batch in stream.run(items, ids, stop_after, self._meter):
                shard.add(batch)
                self._report(batch, quarantine)
                cuts.measure(batch.stop)
                if cuts.closes(batch.stop):
                    rows = shard.close(self._ids, backbone.widths)
                    shards.commit(rows, cuts.rows or size)
                    self._new += len(rows.crop_ids) // shard.views
        settings = kind, config.precision, size
        account = self._meter.account(self._new, workers, plan.device, settings, plan.load_s)
        if shards.writer is not None:
            record(plan.out, account)
        if patience.asked:
            raise KeyboardInterrupt
        return shards.writer, account

    def _content(self, backbone: Backbone) -> dict[str, object]:
        config = self.plan.config
        return {
            "fingerprint": self.plan.fingerprint,
            "pools": backbone.widths,
            "cohort": self.plan.cohort.fingerprint,
            "key_id": self.plan.cohort.key_id,
            "config": config.recipe(config.precision),
            "dtype": config.dtype,
        }

    def _report(self, batch: Batch, quarantine: Quarantine) -> None:
        paths = self.plan.cohort.manifest["path"].to_numpy()
        failures = [(str(paths[self._left[position]]), kind, reason) for position, kind, reason in batch.failed]
        # Told before its shard is recorded: a kill in between tells it twice, never not at all.
        quarantine.add(failures)
        if failures and self.plan.config.strict:
            path, _, reason = failures[0]
            raise PixelError(reason, where=path, do="Leave --strict out to set such files aside and go on")
        self.progress.advance(batch.stop - batch.start)


class Here:
    """The machine itself as the place of an extraction; a context manager.

    Parameters
    ----------
    config
        How.
    """

    def __init__(self, config: ExtractConfig) -> None:
        self.device = resolve_device(config.device)

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @property
    def kind(self) -> str:
        """Kind of device."""
        return device_kind(self.device)

    def precision(self, name: str) -> str:
        """Choose a precision."""
        return resolve_precision(name, self.device)

    def work(self, plan: Plan, progress: Progress) -> Work:
        """Give the work to be called with the backbone."""
        return Work(plan, progress)
