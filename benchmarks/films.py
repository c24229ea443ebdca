"""Phantom mammograms as lossless JPEG 2000, and cohorts of any number of paths: for the benchmarks of extraction."""

# Nothing heavy is imported up here: each decoding process imports this file again, and must stay free of torch.
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from radboost.data.render import load

if TYPE_CHECKING:
    from radboost.data.cohort import Cohort

ROWS = (2048, 3072)


def films(folder: Path) -> list[Path]:
    """Write phantom mammograms of 2048 and 3072 rows, all as lossless JPEG 2000."""
    from radboost.data.dicom import DicomImage, read_header, write_dicom
    from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast

    for rows in ROWS:
        write_rsna_breast(folder / str(rows), BreastPhantom(patients=2, seed=3, pixels=rows), workers=2)
    written = sorted(folder.rglob("*.dcm"))
    for path in written:
        frame, header = load(path), read_header(path)
        low, high = np.percentile(frame.pixels, (1, 99.9))
        window = ((float(low + high) / 2, float(high - low)),)
        image = DicomImage(frame.pixels, header.bits_stored, header.photometric, "JPEG2000Lossless", window)
        write_dicom(path, image)
    return written


def cohort_of(root: Path, written: list[Path], count: int) -> Cohort:
    """Make a cohort of `count` paths, each another name of one of the films."""
    import pandas as pd

    from radboost.data.cohort import NO_BOX, Cohort
    from radboost.data.identity import keyed_hashes

    root.mkdir()
    paths = [f"{number:06d}.dcm" for number in range(count)]
    for number, path in enumerate(paths):
        (root / path).symlink_to(written[number % len(written)].resolve())
    key = bytes(range(32))
    text = dict.fromkeys(("study", "series", "laterality", "view"), "")
    columns = {"crop_id": keyed_hashes(key, "crop", paths), "path": paths, "frame": -1, "group": paths}
    manifest = pd.DataFrame({**columns, "instance": paths, "order": 0, **text, **NO_BOX})
    links = pd.DataFrame({"unit": paths, "crop_id": manifest["crop_id"], "slot": "image", "order": 0})
    targets = pd.DataFrame({name: [] for name in ("unit", "group", "target", "label", "task_weight")})
    folds = pd.DataFrame({"group": paths, "fold": 0, "split": "train"})
    return Cohort(root, None, manifest, links, targets, folds, key)
