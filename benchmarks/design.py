"""Peak memory of the design matrix and its preparation, beside holding it in float32 twice.

Run it as ``python benchmarks/design.py``. Each way runs in a process of its own, which prints the most it ever held
resident (VmHWM; ru_maxrss would start from the parent's). Mapped pages of the store count, though the system may drop
them, so this is no less than what is needed. ``base`` loads the libraries, the cohort and the store's index; ``ours``
also builds the design, leaves a fold out and fits scaling and components on the rest; ``held`` builds the same matrix,
all blocks side by side in float32, and a scaled copy. What "everything" takes is computed: the crops' embeddings in
float32 or the design's columns in float32, whichever is more, since who holds everything holds at least that.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.linalg
from scipy.linalg.blas import dsyrk

from radboost.booster.design import build_design
from radboost.booster.prepare import Prepared
from radboost.data.cohort import NO_BOX, Cohort
from radboost.data.identity import keyed_hashes
from radboost.data.store import ID_DTYPE, EmbeddingStore, Rows, StoreWriter
from radboost.data.task import OPPOSITE, Slots, Target, Task

AIM = 0.7
KEY = bytes(32)
SHARD = 4096
LAYOUTS = {
    "breasts": (4, Slots("view", ("CC", "MLO"), side="side"), "two views and their left-right differences"),
    "slices": (32, Slots(neighbours=2), "slices, their neighbours and the differences"),
    "pooled": (6, Slots(pool=("mean", "max", "std", "best-3")), "six crops a unit by four statistics"),
    "plain": (1, Slots(), "one crop a unit and nothing else"),
}
"""Crops a patient, what the task declares, and what that is."""


def make(folder: Path, layout: str, crops: int, width: int) -> None:
    """Write a cohort and its store."""
    each, slots, _ = LAYOUTS[layout]
    number = np.arange(crops // each * each)
    patient, within = number // each, number % each
    group = pd.Series(patient).map("P{:07d}".format)
    side, slot = np.array(["L", "R"])[within % 2], np.array(slots.values)[within // 2 % len(slots.values)]
    units = {"breasts": group + "_" + side, "slices": group + "_" + pd.Series(within).map("{:03d}".format)}
    unit = units.get(layout, group)
    ids = keyed_hashes(KEY, "crop", [str(n) for n in number])
    manifest = pd.DataFrame({"crop_id": ids, "path": "", "frame": -1, "group": group, "study": "", "instance": ""})
    manifest = manifest.assign(series=group, order=within.astype(float), laterality=side, view=slot, **NO_BOX)
    links = pd.DataFrame({"unit": unit, "crop_id": ids, "slot": slot, "order": within.astype(float)})
    if slots.side:
        flipped = links.assign(unit=group + "_" + np.array(["R", "L"])[within % 2], slot=links["slot"] + OPPOSITE)
        links = pd.concat([links, flipped], ignore_index=True)
    targets = pd.DataFrame({"unit": unit, "group": group, "target": "sick", "label": 0, "task_weight": 1.0})
    folds = pd.DataFrame({"group": group.unique(), "split": "train"})
    folds["fold"] = np.arange(len(folds)) % 5
    task = Task("benchmark", "t.csv", ("unit",), "group", (Target("sick", "sick"),), slots=slots)
    Cohort(folder, task, manifest, links, targets.drop_duplicates("unit"), folds, KEY).save(folder / "cohort")
    (folder / "store").mkdir()
    content = {"fingerprint": {"layout": layout}, "config": {}, "pools": {"avg": width}, "dtype": "float16"}
    writer, rng = StoreWriter.create(folder / "store", {**content, "rows_per_shard": SHARD}), np.random.default_rng(0)
    for start in range(0, len(ids), SHARD):
        part = np.array([i.encode() for i in ids[start : start + SHARD]], ID_DTYPE)
        values = rng.standard_normal((len(part), width), np.float32) * np.linspace(1, 0.05, width, dtype=np.float32)
        writer.add(Rows(part, {"avg": values.astype(np.float16)}, part[:0]), "cpu")
    writer.store()


def peak(folder: Path, way: str) -> None:
    """Do one way in this process and print its peak, the size of the matrix, and the time, as JSON."""
    cohort, store = Cohort.load(folder / "cohort"), EmbeddingStore.open(folder / "store")
    store.rows_of(cohort.manifest["crop_id"].tolist())
    # The buffers of both libraries' linear algebra belong to them.
    square = np.eye(512) @ np.eye(512)
    scipy.linalg.eigh(square, subset_by_index=[500, 511])
    dsyrk(1.0, square)
    numbers, started = 0, time.perf_counter()
    if way != "base":
        design = build_design(cohort, [store])
        design = design.take(design.label[:, 0] >= 0)
        numbers = sum(len(design) * block.columns for block in design.blocks)
    if way == "ours":
        Prepared.fit(design, (design.fold != 0).astype(np.float64))
    elif way == "held":
        x, at = np.empty((len(design), numbers // len(design)), np.float32), 0
        while design.blocks:
            block = design.blocks[0]
            x[:, at : at + block.columns], at = block.x, at + block.columns
            design = replace(design, blocks=design.blocks[1:])
        scaled = (x - x.mean(axis=0)).astype(np.float32)
        scaled /= np.maximum(scaled.max(axis=0), 1e-9)
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status").read_text("ascii")
    used = 1024 * int(status.partition("VmHWM:")[2].split()[0])
    print(json.dumps({"peak": used, "bytes": 4 * numbers, "seconds": seconds}))


def measure(folder: Path, way: str) -> dict[str, float]:
    """Run one way in a fresh process."""
    words = [sys.executable, "-W", "ignore", __file__, "--one", way, "--folder", str(folder)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print each layout's peaks and their ratio to holding everything twice."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--crops", type=int, default=40_000)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layout", choices=LAYOUTS, nargs="*", default=list(LAYOUTS))
    for name, kind in (("--one", str), ("--folder", Path)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        peak(options.folder, options.one)
        return
    print(time.strftime("%Y-%m-%d", time.gmtime()), platform.machine(), f"Python {platform.python_version()}")
    print(", ".join(f"{name} {metadata.version(name)}" for name in ("radboost", "numpy", "scipy", "pandas")))
    print(f"{options.crops:,} crops of {options.width} numbers in float16, cores {os.cpu_count()}, ", end="")
    print(f"medians of {options.rounds} interleaved rounds; MB above what libraries, cohort and index take\n")
    titles = ("crops", "design", "twice", "held", "ours")
    print(f"{'':10s}{''.join(f'{t:>9s}' for t in titles)}{'ratio':>8s}{'worst':>8s}{'of crops':>10s}{'of held':>9s}")
    for layout in options.layout:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make(folder, layout, options.crops, options.width)
            ways: dict[str, list[dict[str, float]]] = {"base": [], "ours": [], "held": []}
            for _ in range(options.rounds):
                for way, found in ways.items():
                    found.append(measure(folder, way))
        base, ours, held = (statistics.median(r["peak"] for r in found) for found in ways.values())
        crops, design = 4 * options.crops * options.width, ways["ours"][0]["bytes"]
        twice, worst = 2 * max(crops, design), max(r["peak"] for r in ways["ours"]) - base
        numbers = "".join(f"{n / 1e6:9.0f}" for n in (crops, design, twice, held - base, ours - base))
        ratios = f"{(ours - base) / twice:8.2f}{worst / twice:8.2f}{(ours - base) / (2 * crops):10.2f}"
        met = "reached" if worst <= AIM * twice else "missed"
        print(f"{layout:10s}{numbers}{ratios}{(ours - base) / (held - base):9.2f}  {met}: {LAYOUTS[layout][2]}")
    print("crops: their embeddings in float32; design: all its columns in float32; twice: two of the larger one")
    print("ratio: ours of twice; of crops: ours of the crops' embeddings twice; of held: ours of what held takes")
    print(f"aim: ours at most {AIM} of twice, in the worst round")


if __name__ == "__main__":
    main()
