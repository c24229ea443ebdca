"""Stage one: each crop of a cohort goes through a frozen backbone once, and never again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from radboost.data.cohort import Cohort
from radboost.data.jobs import crop_jobs, refuse_unboxed
from radboost.data.pool import Pool, available_cores
from radboost.data.progress import Progress, Silent
from radboost.data.quarantine import Quarantine
from radboost.data.render import render
from radboost.data.store import (
    ID_DTYPE,
    EmbeddingStore,
    Rows,
    StoreWriter,
    differing,
    refuse_difference,
    store_header,
    store_lock,
)
from radboost.errors import FormatError, PixelError, RadboostError, UserError
from radboost.extractor.backbone import Backbone, load_backbone
from radboost.extractor.config import ExtractConfig
from radboost.extractor.shards import Cuts, Shard
from radboost.extractor.stream import Batch, Meter, Stream
from radboost.nets.device import device_kind, resolve_device, resolve_precision

__all__ = ["ExtractResult", "extract"]

BATCH = {"cpu": 16, "cuda": 64}
AHEAD_BYTES = 32 << 20
"""Of decoded crops that wait in shared memory, which containers keep small."""


@dataclass(frozen=True)
class ExtractResult:
    """What an extraction did.

    Attributes
    ----------
    store
        The store, open.
    crops
        Crops of the cohort: `new` + `reused` + `quarantined`.
    new, reused, quarantined
        Embedded now; embedded before; without an embedding, now or before.
    forward_passes
        Batches that went through the network; 0 where the store had everything.
    seconds
        By stage: `load` (network), `wait` (for crops), `decode` (all workers together), `forward`, `write`, `total`.
    images_per_second
        New crops over the time from the first job to the last shard.
    device, precision, workers
        What they were; workers is 0 where nothing was to be done.
    """

    store: EmbeddingStore
    crops: int
    new: int
    reused: int
    quarantined: int
    forward_passes: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    images_per_second: float = 0.0
    device: str = ""
    precision: str = ""
    workers: int = 0


def extract(
    cohort: Cohort, out: Path, config: ExtractConfig, progress: Progress | None = None, *, overwrite: bool = False
) -> ExtractResult:
    """Embed the crops of a cohort that a store does not hold yet.

    A store that was cut off is finished; one that holds everything is returned as it is, without building the network.

    Parameters
    ----------
    cohort
        Whose crops.
    out
        The store's folder, new or a store of the same fingerprint.
    config
        How.
    progress
        Who listens.
    overwrite
        Replace a store instead of going on with it.

    Raises
    ------
    MismatchError
        The store at `out` has another fingerprint; the fields that differ are named.
    WeightsError
        The backbone's weights cannot be had.
    UserError
        The cohort is empty, `out` is something else, or another process is writing it.
    PixelError
        A crop failed and `config.strict` is on; finished shards are kept.
    RadboostError
        No crop could be embedded, or the store could not be written.
    """
    progress = progress or Silent()
    begun = time.perf_counter()
    if cohort.manifest.empty:
        raise UserError("the cohort has no crops", where=cohort.folder, do="Index a folder that holds images")
    refuse_unboxed(cohort, config.pixels)
    device = resolve_device(config.device)
    stored = None if overwrite else _stored(out)
    precision = config.precision
    if stored is not None and precision == "auto":
        precision = str(stored["config"]["precision"])
    config = replace(config, precision=resolve_precision(precision, device))
    if stored is not None and _same_source(stored, config, out):
        finished = _finished(cohort, out)
        if finished is not None:
            progress.say(f"all {finished.crops:,} crops were tried before: no pixel read, no forward pass")
            return replace(finished, device=device_kind(device), precision=config.precision)
    backbone = load_backbone(config.backbone)
    fingerprint = _fingerprint(backbone, config)
    if config.expect is not None:
        refuse_difference(config.expect, fingerprint, "the features that these are to join")
    if stored is not None and differing(stored["fingerprint"], fingerprint):
        old, new = _source(stored["config"]["weights"]), _source(config.backbone.source())
        refuse_difference({**stored["fingerprint"], "weights": old}, {**fingerprint, "weights": new}, out)
    loaded = time.perf_counter() - begun
    _make(out)
    with store_lock(out):
        if overwrite and (out / "store.json").is_file():
            StoreWriter.clear(out)
        run = _Run(cohort, out, config, device, progress)
        result = run(backbone, fingerprint)
    return replace(
        result,
        seconds={"load": loaded, **result.seconds, "total": time.perf_counter() - begun},
        device=device_kind(device),
    )


def _stored(out: Path) -> dict[str, Any] | None:
    """Header of the store at `out`, None where there is none."""
    _refuse_other(out)
    return store_header(out) if (out / "store.json").is_file() else None


def _refuse_other(out: Path) -> None:
    """Refuse a folder that holds something else than a store; hidden files are what a run left that was cut off."""
    if (out / "store.json").is_file() or not out.exists():
        return
    if not out.is_dir() or any(not p.name.startswith(".") for p in out.iterdir()):
        do = "Choose another --out; --overwrite replaces nothing but a store"
        raise UserError("holds something else than a store", where=out, do=do)


def _make(out: Path) -> None:
    _refuse_other(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("cannot be made", where=out, got=error.strerror, do="Choose another --out") from error


def _source(weights: Mapping[str, Any]) -> str:
    """Say where weights come from; a checkpoint is told by its bytes, whatever its name."""
    return ", ".join(f"{k} {v}" if k != "kind" else str(v) for k, v in weights.items() if k != "file")


def _same_source(stored: Mapping[str, Any], config: ExtractConfig, out: Path) -> bool:
    """Refuse what differs already without the network, and tell whether the weights come from the same source."""
    asked = config.known(config.precision)
    backbone = {k: stored["fingerprint"]["backbone"].get(k) for k in ("name", "pools", "stage")}
    have = {k: backbone if k == "backbone" else stored["fingerprint"].get(k) for k in asked}
    old, new = _source(stored["config"]["weights"]), _source(config.backbone.source())
    if differing(have, asked):
        refuse_difference({**have, "weights": old}, {**asked, "weights": new}, out)
    return old == new


def _fingerprint(backbone: Backbone, config: ExtractConfig) -> dict[str, object]:
    return {**config.known(config.precision), "backbone": backbone.identifier()}


def _finished(cohort: Cohort, out: Path) -> ExtractResult | None:
    """Give the result of a store that needs no work; None where some is left, or a shard was lost."""
    try:
        store = EmbeddingStore.open(out)
    except FormatError:
        return None
    tried = np.array([i.encode() for i in (*store.crop_ids(), *store.failed_ids())], ID_DTYPE)
    if len(StoreWriter.remaining(cohort.manifest["crop_id"].tolist(), tried)):
        return None
    return _counted(cohort, store, new=0)


def _counted(cohort: Cohort, store: EmbeddingStore, new: int) -> ExtractResult:
    crops = len(cohort.manifest)
    present = int((store.rows_of(cohort.manifest["crop_id"].tolist()) >= 0).sum())
    return ExtractResult(store, crops, new=new, reused=present - new, quarantined=crops - present)


class _Run:
    """One extraction while it lasts; the store's lock is held."""

    def __init__(
        self, cohort: Cohort, out: Path, config: ExtractConfig, device: torch.device, progress: Progress
    ) -> None:
        self._cohort, self._out, self._config, self._device, self._progress = cohort, out, config, device, progress
        self._writer: StoreWriter | None = None
        self._quarantine = Quarantine(cohort.folder)
        self._meter = Meter()
        self._empty: list[Rows] = []
        # Manifest row and crop id of each position in the work that is left.
        self._left: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._ids: npt.NDArray[np.bytes_] = np.empty(0, ID_DTYPE)
        self._new = 0

    def __call__(self, backbone: Backbone, fingerprint: Mapping[str, object]) -> ExtractResult:
        crop_ids = self._cohort.manifest["crop_id"].tolist()
        tried = np.empty(0, ID_DTYPE)
        if (self._out / "store.json").is_file():
            self._writer = StoreWriter.resume(self._out, fingerprint)
            tried = self._writer.tried()
        left = StoreWriter.remaining(crop_ids, tried)
        self._left, self._ids = left, np.array(crop_ids, ID_DTYPE)[left]
        workers = self._config.workers or available_cores()
        begun = time.perf_counter()
        if len(left):
            self._stream(backbone, fingerprint, workers)
        elapsed = time.perf_counter() - begun
        if self._writer is None:
            _, kind, reason = self._quarantine.rows[0]
            do = "Look at the paths and at quarantine/ in the cohort"
            got = f"{len(left)} failed; the first: {kind}, {reason}"
            raise RadboostError("no crop could be embedded", where=self._cohort.folder, got=got, do=do)
        meter = self._meter
        return replace(
            _counted(self._cohort, self._writer.store(), self._new),
            forward_passes=meter.forward_passes,
            seconds={"wait": meter.wait, "decode": meter.decode, "forward": meter.forward, "write": meter.write},
            images_per_second=self._new / elapsed if elapsed > 0 else 0.0,
            precision=self._config.precision,
            workers=workers,
        )

    def _stream(self, backbone: Backbone, fingerprint: Mapping[str, object], workers: int) -> None:
        config, left = self._config, self._left
        size = config.batch_size or BATCH[self._device.type]
        rows = config.shard_rows if self._writer is None else self._writer.rows_per_shard
        cuts = Cuts(len(left), size, rows)
        shard = Shard(config.dtype)
        stream = Stream(backbone, self._device, config.precision, (size, *config.pixels.shape))
        slot_bytes = 2 * int(np.prod(config.pixels.shape))
        ahead = max(2 * workers, min(size + workers, AHEAD_BYTES // slot_bytes))
        self._progress.start("extract", len(left))
        with Pool(workers, config.limits, slot_shape=config.pixels.shape, ahead=ahead) as pool:
            items = pool.map(partial(render, policy=config.pixels), crop_jobs(self._cohort, config.pixels, self._left))
            for batch in stream.run(items, cuts.stop_after, self._meter):
                shard.add(batch)
                self._report(batch)
                cuts.measure(batch.stop)
                if cuts.closes(batch.stop):
                    begun = time.perf_counter()
                    header = {"fingerprint": fingerprint, "pools": backbone.widths, "rows_per_shard": cuts.rows}
                    self._commit(shard.close(self._ids, backbone.widths), header)
                    self._meter.write += time.perf_counter() - begun

    def _report(self, batch: Batch) -> None:
        paths = self._cohort.manifest["path"].to_numpy()
        failures = [(str(paths[self._left[position]]), item.kind, item.reason) for position, item in batch.failed]
        # Told before its shard is recorded: a kill in between tells it twice, never not at all.
        self._quarantine.add(failures)
        if failures and self._config.strict:
            path, _, reason = failures[0]
            raise PixelError(reason, where=path, do="Leave --strict out to set such files aside and go on")
        self._progress.advance(batch.stop - batch.start)

    def _commit(self, rows: Rows, header: Mapping[str, object]) -> None:
        """Write a shard. Shards without a row wait for one with rows: a store in which all failed is never made."""
        if self._writer is None and not len(rows.crop_ids):
            self._empty.append(rows)
            return
        if self._writer is None:
            config = self._config
            content = {
                **header,
                "cohort": self._cohort.fingerprint,
                "key_id": self._cohort.key_id,
                "config": config.recipe(config.precision),
                "dtype": config.dtype,
            }
            self._writer = StoreWriter.create(self._out, content)
        for each in (*self._empty, rows):
            self._writer.add(each, device_kind(self._device))
            self._new += len(each.crop_ids)
        self._empty = []
