"""Random batches out of a store: radboost beside a mapped .npy file and h5py on a chunked file.

Run it as ``python benchmarks/store.py``; it writes up to 3.1 GB under ``--folder`` (the system's temporary folder if
none is given) and deletes them again. The ways take turns. Each has files or maps of its own and draws rows of its own,
so that none finds what another has touched; all files are in the page cache, so that the way is timed and not the disk.
h5py takes rows in rising order only, so sorting them and putting the result back in order is part of its way.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path

import h5py
import numpy as np

from radboost.data.store import ID_DTYPE, EmbeddingStore, Rows, StoreWriter

WIDTH = 1024
BATCH = 256
MEMMAP_AIM, H5PY_AIM = 1.5, 10.0


def make(folder: Path, rows: int, shard: int, chunk: int) -> tuple[EmbeddingStore, np.memmap, h5py.Dataset]:
    """Write the same random embeddings three times."""
    rng = np.random.default_rng(0)
    (folder / "store").mkdir()
    content = {"fingerprint": {"rows": rows}, "config": {}, "pools": {"avg": WIDTH}, "dtype": "float16"}
    writer = StoreWriter.create(folder / "store", {**content, "rows_per_shard": shard})
    mapped = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float16, (rows, WIDTH))
    with h5py.File(folder / "x.h5", "w") as file:
        chunked = file.create_dataset("x", (rows, WIDTH), np.float16, chunks=(chunk, WIDTH), maxshape=(None, WIDTH))
        for start in range(0, rows, shard):
            n = min(shard, rows - start)
            values = rng.standard_normal((n, WIDTH), np.float32).astype(np.float16)
            # Ids in no order, as hashes are.
            ids = np.array([rng.bytes(16).hex().encode() for _ in range(n)], ID_DTYPE)
            writer.add(Rows(ids, {"avg": values}, ids[:0]), "cpu")
            mapped[start : start + n] = values
            chunked[start : start + n] = values
    mapped.flush()
    return writer.store(), np.load(folder / "x.npy", mmap_mode="r"), h5py.File(folder / "x.h5")["x"]


def by_h5py(dataset: h5py.Dataset, rows: np.ndarray) -> np.ndarray:
    """Read rows in any order as h5py allows it: sorted, then put back."""
    order = np.argsort(rows)
    out = np.empty((len(rows), WIDTH), np.float16)
    out[order] = dataset[rows[order]]
    return out


def compare(folder: Path, rows: int, options: argparse.Namespace) -> None:
    """Print the ratios for one size."""
    store, mapped, chunked = make(folder, rows, options.shard_rows, options.chunk)
    rng = np.random.default_rng(1)
    names = store.crop_ids()
    wide, named = EmbeddingStore.open(store.folder), EmbeddingStore.open(store.folder)
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "memmap": lambda batch: mapped[batch],
        "ours": lambda batch: store.read("avg", batch, np.float16),
        "h5py": partial(by_h5py, chunked),
        "float32": partial(wide.read, "avg"),
        "by id": lambda batch: named.read("avg", named.rows_of([names[row] for row in batch]), np.float16),
    }
    first = rng.choice(rows, BATCH, replace=False)
    assert all(np.array_equal(way(first), mapped[first]) for way in ways.values())
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.rounds):
        # Another way begins each round, since the first one of a round finds the processor's cache as h5py left it.
        for name in [list(ways)[(turn + k) % len(ways)] for k in range(len(ways))]:
            batch = rng.choice(rows, BATCH, replace=False)
            begun = time.perf_counter()
            ways[name](batch)
            seconds[name].append(time.perf_counter() - begun)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    ours, memmap, h5 = (middle[name] for name in ("ours", "memmap", "h5py"))
    for text, ratio, met in (
        (f"ours over .npy memmap         (aim: at most {MEMMAP_AIM:g}x)", ours / memmap, ours <= MEMMAP_AIM * memmap),
        (f"h5py fancy indexing over ours (aim: at least {H5PY_AIM:g}x)", h5 / ours, h5 >= H5PY_AIM * ours),
    ):
        print(f"{rows:>8,}  {text:50s} {ratio:8.2f}x  {'reached' if met else 'missed'}", flush=True)
    print(f"{rows:>8,}  {'ours as float32, over ours':50s} {middle['float32'] / ours:8.2f}x")
    print(f"{rows:>8,}  {'ours by crop id, over ours':50s} {middle['by id'] / ours:8.2f}x", flush=True)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 500_000])
    parser.add_argument("--shard-rows", type=int, default=1 << 16)
    parser.add_argument("--chunk", type=int, default=64, help="rows a chunk of h5py's file: 64 are 128 KiB")
    parser.add_argument("--folder", type=Path, help="where the files are written for as long as it runs")
    options = parser.parse_args()
    print(time.strftime("%Y-%m-%d", time.gmtime()), platform.machine(), f"Python {platform.python_version()}")
    print(", ".join(f"{name} {metadata.version(name)}" for name in ("radboost", "h5py", "numpy")))
    print(f"{BATCH} random rows of {WIDTH} float16; medians of {options.rounds} interleaved rounds, files in memory\n")
    for rows in options.rows:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            compare(Path(folder), rows, options)


if __name__ == "__main__":
    main()
