"""Benign or malignant on real films: a frozen head against three stages, from random weights and from the shipped ones.

Run it as ``python benchmarks/minimias.py --data ../shared/data/mini-mias``, where the MIAS films lie as
examples/mini-mias.toml says. Five folds by patient; each of four trainings predicts every patient by a network that has
not seen her. Log loss and AUC with intervals by patient, and paired differences.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np

from radboost.data.crop import PixelPolicy
from radboost.data.index import IndexConfig, index
from radboost.data.splits import FoldSpec
from radboost.data.tasks.custom import read_task
from radboost.extractor.backbone import BackboneConfig
from radboost.extractor.train.config import LearnConfig, TrainConfig
from radboost.extractor.train.run import train
from radboost.extractor.train.stages import SCHEDULES, Stage
from radboost.extractor.train.training import Training
from radboost.metrics import Scored, auc, clustered_difference, clustered_interval, log_loss

NETWORK = "radboost:phantom"
HEAD = (Stage("head", 50, 1e-3, "head"),)
WAYS = {
    "random weights, head alone": (0, HEAD),
    "random weights, three stages": (0, SCHEDULES["three-stage"]),
    "shipped weights, head alone": (None, HEAD),
    "shipped weights, three stages": (None, SCHEDULES["three-stage"]),
}
"""Seed of random weights, and stages; fifty epochs at most, fewer where inner patients gain nothing for six."""


def rows(training: Training) -> Scored:
    """Out-of-fold predictions in order of units."""
    table = training.predictions.table.sort_values("unit")
    return Scored(*(table[c].to_numpy() for c in ("y", "p")), np.ones(len(table)), table["group"].to_numpy())


def main() -> None:
    """Train four ways, and print what each is worth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    libraries = ("radboost", "torch", "timm", "lightning", "numpy")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in libraries)
    print(f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()} Python {platform.python_version()}, {versions}")
    print(f"load {os.getloadavg()[0]:.1f}; crops of {options.size} pixels, seed {options.seed}")
    task = read_task(Path(__file__).resolve().parents[1] / "examples" / "mini-mias.toml")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        asked = IndexConfig(folds=FoldSpec(5), seed=options.seed)
        cohort = index(options.data, task, asked).cohort.save(place / "cohort")
        found: dict[str, Scored] = {}
        for number, (name, (random, stages)) in enumerate(WAYS.items()):
            start = BackboneConfig(NETWORK, random_init=random, size=options.size, pool=("avgmax",))
            config = TrainConfig(
                start,
                PixelPolicy.of("breast", options.size),
                stages,
                learn=LearnConfig(batch_size=32),
                seed=options.seed,
                device="cpu",
                precision="fp32",
            )
            found[name] = own = rows(train(cohort, place / f"way{number}", config))
            told = []
            for what, metric in (("log loss", log_loss), ("AUC", auc)):
                low, high = clustered_interval(metric, own)
                told.append(f"{what} {metric(own.y, own.p):.3f} [{low:.3f}, {high:.3f}]")
            print(f"{name:<32} {', '.join(told)}", flush=True)
    one = next(iter(found.values()))
    prior = np.full(len(one.y), one.y.mean())
    print(f"{len(one.y)} films of {len(set(one.group))} patients; the prior's log loss {log_loss(one.y, prior):.3f}")
    names = list(found)
    pairs = [(1, 0), (3, 2), (2, 0), (3, 1)]
    for a, b in pairs:
        for what, metric in (("log loss", log_loss), ("AUC", auc)):
            gain = clustered_difference(metric, found[names[a]], found[names[b]].p)
            span = f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
            print(f"{names[a]} less {names[b]}: {what} {span}")


if __name__ == "__main__":
    main()
