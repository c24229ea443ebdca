"""From a path to a finished crop: radboost beside what people write by hand, per transfer syntax.

Run it as ``python benchmarks/decode.py``; ``--mammogram FILE`` is a JPEG 2000 mammogram that joins. Both ways
are given the same box, so that only reading, decoding, display and resizing are compared, and take turns in one
process with one thread each. The picture's likeness is printed beside the ratio: what is fast and another picture is
no gain. Where pydicom has no plugin for a syntax, the way by hand ends there, and the row says so.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import pydicom
from pydicom.pixels.processing import apply_voi_lut

from radboost.data.boxes import Box
from radboost.data.crop import CropJob, PixelPolicy
from radboost.data.dicom import DicomImage, write_dicom
from radboost.data.pool import Done, Limits, Pool
from radboost.data.render import load, render

MAMMOGRAM = Path(__file__).resolve().parents[2] / "shared" / "data" / "mg" / "MG1_J2KI.dcm"
SIZES = (1024, 512)
AIMS = {
    ("JPEG2000Lossless", 1024): 4.5,
    ("JPEG2000Lossless", 512): 14.0,
    ("JPEG 2000, given", 1024): 4.5,
    ("JPEG 2000, given", 512): 14.0,
    ("JPEGLosslessSV1", 1024): 4.5,
    ("RLELossless", 1024): 7.0,
    ("HTJ2KLossless", 1024): 10.0,
    ("ExplicitVRLittleEndian", 1024): 6.0,
}
SYNTAXES = (
    "ExplicitVRLittleEndian",
    "RLELossless",
    "JPEGLosslessSV1",
    "JPEGLSLossless",
    "HTJ2KLossless",
    "JPEG2000Lossless",
)


def mammogram(rows: int = 4096, columns: int = 3328, seed: int = 0) -> np.ndarray:
    """Draw a 12-bit film: a breast against the left edge, power-law texture within, detector noise everywhere."""
    rng = np.random.default_rng(seed)
    coarse = (rows // 4, columns // 4)
    fy, fx = np.fft.fftfreq(coarse[0])[:, None], np.fft.rfftfreq(coarse[1])[None]
    spectrum = np.fft.rfft2(rng.normal(size=coarse)) / (np.hypot(fy, fx) + 1 / coarse[0]) ** 1.5
    texture = np.fft.irfft2(spectrum, s=coarse)
    texture = cv2.resize((texture - texture.min()) / np.ptp(texture), (columns, rows), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    inside = 1 - (x / (0.8 * columns)) ** 2 - ((y - rows / 2) / (0.49 * rows)) ** 2
    tissue = np.sqrt(np.clip(inside * 4, 0, 1))
    film = tissue * (1400 + 2200 * texture) + 60 + rng.normal(0, 1, y.shape) * (4 + 8 * tissue)
    drawn: np.ndarray = np.rint(film).clip(0, 4095).astype(np.uint16)
    return drawn


def by_hand(path: Path, box: Box, size: int) -> np.ndarray:
    """Make a crop as it is commonly written: pixel_array, apply_voi_lut, inversion, crop, INTER_AREA."""
    dataset = pydicom.dcmread(path)
    pixels = apply_voi_lut(dataset.pixel_array, dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        pixels = pixels.max() - pixels
    left, top, right, bottom = box
    part = pixels[top:bottom, left:right].astype(np.float32)
    scale = size / max(part.shape)
    width, height = round(part.shape[1] * scale), round(part.shape[0] * scale)
    top_value = (1 << dataset.BitsStored) - 1
    resized = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA) * (65535 / top_value)
    crop: np.ndarray = np.rint(resized).clip(0, 65535).astype(np.uint16)
    return crop


def ours(path: Path, box: Box, size: int, *, full_decode: bool = False) -> np.ndarray:
    """Make the same crop with radboost; the frame of black around it is cut off again."""
    policy = PixelPolicy(size, "box", full_decode=full_decode)
    out = np.empty(policy.shape, np.uint16)
    render(CropJob(str(path), box=box), policy, out)
    left, top, right, bottom = box
    scale = size / max(right - left, bottom - top)
    width, height = round((right - left) * scale), round((bottom - top) * scale)
    y, x = (size - height) // 2, (size - width) // 2
    return out[0, y : y + height, x : x + width]


def psnr(found: np.ndarray, reference: np.ndarray) -> float:
    """Decibels over what is not black in the reference."""
    tissue = reference > 0.02 * 65535
    error = np.mean((found[tissue].astype(float) - reference[tissue]) ** 2)
    return float("inf") if error == 0 else 10 * float(np.log10(65535**2 / error))


def interleaved(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way, one after the other in every round; the first round warms up and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            if turn:
                seconds[name].append(time.perf_counter() - begun)
    return seconds


def compare(name: str, path: Path, box: Box, rounds: int) -> None:
    """Print one file's rows, one for each size."""
    for size in SIZES:
        ways: dict[str, Callable[[], object]] = {}
        hand: np.ndarray | None = None
        try:
            hand = by_hand(path, box, size)
            ways["hand"] = partial(by_hand, path, box, size)
            likeness = f"{psnr(ours(path, box, size), hand):5.1f}"
        except (NotImplementedError, RuntimeError, AttributeError) as error:
            likeness = f"{'-':>5s}"
            reason = "pydicom: no plugin" if "plugin" in str(error) else str(error)[:40]
        ways["full"] = partial(ours, path, box, size, full_decode=True)
        ways["ours"] = partial(ours, path, box, size)
        seconds = interleaved(ways, rounds)
        middle = {way: statistics.median(values) * 1e3 for way, values in seconds.items()}
        fastest = {way: min(values) * 1e3 for way, values in seconds.items()}
        row = f"{name:24s} {size:5d} "
        if hand is None:
            gain = f"{middle['full'] / middle['ours']:7.1f}x"
            print(f"{row} {'-':>8s} {'-':>8s} {gain}  {likeness}  {reason}", flush=True)
            continue
        ratio = middle["hand"] / middle["ours"]
        aim = AIMS.get((name, size))
        told = "" if aim is None else f"{aim:g}x: {'reached' if ratio >= aim else 'missed'}"
        print(
            f"{row} {ratio:7.1f}x {fastest['hand'] / fastest['ours']:7.1f}x "
            f"{middle['full'] / middle['ours']:7.1f}x  {likeness}  {told}",
            flush=True,
        )


def scaling(path: Path, box: Box, files: int) -> None:
    """Print how much faster two workers of the supervised pool are than one."""
    policy = PixelPolicy(1024, "box")
    rate: dict[int, float] = {}
    for workers in (1, 2, 1, 2):
        with Pool(workers, Limits(), slot_shape=policy.shape) as pool:
            jobs = [CropJob(str(path), box=box)] * files
            results = pool.map(partial(render, policy=policy), jobs)
            for _ in range(2 * workers):  # workers have started
                next(results)
            begun = time.perf_counter()
            done = sum(isinstance(result, Done) for result in results)
            rate[workers] = max(rate.get(workers, 0.0), done / (time.perf_counter() - begun))
    print(f"\nJPEG 2000 at 1024 pixels through the pool, 2 workers over 1: {rate[2] / rate[1]:.2f}x (aim: 1.8x)")


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--mammogram", type=Path, default=MAMMOGRAM, help="a JPEG 2000 mammogram, compared as well")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    libraries = ("radboost", "pydicom", "pillow", "imagecodecs", "opencv-python-headless", "numpy")
    print(time.strftime("%Y-%m-%d", time.gmtime()), platform.machine(), f"Python {platform.python_version()}")
    print(", ".join(f"{name} {metadata.version(name)}" for name in libraries))
    # Ratios only: an absolute time tells more of the machine and its neighbours than of the code.
    print(f"how many times faster, from path to crop; {options.rounds} interleaved rounds, one thread\n")
    heads = " ".join(f"{head:>8s}" for head in ("by hand", "of best", "in full"))
    print(f"{'':24s} {'crop':>5s}  {heads}  {'PSNR':>5s}  aim")
    film = mammogram()
    box = (0, 0, film.shape[1], film.shape[0])
    with tempfile.TemporaryDirectory() as folder:
        for syntax in SYNTAXES:
            path = Path(folder) / f"{syntax}.dcm"
            write_dicom(path, DicomImage(film, 12, transfer_syntax=syntax, windows=((2048, 4096),)))
            compare(syntax, path, box, options.rounds)
        if options.mammogram.is_file():
            rows, columns = load(options.mammogram).pixels.shape
            compare("JPEG 2000, given", options.mammogram, (0, 0, columns, rows), options.rounds)
        scaling(Path(folder) / "JPEG2000Lossless.dcm", box, 24)


if __name__ == "__main__":
    main()
