"""Peak memory of extracting few and many images: nothing may grow with their number.

Run it as ``python benchmarks/memory.py``. Each extraction runs in a process of its own, few and many taking turns; what
is printed is the most that the main process and the largest decoding process ever held resident (VmHWM).
"""

# Nothing heavy is imported up here: each decoding process imports this file again, and must stay free of torch.
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
from importlib import metadata
from pathlib import Path

AIM = 0.10


def extract_some(films: Path, folder: Path, options: argparse.Namespace) -> None:
    """Extract `options.one` names of the films in this process, and print its peaks as JSON."""
    from films import cohort_of
    from radboost.data.crop import PixelPolicy
    from radboost.extractor.backbone import BackboneConfig
    from radboost.extractor.config import ExtractConfig
    from radboost.extractor.extract import extract

    cohort = cohort_of(folder / "images", sorted(films.rglob("*.dcm")), options.one)
    network = BackboneConfig(options.network, random_init=0, size=options.size)
    config = ExtractConfig(network, PixelPolicy(options.size), device="cpu", workers=options.workers)
    result = extract(cohort, folder / "store", config)
    assert result.account is not None
    if result.new != options.one:
        sys.exit(f"{options.one - result.new} images failed")
    print(json.dumps({name: result.account.peak_bytes[name] for name in ("main", "worker")}))


def measure(films: Path, count: int, options: argparse.Namespace) -> dict[str, int]:
    """Peaks of extracting `count` images in a fresh process."""
    with tempfile.TemporaryDirectory(dir=films.parent) as folder:
        words = [sys.executable, "-W", "ignore", __file__, "--one", count, "--films", films, "--folder", folder]
        words += ["--network", options.network, "--size", options.size, "--workers", options.workers]
        done = subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True)
    peaks: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return {**peaks, "all": peaks["main"] + options.workers * peaks["worker"]}


def main() -> None:
    """Print the peaks and by how much they differ."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--counts", type=int, nargs=2, default=[200, 2000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--network", default="test_resnet")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pixels", type=int, default=256, help="rows of a phantom")
    for name, kind in (("--one", int), ("--films", Path), ("--folder", Path)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        extract_some(options.films, options.folder, options)
        return
    from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast

    names = ("radboost", "torch", "timm", "numpy")
    print(time.strftime("%Y-%m-%d", time.gmtime()), platform.machine(), f"Python {platform.python_version()}")
    print(", ".join(f"{name} {metadata.version(name)}" for name in names))
    print(f"{options.network} at {options.size}, {options.workers} workers, cores {os.cpu_count()}; MB at the peak\n")
    with tempfile.TemporaryDirectory() as folder:
        films = Path(folder) / "films"
        write_rsna_breast(films, BreastPhantom(patients=6, seed=1, pixels=options.pixels), workers=2)
        rounds: dict[int, list[dict[str, int]]] = {count: [] for count in options.counts}
        for _ in range(options.rounds):
            for count in options.counts:
                rounds[count].append(measure(films, count, options))
    few, many = (
        {key: [r[key] for r in rounds[count]] for key in ("main", "worker", "all")} for count in options.counts
    )
    columns = "".join(f"{f'{count:,} images':>16s}" for count in options.counts)
    print(f"{'':24s}{columns}{'differ by':>12s}{'of the worst':>14s}")
    for key, text in (("main", "main process"), ("worker", "largest worker"), ("all", "main and all workers")):
        a, b = statistics.median(few[key]), statistics.median(many[key])
        difference, worst = b / a - 1, max(many[key]) / min(few[key]) - 1
        met = "reached" if abs(difference) < AIM else "missed"
        print(f"{text:24s}{a / 1e6:16.0f}{b / 1e6:16.0f}{difference:+12.1%}{worst:+14.1%}  {met}")
    print(f"aim: less than {AIM:.0%} between the medians of {options.rounds} interleaved rounds")


if __name__ == "__main__":
    main()
