"""An extraction under watch: what it costs from its first read to its last write, and what it touches."""

# Nothing heavy is imported up here: each decoding process imports this file again, and must stay free of torch.
from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from multiprocessing import active_children
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radboost.data.pool import Pool

if TYPE_CHECKING:
    from radboost.extractor.backbone import Backbone

TICK = os.sysconf("SC_CLK_TCK")


def cpu() -> float:
    """Seconds of CPU of this process and its threads, of children that were waited for, and of those that live."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = 0
    for child in active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        living += int(fields[11]) + int(fields[12])
    return time.process_time() + ended.ru_utime + ended.ru_stime + living / TICK


@dataclass
class Watch:
    """What one extraction cost from its first read, all workers being there, to its last write."""

    images: int = 0
    pools: int = 0
    networks: int = 0
    cpu: float = 0.0
    seconds: float = 0.0
    opened: int = 0


class WatchedPool(Pool):
    """The pool that extract uses; says when its workers stand and have read a film."""

    watch = Watch()
    begun: Callable[[], None]

    def map(self, function: Callable[..., Any], jobs: Any) -> Iterator[Any]:
        """Warm the workers, tell that it begins, and count."""
        source = iter(jobs)
        first = next(source)
        warm: dict[int, int] = {}
        while len(warm) < self._workers or min(warm.values()) < 2:
            for item in super().map(function, [first] * self._workers):
                warm[item.worker] = warm.get(item.worker, 0) + 1
        type(self).begun()
        for item in super().map(function, chain([first], source)):
            self.watch.images += len(item.job)
            yield item


@contextmanager
def watched(root: Path) -> Iterator[Watch]:
    """Watch the extraction within."""
    from radboost.extractor import extract as extraction
    from radboost.extractor import work
    from radboost.extractor.accounting import Accounting, Meter

    watch = WatchedPool.watch = Watch()
    at: dict[str, float] = {}
    meters: list[Meter] = []
    real_load, images = extraction.load_backbone, str(root)

    class WatchedMeter(Meter):
        def account(self, *words: Any) -> Accounting:
            watch.cpu, watch.seconds = cpu() - at["cpu"], time.perf_counter() - at["time"]
            return super().account(*words)

    def begun() -> None:
        at["cpu"], at["time"] = cpu(), time.perf_counter()
        meters[-1].begun = at["time"]

    def meter() -> Meter:
        meters.append(WatchedMeter())
        return meters[-1]

    def pool(*words: Any, **named: Any) -> WatchedPool:
        watch.pools += 1
        return WatchedPool(*words, **named)

    def load(*words: Any) -> Backbone:
        watch.networks += 1
        return real_load(*words)

    def hear(event: str, words: Any) -> None:
        if event == "open" and watching and isinstance(words[0], str) and words[0].startswith(images):
            watch.opened += 1

    watching = [True]
    sys.addaudithook(hear)
    WatchedPool.begun = staticmethod(begun)
    work.Meter, work.Pool, extraction.load_backbone = meter, pool, load
    try:
        yield watch
    finally:
        watching.clear()
        work.Meter, work.Pool, extraction.load_backbone = Meter, Pool, real_load
