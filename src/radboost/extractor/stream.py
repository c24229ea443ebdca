"""From decoded crops to embeddings: bounded, in order, with the device never waiting for the copy of its results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from radboost.data.crop import CropInfo, CropJob, Flaw
from radboost.data.pool import Done, Failed
from radboost.errors import RadboostError
from radboost.extractor.accounting import Meter
from radboost.extractor.backbone import Backbone
from radboost.extractor.pixels import Shown
from radboost.extractor.views import ViewConfig, augment
from radboost.nets.device import autocast

__all__ = ["Batch", "Item", "Stream", "StreamConfig"]

Group = tuple[CropJob, ...]
Item = Done[Group, tuple[CropInfo | Flaw, ...]] | Failed[Group]
"""What the pool gives for the crops of one frame."""


@dataclass(frozen=True)
class StreamConfig:
    """How a backbone is fed.

    Attributes
    ----------
    device, precision
        Where, and in which precision it multiplies.
    shape
        (batch, channels, size, size) of the largest batch.
    views
        Which augmented views are made beside the clean one.
    """

    device: torch.device
    precision: str
    shape: tuple[int, int, int, int]
    views: ViewConfig = field(default_factory=ViewConfig)


@dataclass(frozen=True)
class Batch:
    """Embeddings of a run of crops.

    Attributes
    ----------
    start, stop
        Positions of the crops, stop exclusive.
    kept
        Positions that have embeddings, in order.
    embeddings
        Pool name to (len(kept), 1 + views, width) float32.
    failed
        Position, kind and reason of the others.
    reduce
        Wavelet levels dropped while decoding, of each position kept.
    """

    start: int
    stop: int
    kept: list[int]
    embeddings: dict[str, npt.NDArray[np.float32]]
    failed: list[tuple[int, str, str]]
    reduce: list[int] = field(default_factory=list)


@dataclass
class _Flight:
    """A batch whose results are still on their way from the device: pool name to one tensor a view."""

    batch: Batch
    results: dict[str, list[torch.Tensor]] = field(default_factory=dict)
    marks: list[Any] = field(default_factory=list)


_Crop = tuple[npt.NDArray[np.uint16], CropInfo] | Flaw


class Stream:
    """A backbone on its device, fed from pinned buffers.

    Parameters
    ----------
    backbone
        The network; moved to the device.
    config
        How.
    """

    def __init__(self, backbone: Backbone, config: StreamConfig) -> None:
        self._backbone, self._config = backbone, config
        self._device = config.device
        self._cuda = config.device.type == "cuda"
        backbone.model.to(config.device).to(memory_format=torch.channels_last)
        self._shown = Shown(backbone, config.shape[1], config.device)
        # int16 carries the bits of uint16, for which torch has few kernels. Two buffers: one fills while one is sent.
        self._buffers = [torch.zeros(config.shape, dtype=torch.int16, pin_memory=self._cuda) for _ in range(2)]
        self._most = config.shape[0]

    def run(
        self, items: Iterator[Item], ids: Sequence[str], stop_after: Callable[[int], int], meter: Meter
    ) -> Iterator[Batch]:
        """Embed crops in order.

        Parameters
        ----------
        items
            Results of decoding; each crop's pixels are copied before the next item is asked for.
        ids
            Crop id of each position.
        stop_after
            Given a batch's first position, where it ends; equal to the first position when there is no more work.
        meter
            Counts time and forward passes.

        Yields
        ------
        Batch
            In order of position, without gaps.

        Raises
        ------
        RadboostError
            The network gives values that are not finite, or one image is too much for the device.
        """
        crops = _crops(items, meter)
        flying: _Flight | None = None
        start, turn = 0, 0
        while (stop := stop_after(start)) > start:
            buffer = self._buffers[turn]
            batch = _fill(buffer, crops, start, stop)
            # The last batch's copies are awaited only now that the next one is full; its buffer is the other one.
            launched = self._launch(buffer, batch, ids[start:stop], meter)
            if flying is not None:
                yield self._land(flying, meter)
            flying, start, turn = launched, stop, 1 - turn
        if flying is not None:
            yield self._land(flying, meter)

    def _launch(self, buffer: torch.Tensor, batch: Batch, ids: Sequence[str], meter: Meter) -> _Flight:
        flight = _Flight(batch)
        if not batch.kept:
            return flight
        flight.marks.append(self._mark())
        with torch.inference_mode():
            sent = buffer[: batch.stop - batch.start].to(self._device, non_blocking=self._cuda)
            flight.marks.append(self._mark())
            for view in range(1 + self._config.views.count):
                for name, vectors in self._embed(sent, ids, view).items():
                    flight.results.setdefault(name, []).append(vectors.to("cpu", non_blocking=self._cuda))
        flight.marks.append(self._mark())
        meter.forward_passes += 1 + self._config.views.count
        return flight

    def _mark(self) -> Any:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def _embed(self, sent: torch.Tensor, ids: Sequence[str], view: int) -> dict[str, torch.Tensor]:
        """Embed one view, in pieces that fit: on a lack of memory half as many at a time, and so from then on."""
        done: list[dict[str, torch.Tensor]] = []
        first = 0
        while first < len(sent):
            part = slice(first, first + self._most)
            try:
                images = self._images(sent[part], ids[part], view)
                with autocast(self._device, self._config.precision):
                    done.append(self._backbone.embed(images))
                first += self._most
            except torch.OutOfMemoryError as error:
                if self._most == 1:
                    what = "the device has no memory for a single image"
                    do = "Give a smaller --size or --backbone, or --precision bf16; finished shards are kept"
                    raise RadboostError(what, got=str(error)[:80], do=do) from error
                self._most = max(1, min(self._most, len(sent)) // 2)
                if self._cuda:
                    torch.cuda.empty_cache()
        if len(done) == 1:
            return done[0]
        return {name: torch.cat([each[name] for each in done]) for name in done[0]}

    def _images(self, sent: torch.Tensor, ids: Sequence[str], view: int) -> torch.Tensor:
        grey = self._shown.grey(sent)
        if view == 0:
            return self._shown.clean(grey)
        return self._shown.augmented(augment(grey / 65535, ids, view, self._config.views))

    def _land(self, flight: _Flight, meter: Meter) -> Batch:
        batch = flight.batch
        if flight.marks:
            begun, sent, done = flight.marks
            if self._cuda:
                done.synchronize()
                meter.transfer += begun.elapsed_time(sent) / 1000
                meter.forward += sent.elapsed_time(done) / 1000
            else:
                meter.transfer += sent - begun
                meter.forward += done - sent
        at = [position - batch.start for position in batch.kept]
        for name, views in flight.results.items():
            batch.embeddings[name] = np.stack([values.numpy()[at] for values in views], axis=1)
            if not np.isfinite(batch.embeddings[name]).all():
                raise RadboostError(
                    f"the backbone gives values that are not finite, pooled by {name}",
                    where=self._backbone.config.name,
                    got=self._config.precision,
                    do="Use --precision fp32, or other weights",
                )
        return batch


def _crops(items: Iterator[Item], meter: Meter) -> Iterator[_Crop]:
    """Take frames apart into crops, in order; a crop's pixels are gone when the next one is asked for."""
    while True:
        begun = time.perf_counter()
        item = next(items, None)
        meter.wait += time.perf_counter() - begun
        if item is None:
            return
        if isinstance(item, Failed):
            for _ in item.job:
                yield Flaw(item.reason, item.kind)
            continue
        meter.job(item.worker, item.seconds, item.peak_bytes)
        for number, made in enumerate(item.value):
            if isinstance(made, Flaw) or item.pixels is None:
                yield made if isinstance(made, Flaw) else Flaw("no pixels came back", "unexpected")
            else:
                meter.made(made)
                yield item.pixels[number], made


def _fill(buffer: torch.Tensor, crops: Iterator[_Crop], start: int, stop: int) -> Batch:
    """Copy crops into a buffer; a failed one leaves black, so that its neighbours' arithmetic stays the same."""
    batch = Batch(start, stop, [], {}, [])
    slots = buffer.numpy().view(np.uint16)
    for position in range(start, stop):
        crop = next(crops)
        if isinstance(crop, Flaw):
            slots[position - start] = 0
            batch.failed.append((position, crop.kind, crop.reason))
        else:
            slots[position - start], info = crop
            batch.kept.append(position)
            batch.reduce.append(info.reduce)
    return batch
