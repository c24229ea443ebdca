"""Where shards and batches begin and end, and the rows that wait for their shard to close."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from radboost.data.store import Rows
from radboost.errors import RadboostError
from radboost.extractor.stream import Batch

__all__ = ["Cuts", "Shard"]

MEASURE_S = 10.0
SHARD_S = 60.0
LEAST_ROWS = 1024
"""Of a store whose first run was too short to be measured: more images may come later."""
MOST_ROWS = 1 << 16
"""A shard waits in memory: 65,536 rows of 2,048 float16 are 256 MiB."""


@dataclass
class Cuts:
    """Cut a row of jobs into shards of equal length, and shards into batches.

    Attributes
    ----------
    total
        Number of jobs.
    batch
        Most jobs a forward pass. A batch never crosses a shard.
    rows
        Jobs a shard; None until it is measured.
    """

    total: int
    batch: int
    rows: int | None
    _ending: bool = False
    _begun: float | None = None
    _first: int = 0
    _ahead: int = 0

    def stop_after(self, start: int) -> int:
        """End of the batch that begins at `start`; `start` itself where the work ends."""
        if self._ending and self.rows is not None and start and start % self.rows == 0:
            return start
        shard_end = self.total if self.rows is None else (start // self.rows + 1) * self.rows
        stop = min(start + self.batch, shard_end, self.total)
        self._ahead = max(self._ahead, stop)
        return stop

    def end_early(self) -> None:
        """Let the work end with the shard in hand; one of no fixed length yet ends with the batches cut so far."""
        if self.rows is None and self._ahead:
            self.rows = -(-self._ahead // self.batch) * self.batch
        self._ending = True

    def measure(self, stop: int) -> None:
        """Fix the rows a shard from the rate so far, once enough was seen.

        Called with the end of each finished batch. Until then batches were cut at multiples of the batch size, so a
        multiple that lies beyond all that was cut fits them.
        """
        now = time.perf_counter()
        if self._begun is None:
            # The first batch waited for workers to start; its time says nothing about the rate.
            self._begun, self._first = now, stop
        if self.rows is not None:
            return
        elapsed = now - self._begun
        if stop == self.total or elapsed >= MEASURE_S or stop >= MOST_ROWS // 2:
            rate = (stop - self._first) / elapsed if elapsed > 0 and stop > self._first else 0.0
            least = -(-max(self._ahead, 1) // self.batch)
            wished = rate * SHARD_S if elapsed >= MEASURE_S else max(rate * SHARD_S, LEAST_ROWS)
            self.rows = max(least, int(min(wished, MOST_ROWS)) // self.batch) * self.batch

    def closes(self, stop: int) -> bool:
        """Whether a shard ends where a batch ends."""
        return stop == self.total or (self.rows is not None and stop % self.rows == 0)


@dataclass
class Shard:
    """Rows of the shard that is being made.

    Attributes
    ----------
    dtype
        Of the embeddings on disk.
    views
        Rows a crop: the clean view and the augmented ones.
    """

    dtype: str
    views: int = 1
    _kept: list[int] = field(default_factory=list)
    _failed: list[int] = field(default_factory=list)
    _reduce: list[int] = field(default_factory=list)
    _parts: list[dict[str, npt.NDArray[np.floating]]] = field(default_factory=list)

    def add(self, batch: Batch) -> None:
        """Take a batch.

        Raises
        ------
        RadboostError
            float16 cannot hold its values.
        """
        self._kept += batch.kept
        self._reduce += batch.reduce
        self._failed += [position for position, _, _ in batch.failed]
        if batch.kept:
            rows = {name: e.reshape(-1, e.shape[-1]) for name, e in batch.embeddings.items()}
            self._parts.append({name: self._narrowed(name, values) for name, values in rows.items()})

    def _narrowed(self, pool: str, values: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        if self.dtype == "float16":
            range16 = np.finfo(np.float16)
            largest = float(np.abs(values).max())
            if largest > float(range16.max) or 0 < largest < float(range16.smallest_normal):
                do = "Use --dtype float32"
                raise RadboostError(
                    f"embeddings pooled by {pool} leave the range of float16", got=f"up to {largest:.3g}", do=do
                )
        return values.astype(self.dtype)

    def close(self, ids: npt.NDArray[np.bytes_], widths: dict[str, int]) -> Rows:
        """Give the rows and begin anew.

        Parameters
        ----------
        ids
            Crop id of each position.
        widths
            Pool name to width, for a shard without rows.
        """
        embeddings = {
            name: np.concatenate([part[name] for part in self._parts])
            if self._parts
            else np.empty((0, width), self.dtype)
            for name, width in widths.items()
        }
        kept, reduce = np.array(self._kept, np.int64), np.array(self._reduce, np.uint8)
        views = np.tile(np.arange(self.views, dtype=np.uint8), len(kept))
        rows = Rows(ids[kept.repeat(self.views)], embeddings, ids[self._failed], reduce.repeat(self.views), views=views)
        self._kept, self._failed, self._reduce, self._parts = [], [], [], []
        return rows
