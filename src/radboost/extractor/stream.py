"""From decoded crops to embeddings: bounded, in order, with the device never waiting for the copy of its results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from radboost.data.crop import CropInfo, CropJob
from radboost.data.pool import Done, Failed
from radboost.errors import RadboostError
from radboost.extractor.backbone import Backbone
from radboost.nets.device import autocast

__all__ = ["Batch", "Meter", "Stream"]

Item = Done[CropJob, CropInfo] | Failed[CropJob]


@dataclass
class Meter:
    """Where the time went, seconds.

    Attributes
    ----------
    wait
        Of the main process for crops.
    decode
        Of all workers together.
    forward
        For transfer, network and results.
    write
        For shards.
    forward_passes
        Batches that went through the network.
    """

    wait: float = 0.0
    decode: float = 0.0
    forward: float = 0.0
    write: float = 0.0
    forward_passes: int = 0


@dataclass(frozen=True)
class Batch:
    """Embeddings of a run of jobs.

    Attributes
    ----------
    start, stop
        Positions of the jobs, stop exclusive.
    kept
        Positions that have an embedding, in order.
    embeddings
        Pool name to (len(kept), width) float32.
    failed
        Position and reason of the others.
    reduce
        Wavelet levels dropped while decoding, of each position kept.
    """

    start: int
    stop: int
    kept: list[int]
    embeddings: dict[str, npt.NDArray[np.float32]]
    failed: list[tuple[int, Failed[CropJob]]]
    reduce: list[int] = field(default_factory=list)


@dataclass
class _Flight:
    """A batch whose results are still on their way from the device."""

    batch: Batch
    results: dict[str, torch.Tensor] = field(default_factory=dict)
    done: Any = None


class Stream:
    """A backbone on its device, fed from pinned buffers.

    Parameters
    ----------
    backbone
        The network; moved to `device`.
    device, precision
        Where, and in which precision it multiplies.
    shape
        (batch, channels, size, size) of the largest batch.
    """

    def __init__(
        self, backbone: Backbone, device: torch.device, precision: str, shape: tuple[int, int, int, int]
    ) -> None:
        self._backbone, self._device, self._precision = backbone, device, precision
        self._cuda = device.type == "cuda"
        backbone.model.to(device).to(memory_format=torch.channels_last)
        mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (backbone.mean, backbone.std))
        # (pixel / 65535 - mean) / std as one product and one sum.
        self._scale, self._shift = 1 / (65535 * std), -mean / std
        # Channel k of the network sees channel k of the crop, and grey is seen three times.
        self._channels = torch.tensor([k % shape[1] for k in range(3)], device=device)
        # int16 carries the bits of uint16, for which torch has few kernels. Two buffers: one fills while one is sent.
        self._buffers = [torch.zeros(shape, dtype=torch.int16, pin_memory=self._cuda) for _ in range(2)]

    def run(self, items: Iterator[Item], stop_after: Callable[[int], int], meter: Meter) -> Iterator[Batch]:
        """Embed items in order.

        Parameters
        ----------
        items
            Results of decoding; each item's pixels are copied before the next is asked for.
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
            The network gives values that are not finite, or the device is out of memory.
        """
        flying: _Flight | None = None
        start, turn = 0, 0
        while (stop := stop_after(start)) > start:
            buffer = self._buffers[turn]
            batch = _fill(buffer, items, start, stop, meter)
            begun = time.perf_counter()
            # The last batch's copies are awaited only now that the next one is full; its buffer is the other one.
            launched = self._launch(buffer, batch, meter)
            finished = None if flying is None else self._land(flying)
            meter.forward += time.perf_counter() - begun
            if finished is not None:
                yield finished
            flying, start, turn = launched, stop, 1 - turn
        if flying is not None:
            begun = time.perf_counter()
            last = self._land(flying)
            meter.forward += time.perf_counter() - begun
            yield last

    def _launch(self, buffer: torch.Tensor, batch: Batch, meter: Meter) -> _Flight:
        flight = _Flight(batch)
        if not batch.kept:
            return flight
        try:
            with torch.inference_mode():
                images = self._images(buffer[: batch.stop - batch.start])
                with autocast(self._device, self._precision):
                    vectors = self._backbone.embed(images)
                flight.results = {name: v.to("cpu", non_blocking=self._cuda) for name, v in vectors.items()}
        except torch.OutOfMemoryError as error:
            do = "Give a smaller --batch-size; finished shards are kept"
            raise RadboostError("the device is out of memory", got=f"{len(images)} images", do=do) from error
        if self._cuda:
            flight.done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            flight.done.record(torch.cuda.current_stream(self._device))
        meter.forward_passes += 1
        return flight

    def _images(self, buffer: torch.Tensor) -> torch.Tensor:
        sent = buffer.to(self._device, non_blocking=self._cuda)
        grey = (sent.to(torch.int32) & 0xFFFF).to(torch.float32)
        images = grey[:, self._channels] * self._scale + self._shift
        return images.contiguous(memory_format=torch.channels_last)

    def _land(self, flight: _Flight) -> Batch:
        if flight.done is not None:
            flight.done.synchronize()
        batch = flight.batch
        at = [position - batch.start for position in batch.kept]
        for name, values in flight.results.items():
            batch.embeddings[name] = values.numpy()[at]
            if not np.isfinite(batch.embeddings[name]).all():
                do = "Use --precision fp32, or other weights"
                raise RadboostError(
                    f"the backbone gives values that are not finite, pooled by {name}",
                    where=self._backbone.config.name,
                    got=self._precision,
                    do=do,
                )
        return batch


def _fill(buffer: torch.Tensor, items: Iterator[Item], start: int, stop: int, meter: Meter) -> Batch:
    """Copy crops into a buffer; a failed one leaves black, so that its neighbours' arithmetic stays the same."""
    batch = Batch(start, stop, [], {}, [])
    slots = buffer.numpy().view(np.uint16)
    for position in range(start, stop):
        begun = time.perf_counter()
        item = next(items)
        meter.wait += time.perf_counter() - begun
        if isinstance(item, Done) and item.pixels is not None:
            slots[position - start] = item.pixels
            batch.kept.append(position)
            batch.reduce.append(item.value.reduce)
            meter.decode += item.seconds
        else:
            slots[position - start] = 0
        if isinstance(item, Failed):
            batch.failed.append((position, item))
    return batch
