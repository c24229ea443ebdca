"""Where the time went, who was busy, and which knob to turn."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import torch

from radboost.data.crop import CropInfo
from radboost.data.worker import peak_bytes
from radboost.errors import RadboostError

__all__ = ["RUNS", "Accounting", "Meter", "record"]

RUNS = "runs.jsonl"
"""In a store: one line a run that embedded something."""

BUSY = 0.9
"""From this share of its time on, a stage counts as the one that holds the others up."""

STAGES = ("wait", "read", "decode", "crop", "transfer", "forward", "write")


@dataclass(frozen=True)
class Accounting:
    """One run's account, JSON-able; holds no names.

    Attributes
    ----------
    seconds
        By stage: `load` (network), `wait` (of the main process for crops), `read`, `decode`, `crop` (all workers
        together), `transfer` and `forward` (of the device), `write` (of its thread), `total`.
    elapsed
        Seconds from the first job to the last shard.
    crops
        Embedded.
    workers
        Busy seconds of each decoding process, the busiest first.
    device_busy, workers_busy
        Shares of `elapsed`.
    images_per_second
        Crops over `elapsed`.
    peak_bytes
        Most memory of the main process, of the largest worker, and of the device (0 on the CPU).
    device, precision, batch_size
        What they were.
    forward_passes
        Batches that went through the network.
    bottleneck
        One sentence.
    """

    seconds: Mapping[str, float]
    elapsed: float
    crops: int
    workers: tuple[float, ...]
    device_busy: float
    workers_busy: float
    images_per_second: float
    peak_bytes: Mapping[str, int]
    device: str
    precision: str
    batch_size: int
    forward_passes: int
    bottleneck: str


@dataclass
class Meter:
    """Counts while a run goes on. Seconds, but for counts.

    Attributes
    ----------
    wait, transfer, forward, write
        As in `Accounting`.
    read, decode, crop
        Of all workers together.
    workers
        Process id to busy seconds.
    worker_peak
        Most memory that a worker held, bytes.
    forward_passes
        Batches that went through the network.
    devices
        That worked side by side.
    device_peak
        Most memory of a device elsewhere, bytes.
    """

    wait: float = 0.0
    read: float = 0.0
    decode: float = 0.0
    crop: float = 0.0
    transfer: float = 0.0
    forward: float = 0.0
    write: float = 0.0
    forward_passes: int = 0
    workers: dict[int, float] = field(default_factory=dict)
    worker_peak: int = 0
    devices: int = 1
    device_peak: int = 0
    begun: float = field(default_factory=time.perf_counter)

    def job(self, worker: int, seconds: float, peak_bytes: int) -> None:
        """Count one job of one worker."""
        self.workers[worker] = self.workers.get(worker, 0.0) + seconds
        self.worker_peak = max(self.worker_peak, peak_bytes)

    def made(self, info: CropInfo) -> None:
        """Count one crop."""
        self.read += info.read_s
        self.decode += info.decode_s
        self.crop += info.crop_s

    def merge(self, other: Meter, actor: int) -> None:
        """Add what another process counted; `actor` keeps apart process ids of several machines."""
        for stage in (*STAGES, "forward_passes"):
            setattr(self, stage, getattr(self, stage) + getattr(other, stage))
        for worker, seconds in other.workers.items():
            self.job(actor << 32 | worker, seconds, other.worker_peak)
        self.device_peak = max(self.device_peak, other.device_peak)

    def account(
        self, crops: int, workers: int, device: torch.device, settings: tuple[str, str, int], load: float
    ) -> Accounting:
        """Close the books.

        Parameters
        ----------
        crops
            Embedded in this run.
        workers
            How many processes there were at a time.
        device
            Where the network ran.
        settings
            Kind of device, precision, and batch size.
        load
            Seconds of building the network.
        """
        elapsed = max(time.perf_counter() - self.begun, 1e-9)
        busy = min(1.0, (self.transfer + self.forward) / (self.devices * elapsed))
        decoding = min(1.0, sum(self.workers.values()) / (workers * elapsed)) if workers else 0.0
        seconds = {"load": load, **{stage: float(getattr(self, stage)) for stage in STAGES}}
        kind, precision, batch_size = settings
        return Accounting(
            seconds={**seconds, "total": load + elapsed},
            elapsed=elapsed,
            crops=crops,
            workers=tuple(sorted(self.workers.values(), reverse=True)),
            device_busy=busy,
            workers_busy=decoding,
            images_per_second=crops / elapsed,
            peak_bytes={
                "main": peak_bytes(),
                "worker": self.worker_peak,
                "device": max(self.device_peak, _device_peak(device)),
            },
            device=kind,
            precision=precision,
            batch_size=batch_size,
            forward_passes=self.forward_passes,
            bottleneck=_bottleneck(device, workers, decoding, busy, self.write / elapsed),
        )


def _bottleneck(device: torch.device, workers: int, decoding: float, busy: float, writing: float) -> str:
    """Say what held the run up, and which knob to turn."""
    many = f"{workers} worker{'' if workers == 1 else 's'}"
    shares = f"{many} {decoding:.0%} busy, device {busy:.0%} busy, writing {writing:.0%}"
    if writing >= BUSY:
        return f"writing: {shares}: a faster disk, or --dtype float16"
    if device.type == "cpu" and decoding + busy >= BUSY:
        first = "network" if busy >= decoding else "decoding"
        return f"{first}, on the cores that decoding and network share: {shares}: a GPU, a smaller --size or --backbone"
    if busy >= BUSY:
        return f"network: {shares}: --precision bf16, a smaller --size or --backbone, or more GPUs"
    if decoding >= BUSY:
        return f"decoding: {shares}: more --workers, or the `cuda` extra for JPEG 2000"
    return f"nothing was busy throughout, as when a run is short or the disk is slow: {shares}"


def _device_peak(device: torch.device) -> int:
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else 0


def record(folder: Path, accounting: Accounting) -> None:
    """Add a run to the store's record.

    Raises
    ------
    RadboostError
        The disk is full or cannot be written; the store itself is whole.
    """
    content = {"finished": datetime.now(UTC).isoformat(timespec="seconds"), **asdict(accounting)}
    try:
        with (folder / RUNS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(content, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        do = "The store is whole; free space before the next run"
        what = "the account of the run could not be written"
        raise RadboostError(what, where=folder / RUNS, got=error.strerror, do=do) from error
