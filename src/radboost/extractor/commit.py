"""Shards on their way to the disk, in a thread of their own: the network goes on with the next one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from radboost.data.store import Rows, StoreWriter
from radboost.extractor.accounting import RUNS, Meter

__all__ = ["Committer"]


class Committer:
    """Writes shards in order, at most one behind; a context manager that leaves none unwritten.

    Parameters
    ----------
    out
        The store's folder; its lock is held.
    writer
        Of a store that is gone on with; None where there is none yet, or the one that is there shall give way.
    content
        Header of a new store, but for the rows a shard, which are known when the first one closes.
    device
        Kind of device, for the record.
    meter
        Counts the time.
    """

    def __init__(
        self, out: Path, writer: StoreWriter | None, content: Mapping[str, object], device: str, meter: Meter
    ) -> None:
        self._out, self.writer, self._content, self._device, self._meter = out, writer, content, device, meter
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shards")
        self._behind: Future[None] | None = None
        self._empty: list[Rows] = []

    def __enter__(self) -> Committer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        if error is None:
            self._settle()

    def _settle(self) -> None:
        """Wait for the shard that is being written, and let its failure be heard."""
        behind, self._behind = self._behind, None
        if behind is not None:
            behind.result()

    def commit(self, rows: Rows, rows_per_shard: int, device: str | None = None) -> None:
        """Hand over a shard; `device` where it was made on another kind.

        Raises
        ------
        RadboostError
            The one before could not be written.
        """
        self._settle()
        self._behind = self._thread.submit(self._write, rows, rows_per_shard, device or self._device)

    def _write(self, rows: Rows, rows_per_shard: int, device: str) -> None:
        begun = time.perf_counter()
        if self.writer is None and not len(rows.crop_ids):
            # Shards without a row wait for one with rows: a store in which all failed is never made.
            self._empty.append(rows)
            return
        if self.writer is None:
            if (self._out / "store.json").is_file():
                # Asked to be replaced; until now, when there is something better, it was left alone.
                StoreWriter.clear(self._out)
                (self._out / RUNS).unlink(missing_ok=True)
            self.writer = StoreWriter.create(self._out, {**self._content, "rows_per_shard": rows_per_shard})
        for each in (*self._empty, rows):
            self.writer.add(each, device)
        self._empty = []
        self._meter.write += time.perf_counter() - begun
