"""What this machine has: cores, memory, disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from radboost.data.probe import Probe, State

__all__ = ["probe_disk", "probe_machine"]

AREA = "machine"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that bound the threads of the numeric libraries."""
LITTLE_DISK = 5e9
LITTLE_SHARED = 256e6
"""Bytes below which a reader should look: a store of a large data set, and the pixels of a pool's workers."""


def probe_machine() -> list[Probe]:
    """Count cores and memory that this process may use."""
    from radboost.data.pool import available_cores

    cores, machine = available_cores(), os.cpu_count() or 1
    held = "" if cores == machine else f" of the machine's {machine}"
    asked = ", ".join(f"{name}={os.environ[name]}" for name in THREADS if os.environ.get(name))
    found = [Probe(AREA, "cores", State.works, f"{cores}{held}, for processes and threads; {asked or 'no bound set'}")]
    total, free = _memory()
    if total:
        shown = f"{total / 1e9:.1f} GB" + (f", {free / 1e9:.1f} GB free" if free else "")
        found.append(Probe(AREA, "memory", State.works if total > 4e9 else State.note, shown))
    shared = Path("/dev/shm")
    if shared.is_dir():
        size = shutil.disk_usage(shared).free
        do = "Give the container more, as with docker run --shm-size=1g: workers hand pixels over through it"
        little = size < LITTLE_SHARED
        state = State.note if little else State.works
        found.append(Probe(AREA, "shared memory", state, f"{size / 1e9:.1f} GB free", do if little else ""))
    return found


def _memory() -> tuple[float, float]:
    """Bytes of memory that this process may have in all, and that are free; 0 where the system does not tell."""
    total = _number(lambda: float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
    # A container's bound is "max" where there is none.
    bound = _number(lambda: float(Path("/sys/fs/cgroup/memory.max").read_text("ascii")))
    lines = _number(_available)
    total = min(total, bound) if bound else total
    return total, min(lines, total)


def _available() -> float:
    text = Path("/proc/meminfo").read_text("ascii")
    line = next(line for line in text.splitlines() if line.startswith("MemAvailable:"))
    return float(line.split()[1]) * 1024


def _number(ask: Callable[[], float]) -> float:
    try:
        return ask()
    except (OSError, ValueError, AttributeError, StopIteration):
        return 0.0


def probe_disk(place: Path, name: str) -> list[Probe]:
    """See how much room there is.

    Parameters
    ----------
    place
        A folder that exists.
    name
        What it is called in the report.
    """
    used = shutil.disk_usage(place)
    little = used.free < LITTLE_DISK
    do = "A store takes width x 2 bytes a crop, a cohort's journal and crops more" if little else ""
    shown = f"{used.free / 1e9:.1f} of {used.total / 1e9:.1f} GB free"
    if not os.access(place, os.W_OK):
        return [Probe(AREA, f"disk, {name}", State.note, f"{shown}, and may not be written to", "Choose another --out")]
    return [Probe(AREA, f"disk, {name}", State.note if little else State.works, shown, do)]
