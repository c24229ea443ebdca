"""Run by test_extract: SIGKILL an extraction again and again, and compare what it ends with.

Called with a cohort's folder, a folder for the stores, how many kills at random moments there shall be, and their seed.
Each kill is followed by a resumption, which may be killed in its turn; every store is finished and compared with one
that was never interrupted, shard by shard and byte by byte.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

import radboost.extractor.extract as module
import radboost.extractor.work as work
from radboost.data.cohort import Cohort

_spec = importlib.util.spec_from_file_location("parts", Path(__file__).with_name("conftest.py"))
assert _spec is not None
assert _spec.loader is not None
parts = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(parts)


class SlowPool(parts.InlinePool):
    """Decoding that takes a while, so that a kill can land anywhere."""

    def map(self, function, jobs):
        for item in super().map(function, jobs):
            time.sleep(0.004)
            yield item


def run_in_child(cohort: Cohort, out: Path, before: Callable[[], None], after_s: float | None = None) -> bool:
    """Extract in a fork and tell whether it was killed."""
    child = os.fork()
    if child == 0:
        before()
        module.extract(cohort, out, parts.make_config())
        os._exit(0)
    if after_s is not None:
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status) != 0:
        sys.exit("the extraction failed")
    return os.WIFSIGNALED(status)


def die_at_fsync(number: int) -> Callable[[], None]:
    def arm() -> None:
        real, calls = os.fsync, []

        def fsync(handle: int) -> None:
            calls.append(1)
            if len(calls) > number:
                os.kill(os.getpid(), signal.SIGKILL)
            real(handle)

        os.fsync = fsync

    return arm


def shards(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in out.glob("part-*.h5")}


def main() -> None:
    torch.set_num_threads(1)
    cohort, root = Cohort.load(Path(sys.argv[1])), Path(sys.argv[2])
    wanted, seed = int(sys.argv[3]), int(sys.argv[4])
    work.Pool = SlowPool
    begun = time.perf_counter()
    run_in_child(cohort, root / "whole", lambda: None)
    lasts = time.perf_counter() - begun
    expected = shards(root / "whole")
    told = {"differing": [], "leftovers": [], "killed_at_fsync": 0, "killed_at_random": 0, "resumed_with_shards": 0}

    def finish(out: Path) -> None:
        told["resumed_with_shards"] += bool(list(out.glob("part-*.h5")))
        run_in_child(cohort, out, lambda: None)
        if shards(out) != expected:
            told["differing"].append(out.name)
        known = {*expected, "store.json", "parts.jsonl", "runs.jsonl", ".lock"}
        told["leftovers"] += [p.name for p in out.iterdir() if p.name not in known]

    number = 0
    while run_in_child(cohort, root / f"fsync-{number}", die_at_fsync(number)):
        told["killed_at_fsync"] += 1
        finish(root / f"fsync-{number}")
        number += 1
    moments = random.Random(seed)
    tries = 0
    while told["killed_at_random"] < wanted and tries < 10 * wanted:
        out = root / f"random-{tries}"
        tries += 1
        # Until one run comes to its end, or there were enough kills, it is killed over and over.
        while told["killed_at_random"] < wanted and run_in_child(
            cohort, out, lambda: None, moments.uniform(0.2, 0.9) * lasts
        ):
            told["killed_at_random"] += 1
        finish(out)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
