"""What the network that comes with radboost is worth on other phantoms than its own, beside untrained networks.

Run it as ``python benchmarks/shipped.py``. For each task a phantom is written whose seed the network has not seen,
embedded by the shipped network, by the same network untrained, and by the first stage of an untrained resnet18, which
is the best of what untrained networks gave; a logistic model learns from each out of fold. Printed are log losses of
each, and the paired differences from the shipped network's, with intervals by patient.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd

from radboost.booster.config import BoostConfig
from radboost.booster.crossfit import fit_boost
from radboost.data.crop import PixelPolicy
from radboost.data.index import IndexConfig, index
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
from radboost.data.phantom.cbis import CbisPhantom, write_cbis_ddsm
from radboost.data.phantom.ct import HeadPhantom, write_rsna_ich
from radboost.data.phantom.lumbar import LumbarPhantom, write_rsna_lumbar
from radboost.data.splits import FoldSpec
from radboost.data.tasks import get_task
from radboost.extractor.backbone import BackboneConfig
from radboost.extractor.config import ExtractConfig
from radboost.extractor.extract import extract
from radboost.metrics import Bootstrap, Scored, clustered_difference, log_loss

SEED = 77
PHANTOMS: dict[str, tuple[Callable[..., None], object, int]] = {
    "rsna-breast": (write_rsna_breast, BreastPhantom(100, seed=SEED, pixels=512), 256),
    "cbis-ddsm": (write_cbis_ddsm, CbisPhantom(80, seed=SEED, pixels=512), 96),
    "rsna-ich": (write_rsna_ich, HeadPhantom(20, seed=SEED, pixels=64, slices=(20, 22), prevalence=0.7), 128),
    "rsna-lumbar": (write_rsna_lumbar, LumbarPhantom(30, seed=SEED, pixels=96), 64),
}
"""Of each task: what writes its phantom, the phantom, and the side of a crop."""
NETWORKS: dict[str, dict[str, object]] = {
    "shipped": {"name": "radboost:phantom"},
    "the same, untrained": {"name": "radboost:phantom", "random_init": 0},
    "resnet18's first stage, untrained": {"name": "resnet18", "random_init": 0, "stage": 1},
}
LEARNERS = ("logistic",)


def of(table: pd.DataFrame, member: str) -> pd.DataFrame:
    """Rows of a member, in an order of their own."""
    return table[table["member"] == member].sort_values(["target", "class", "unit"], ignore_index=True)


def scored(rows: pd.DataFrame) -> Scored:
    """Rows of all targets and classes together: the chance given to what is so."""
    binary = rows.groupby("target")["class"].transform("nunique") == 1
    kept = rows[binary | (rows["y"] == 1)]
    y = np.where(binary[kept.index], kept["y"], 1).astype(int)
    return Scored(y, kept["p"].to_numpy(), kept["task_weight"].to_numpy(), kept["group"].to_numpy())


def main() -> None:
    """Print what each network is worth on each phantom."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", action="append", choices=PHANTOMS, help="repeats; all if not given")
    options = parser.parse_args()
    libraries = ("radboost", "torch", "timm", "xgboost", "scikit-learn", "numpy")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in libraries)
    print(f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()} Python {platform.python_version()}, {versions}")
    print(f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        for task in options.task or PHANTOMS:
            one(Path(folder) / task, task)


def one(place: Path, task: str) -> None:
    """Print what each network is worth on one phantom."""
    begun = time.perf_counter()
    write, phantom, size = PHANTOMS[task]
    write(place / "data", phantom)
    known = get_task(task)
    cohort = index(place / "data", known, IndexConfig(folds=FoldSpec(3))).cohort.save(place / "cohort")
    pixels = PixelPolicy.of(known.images.crop, size, known.images.windows)
    found = {}
    for number, (name, network) in enumerate(NETWORKS.items()):
        backbone = BackboneConfig(**network, size=size, pool=("avg", "max"))  # type: ignore[arg-type]
        store = extract(cohort, place / f"store{number}", ExtractConfig(backbone, pixels)).store
        found[name] = fit_boost(cohort, [store], BoostConfig(learners=LEARNERS)).predictions.table
    print(f"{task}: {phantom}, {len(cohort.units)} units, {time.perf_counter() - begun:.0f} s")
    for learner in LEARNERS:
        member = next(m for m in found["shipped"]["member"].unique() if m.startswith(f"{learner}/image"))
        best = scored(of(found["shipped"], member))
        for name, table in found.items():
            own = scored(of(table, member))
            gain = clustered_difference(log_loss, best, own.p, Bootstrap())
            told = f"loss {log_loss(own.y, own.p, own.weight):.4f}"
            if name != "shipped":
                told += f", shipped less this {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
            print(f"  {member:<16} {name:<36} {told}", flush=True)


if __name__ == "__main__":
    main()
