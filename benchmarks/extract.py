"""What an extraction costs beside the decoding and the network that it cannot do without, and beside what people write.

Run it as ``python benchmarks/extract.py``. (a) Efficiency: the CPU that decoding and the network cost, each alone, over
the CPU that `extract` costs from its first read to its last write. (b) How many times faster `extract` is than the loop
that is commonly written: pydicom's pixel_array, apply_voi_lut, inversion, OpenCV's resize, a timm network, one .npy
file an image. (d) What a second `extract` over the same images does, counted. ((c), reading, is benchmarks/store.py.)
All ways take turns in one process. With ``--device cuda`` (a) is the share of time that device and workers were busy.
"""

# Nothing heavy is imported up here: each decoding process imports this file again, and must stay free of torch.
from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from films import cohort_of, films
from radboost.data.crop import CropJob, PixelPolicy
from radboost.data.pool import available_cores
from radboost.data.render import render, render_each
from watched import Watch, watched

if TYPE_CHECKING:
    from radboost.data.cohort import Cohort
    from radboost.extractor.backbone import Backbone
    from radboost.extractor.config import ExtractConfig
    from radboost.extractor.extract import ExtractResult

EFFICIENCY_AIM, SPEED_AIM, BUSY_AIM = 0.95, 3.0, 0.95
BATCH = 16


def settings(options: argparse.Namespace, name: str, size: int) -> ExtractConfig:
    """Ask for whole frames, so that both ways show the network the same."""
    from radboost.extractor.backbone import BackboneConfig
    from radboost.extractor.config import ExtractConfig

    network = BackboneConfig(name, random_init=0, size=size)
    return ExtractConfig(
        network, PixelPolicy(size, "frame"), device=options.device, batch_size=options.batch, workers=options.workers
    )


def decoding(paths: list[str], policy: PixelPolicy) -> float:
    """CPU of making crops one after the other in one process, warm."""
    out = np.empty((1, *policy.shape), np.uint16)
    for path in paths[:2]:
        render_each((CropJob(path),), policy, out)
    begun = time.process_time()
    for path in paths:
        render_each((CropJob(path),), policy, out)
    return time.process_time() - begun


def decoding_alone(paths: list[str], policy: PixelPolicy, processes: int) -> float:
    """CPU of making crops in plain processes, each its share, with nothing else running."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return sum(pool.map(partial(decoding, policy=policy), [paths[k::processes] for k in range(processes)]))


def network_alone(backbone: Backbone, crops: np.ndarray, count: int) -> float:
    """CPU of embedding `count` crops that lie in memory, batch by batch."""
    import torch

    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (backbone.mean, backbone.std))
    batch = torch.from_numpy(crops.view(np.int16))
    backbone.model.to(memory_format=torch.channels_last)

    def embed(part: torch.Tensor) -> None:
        with torch.inference_mode():
            grey = (part.to(torch.int32) & 0xFFFF).to(torch.float32)
            images = grey[:, [0, 0, 0]] * (1 / (65535 * std)) - mean / std
            backbone.embed(images.contiguous(memory_format=torch.channels_last))

    for _ in range(2):
        embed(batch)
    begun = time.process_time()
    for start in range(0, count, len(batch)):
        embed(batch[: min(len(batch), count - start)])
    return time.process_time() - begun


def by_hand(paths: list[Path], out: Path, name: str, size: int, batch: int) -> None:
    """Embed films as it is commonly written; with a batch of 1 image by image."""
    import pydicom
    import timm
    import torch
    from pydicom.pixels.processing import apply_voi_lut

    out.mkdir()
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=0).eval()
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    for start in range(0, len(paths), batch):
        part, images = paths[start : start + batch], []
        for path in part:
            dataset = pydicom.dcmread(path)
            pixels = apply_voi_lut(dataset.pixel_array, dataset).astype(np.float32)
            if dataset.PhotometricInterpretation == "MONOCHROME1":
                pixels = pixels.max() - pixels
            pixels = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)
            images.append((pixels - pixels.min()) / max(np.ptp(pixels), 1e-6))
        with torch.inference_mode():
            grey = torch.from_numpy(np.stack(images))[:, None].expand(-1, 3, -1, -1)
            vectors = model((grey - mean) / std).numpy()
        for path, vector in zip(part, vectors, strict=True):
            np.save(out / f"{path.stem}.npy", vector)


def run(cohort: Cohort, out: Path, config: ExtractConfig) -> tuple[ExtractResult, Watch, float]:
    """Extract; gives the result, what it cost, and the seconds of the whole call."""
    from radboost.extractor.extract import extract

    with watched(cohort.root) as watch:
        begun = time.perf_counter()
        result = extract(cohort, out, config)
        seconds = time.perf_counter() - begun
    return result, watch, seconds


def efficiency(cohort: Cohort, folder: Path, options: argparse.Namespace) -> None:
    """(a) Print the efficiency of each network and size, and (d) what a second run does."""
    import torch

    from radboost.extractor.backbone import load_backbone
    from radboost.nets.device import resolve_device

    count = len(cohort.manifest)
    paths = [str(cohort.root / path) for path in cohort.manifest["path"]]
    workers = options.workers or available_cores()
    on_cpu = resolve_device(options.device).type == "cpu"
    print(
        f"(a) {count} images; {workers} workers, {torch.get_num_threads()} threads for the network, "
        f"batches of {options.batch}"
    )
    for name, size in ((name, size) for name in options.networks for size in options.sizes):
        config = settings(options, name, size)
        crops = np.empty((options.batch, *config.pixels.shape), np.uint16)
        for number in range(options.batch):
            render(CropJob(paths[number]), config.pixels, crops[number])
        rounds: list[dict[str, float]] = []
        for turn in range(options.rounds):
            out = folder / f"store-{name}-{size}-{turn}"
            result, watch, _ = run(cohort, out, config)
            account = result.account
            assert account is not None
            row = {"device": account.device_busy, "workers": account.workers_busy}
            if on_cpu:
                row["all"] = watch.cpu
                row["decode"] = decoding_alone(paths, config.pixels, workers)
                row["one"] = decoding(paths, config.pixels)
                row["forward"] = network_alone(load_backbone(config.backbone), crops, count)
                row["ratio"] = (row["decode"] + row["forward"]) / row["all"]
                row["ratio of one"] = (row["one"] + row["forward"]) / row["all"]
            rounds.append(row)
        middle = {key: statistics.median(row[key] for row in rounds) for key in rounds[0]}
        print(f"{name} at {size}: device busy {middle['device']:.2f}, workers busy {middle['workers']:.2f}", flush=True)
        if on_cpu:
            told = "reached" if middle["ratio"] >= EFFICIENCY_AIM else "missed"
            every = ", ".join(f"{row['ratio']:.3f}" for row in rounds)
            print(f"  efficiency {middle['ratio']:.3f} (aim: {EFFICIENCY_AIM}): {told}; rounds {every}")
            print(f"  decoding alone measured in one process instead: {middle['ratio of one']:.3f}")
            share = {key: middle[key] / middle["all"] for key in ("decode", "forward")}
            print(
                f"  of the CPU: decoding alone {share['decode']:.3f}, network alone {share['forward']:.3f}", flush=True
            )
        else:
            best = max(middle["device"], middle["workers"])
            print(f"  busier one {best:.2f} (aim: {BUSY_AIM}): {'reached' if best >= BUSY_AIM else 'missed'}")


def again(cohort: Cohort, folder: Path, options: argparse.Namespace) -> None:
    """(d) Print what a second extract does."""
    config = settings(options, options.networks[0], options.sizes[0])
    print("(d) counted")
    for turn in ("first", "second"):
        result, watch, _ = run(cohort, folder / "again", config)
        print(
            f"{turn:7s} images read and decoded {watch.images}, image files opened in this process {watch.opened}, "
            f"pools {watch.pools}, networks built {watch.networks}, forward passes {result.forward_passes}; "
            f"embedded {result.new}, reused {result.reused}",
            flush=True,
        )
    none = not (watch.images or watch.opened or watch.pools or watch.networks or result.forward_passes)
    print(f"second extract reads no pixel and runs no forward pass: {'reached' if none else 'missed'}")


def against_the_loop(cohort: Cohort, folder: Path, options: argparse.Namespace) -> None:
    """(b) Print how many times faster extract is."""
    paths = [cohort.root / path for path in cohort.manifest["path"]]
    from pydicom.pixels import get_decoder
    from pydicom.uid import JPEG2000Lossless

    plugins = ", ".join(get_decoder(JPEG2000Lossless).available_plugins)
    print(f"(b) {len(paths)} images, building the network and starting workers included; pydicom with {plugins}")
    for name, size in ((name, size) for name in options.networks for size in options.sizes):
        config = settings(options, name, size)
        rounds: dict[str, list[float]] = {"one": [], "batches": [], "ours": [], "stream": []}
        for turn in range(options.rounds):
            for way, batch in (("one", 1), ("batches", options.batch)):
                begun = time.perf_counter()
                by_hand(paths, folder / f"hand-{name}-{size}-{turn}-{way}", name, size, batch)
                rounds[way].append(time.perf_counter() - begun)
            _, watch, seconds = run(cohort, folder / f"ours-{name}-{size}-{turn}", config)
            rounds["ours"].append(seconds)
            rounds["stream"].append(watch.seconds)
        middle = {way: statistics.median(values) for way, values in rounds.items()}
        for way, text in (("one", "image by image"), ("batches", f"in batches of {options.batch}")):
            ratio = middle[way] / middle["ours"]
            print(
                f"{name} at {size}, loop {text}: {ratio:.1f}x (aim: {SPEED_AIM:g}x): "
                f"{'reached' if ratio >= SPEED_AIM else 'missed'}; "
                f"{middle[way] / middle['stream']:.1f}x from the first read on",
                flush=True,
            )


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=512, help="for (a)")
    parser.add_argument("--few", type=int, default=64, help="images for (b)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--networks", nargs="+", default=["test_resnet", "resnet18"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[224])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, help="decoding processes; by default one a core")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--parts", default="abd")
    parser.add_argument("--films", type=Path, help="JPEG 2000 films of your own, instead of phantoms")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    # As `radboost extract` sets it, and before torch is loaded; the loop by hand gains by it too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    cv2.setNumThreads(1)
    names = ("radboost", "torch", "timm", "pydicom", "pillow", "pebble", "numpy")
    print(time.strftime("%Y-%m-%d", time.gmtime()), platform.machine(), f"Python {platform.python_version()}")
    print(", ".join(f"{name} {metadata.version(name)}" for name in names))
    print(f"cores {available_cores()}, load {os.getloadavg()[0]:.1f}; medians of {options.rounds} interleaved rounds\n")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        written = sorted(options.films.rglob("*.dcm")) if options.films else films(folder / "films")
        many = cohort_of(folder / "many", written, options.images)
        few = cohort_of(folder / "few", written, options.few)
        if "a" in options.parts:
            efficiency(many, folder, options)
        if "b" in options.parts:
            against_the_loop(few, folder, options)
        if "d" in options.parts:
            again(many, folder, options)


if __name__ == "__main__":
    main()
