"""Headers a second: radboost's scan beside a plain pydicom loop, on the same files, and the bytes that each reads.

Run it as ``python benchmarks/index.py``; ``--folder DIR`` takes files of your own instead of phantoms. All ways take
turns in one process. A loop that only calls ``dcmread`` converts no value; the second loop also reads the attributes
that an index needs, which is what the scan gives. Pool ways count the start of their workers.
"""

from __future__ import annotations

import argparse
import os
import pickle
import platform
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path

import pydicom

from radboost.data.dicom import Header
from radboost.data.journal import Journal
from radboost.data.look import Look, look
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
from radboost.data.progress import Silent
from radboost.data.scan import Reading, Sharer, scan
from radboost.data.series import arrange

KEYWORDS = (
    *("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality"),
    *("ImageLaterality", "Laterality", "ViewPosition", "InstanceNumber", "Rows", "Columns", "NumberOfFrames"),
    *("BitsStored", "PhotometricInterpretation", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("ImagerPixelSpacing", "PatientAge", "Manufacturer", "ManufacturerModelName", "PixelRepresentation"),
    *("RescaleIntercept", "RescaleSlope", "WindowCenter", "WindowWidth", "SliceThickness", "BodyPartExamined"),
    *("PatientPosition", "PatientOrientation"),
)


def files(folder: Path, count: int) -> list[str]:
    """Write phantom mammograms, and as many further names for them as it takes."""
    write_rsna_breast(folder / "phantom", BreastPhantom(patients=12, pixels=256), workers=None)
    written = sorted((folder / "phantom").rglob("*.dcm"))
    names = []
    for number in range(count):
        name = f"{number:06d}.dcm"
        (folder / name).hardlink_to(written[number % len(written)])
        names.append(name)
    return names


def bare(root: Path, names: list[str]) -> None:
    """Call dcmread, as a first script does."""
    for name in names:
        pydicom.dcmread(root / name, stop_before_pixels=True)


def with_values(root: Path, names: list[str]) -> None:
    """Call dcmread, and read what an index needs."""
    for name in names:
        dataset = pydicom.dcmread(root / name, stop_before_pixels=True)
        for keyword in KEYWORDS:
            dataset.get(keyword)


def in_process(root: Path, names: list[str]) -> None:
    """Look at each file as a worker does."""
    for name in names:
        look(name, str(root))


def scanned(root: Path, names: list[str], workers: int) -> None:
    """Scan in the supervised pool."""
    with Journal(None, root) as journal:
        found = scan(root, names, Reading(workers), journal, Silent())
    if len(found.headers) + len(found.bad) + len(found.skipped) != len(names):
        msg = "files were lost"
        raise RuntimeError(msg)


def read_bytes() -> int | None:
    """Bytes that this process has read so far, where the system tells."""
    told = Path("/proc/self/io")
    return int(told.read_text().split()[1]) if told.is_file() else None


def memory(count: int) -> None:
    """Print what headers of `count` slices in series of 40 keep in memory, and what putting them in order takes."""
    values = {
        **dict.fromkeys(Header.__annotations__, ""),
        **{"rows": 512, "columns": 512, "frames": 1, "bits_stored": 12, "age": None, "signed": False},
        **{"orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), "spacing": (0.488281, 0.488281), "window": (40.0, 80.0)},
        **{"intercept": -1024.0, "slope": 1.0, "thickness": 5.0, "modality": "CT", "manufacturer": "a maker"},
    }
    tracemalloc.start()
    headers, marks, share = {}, {}, Sharer()
    for k in range(count):
        root = f"1.2.840.113619.2.55.3.604688119.{k // 40:012d}"
        own = {"instance_uid": f"{root}.{k:06d}", "series_uid": root, "study_uid": f"{root}.1", "instance_number": k}
        place = {"patient_id": f"ID_{k // 80:08x}", "position": (-125.0, -125.0, 5.0 * k)}
        header = Header(**{**values, **own, **place})
        # As it comes from a worker: with copies of its own of all that it says.
        seen = share(pickle.loads(pickle.dumps(Look("image", header, f"{root}.{k:06d} 525000", 525_000, 1))))
        headers[f"stage_2_train_images/ID_{k:08x}.dcm"], marks[f"{k}"] = seen.header, seen.mark
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    arrange(headers)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{count:,} headers: {held / 1e6:.0f} MB kept, {(peak - held) / 1e6:.0f} MB more while they are put in order")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="files of your own")
    parser.add_argument("--files", type=int, default=4000, help="phantom files")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("radboost", "pydicom", "pebble"))
    print(f"{time.strftime('%Y-%m-%d')} {platform.machine()} Python {platform.python_version()}, {versions}")
    with tempfile.TemporaryDirectory() as temporary:
        root = chosen.folder or Path(temporary)
        if chosen.folder:
            names = sorted(p.relative_to(root).as_posix() for p in root.rglob("*.dcm"))
        else:
            names = files(root, chosen.files)
        print(f"{len(names):,} files, {chosen.rounds} interleaved rounds; cores: {os.cpu_count()}\n")
        ways: dict[str, Callable[[], None]] = {
            "pydicom, dcmread alone": partial(bare, root, names),
            "pydicom, with the values": partial(with_values, root, names),
            "radboost, in this process": partial(in_process, root, names),
            "radboost, 1 worker": partial(scanned, root, names, 1),
            "radboost, 2 workers": partial(scanned, root, names, 2),
            "start of 1 worker": partial(scanned, root, names[:1], 1),
            "start of 2 workers": partial(scanned, root, names[:2], 2),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        costs: dict[str, float | None] = {}
        busy: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(chosen.rounds + 1):
            for name, way in ways.items():
                before, begun, worked = read_bytes(), time.perf_counter(), sum(os.times()[:4])
                way()
                if turn:  # the first round warms up
                    seconds[name].append(time.perf_counter() - begun)
                    busy[name].append(sum(os.times()[:4]) - worked)
                after = read_bytes()
                costs[name] = None if before is None or after is None else (after - before) / len(names)
    work = {name: statistics.median(values) for name, values in busy.items()}
    for number in ("1 worker", "2 workers"):
        work[f"  {number}, once started"] = work[f"radboost, {number}"] - work[f"start of {number}"]
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    starts = {number: middle.pop(f"start of {number}") for number in ("1 worker", "2 workers")}
    middle |= {f"  {number}, once started": middle[f"radboost, {number}"] - starts[number] for number in starts}
    plain, full = middle["pydicom, dcmread alone"], middle["pydicom, with the values"]
    print(
        f"{'':28s} {'files/s':>8s} {'to dcmread':>11s} {'to values':>10s} {'CPU ms a file':>14s} {'bytes a file':>13s}"
    )
    for name, value in middle.items():
        each = 1e3 * work[name] / len(names)
        cost = "-" if "worker" in name or costs[name] is None else f"{costs[name]:,.0f}"
        ratios = f"{plain / value:10.2f}x {full / value:9.2f}x"
        print(f"{name:28s} {len(names) / value:8,.0f} {ratios} {each:14.3f} {cost:>13s}")
    told = ", ".join(f"{number} {value:.1f} s" for number, value in starts.items())
    print(f"\nstart: {told}")
    memory(100_000)


if __name__ == "__main__":
    main()
