"""Abnormalities, patches and pictures of a phantom in the layout of CBIS-DDSM, from the files to other patients.

Run it as ``python benchmarks/cbis.py``. A phantom is written, indexed three ways as the task cbis-ddsm (abnormalities;
patches, ten a region and ten of background a film; films seen as a grid), embedded by the first stage of an untrained
resnet18, learned from out of fold by patient, and blended. Then patients of a denser population, drawn apart, are
predicted; for abnormalities also with weights that simulate them. Losses are compared with the prior's on the same
units; intervals are drawn by patient.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd

from radboost.booster.config import BoostConfig
from radboost.booster.crossfit import fit_boost
from radboost.booster.weights import WeightConfig, simulate
from radboost.data.cohort import Cohort
from radboost.data.crop import PixelPolicy
from radboost.data.index import IndexConfig, index
from radboost.data.phantom.cbis import CbisPhantom, write_cbis_ddsm
from radboost.data.regions import Patches
from radboost.data.roi.rows import patch_task
from radboost.data.splits import FoldSpec
from radboost.data.tasks import get_task
from radboost.extractor.backbone import BackboneConfig
from radboost.extractor.config import ExtractConfig
from radboost.extractor.extract import extract
from radboost.metrics import Scored, auc, clustered_difference, log_loss
from radboost.pipeline.blending import make_blend
from radboost.pipeline.prediction import PredictConfig, predict_exams

KINDS: dict[str, tuple[tuple[str, int] | None, int, tuple[str, ...]]] = {
    "abnormalities": (None, 96, ("safe", "risky")),
    "patches": (("s10", 112), 64, ("safe",)),
    "pictures": (("grid", 192), 96, ("safe",)),
}
"""Of each kind: patches and their side on a film of 1024 rows, side of a crop as the network sees it, and blends."""
DENSER = {"1": 0.05, "2": 0.2, "3": 0.45, "4": 0.3}


def compared(name: str, rows: pd.DataFrame, prior: np.ndarray) -> None:
    """Print a loss beside the prior's; `rows` are predictions of one member, `prior` the classes' training rates."""
    classes = sorted(rows["class"].unique())
    p = rows.pivot(index="unit", columns="class", values="p")[classes].to_numpy()
    y = rows.pivot(index="unit", columns="class", values="y")[classes].to_numpy()
    groups = rows.drop_duplicates("unit").set_index("unit")["group"].sort_index().to_numpy()
    binary = len(classes) == 1
    label = y[:, 0].astype(int) if binary else y.argmax(axis=1)
    shown, flat = (p[:, 0], np.full(len(p), prior[1])) if binary else (p, np.tile(prior, (len(p), 1)))
    scored = Scored(label, shown, np.ones(len(label)), groups)
    ours, theirs = (log_loss(label, values, scored.weight) for values in (shown, flat))
    gain = clustered_difference(log_loss, scored, flat)
    told = f"AUC {auc(label, shown, scored.weight):.3f}" if binary else f"accuracy {(p.argmax(1) == label).mean():.3f}"
    print(
        f"  {name:<34} {len(label):>5} units, loss {ours:.4f}, the prior's {theirs:.4f}, "
        f"difference {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}], {told}",
        flush=True,
    )


def rates(cohort: Cohort) -> np.ndarray:
    """Share of each class among the labelled units that are learned from."""
    task = cohort.need_task()
    labels = cohort.targets["label"]
    counts = np.bincount(labels[labels >= 0], minlength=len(task.targets[0].classes))
    return np.asarray(counts / counts.sum())


def one(place: Path, how: tuple[str, int] | None, size: int, policies: tuple[str, ...]) -> None:
    """Take one kind of cohort from the files to patients that were never seen."""
    name = "abnormalities" if how is None else f"{how[0]}-{how[1]}"
    task = get_task("cbis-ddsm")
    task = task if how is None else patch_task(task, Patches.parse(*how))
    out = place / name
    begun = time.perf_counter()
    cohort = index(place / "data", task, IndexConfig(folds=FoldSpec(5))).cohort.save(out / "cohort")
    backbone = BackboneConfig("resnet18", random_init=0, size=size, pool=("avg", "max"), stage=1)
    store = extract(cohort, out / "store", ExtractConfig(backbone, PixelPolicy.of("box", size))).store
    weights = None
    if "risky" in policies:
        target = index(place / "exams", task, IndexConfig(new_exams=True)).cohort
        made = simulate(cohort, target, WeightConfig(on=("density",)))
        weights = dict(zip(made.unit.tolist(), made.weight.tolist(), strict=True))
    boost = BoostConfig(learners=("logistic", "xgboost"), weights=weights)
    run = fit_boost(cohort, [store], boost).save(out / "run")
    print(f"{name}: {len(cohort.units)} units, {len(cohort.manifest)} crops, {time.perf_counter() - begun:.0f} s")
    prior = rates(cohort)
    table = run.predictions.table
    for member in sorted(table.loc[table["kind"] == "regular", "member"].unique()):
        compared(f"out of fold, {member}", table[(table["member"] == member) & (table["kind"] == "regular")], prior)
    for policy in policies:
        make_blend([out / "run"], policy, out / f"blend-{policy}")
        found = predict_exams(out / f"blend-{policy}", place / "exams", PredictConfig(work=out / "work"))
        if found.external is not None:
            compared(f"other patients, blend {policy}", found.external.table, prior)


def main() -> None:
    """Write the phantoms, and print what each kind of cohort is worth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=150)
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=KINDS, help="repeats; all if not given")
    options = parser.parse_args()
    libraries = ("radboost", "torch", "timm", "xgboost", "scikit-learn", "numpy")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in libraries)
    print(f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()} Python {platform.python_version()}, {versions}")
    print(f"load {os.getloadavg()[0]:.1f}; {options.patients} patients, films of {options.pixels} rows")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        learned = CbisPhantom(options.patients, options.seed, options.pixels)
        others = CbisPhantom(
            options.patients // 2, options.seed, options.pixels, DENSER, first_patient=options.patients
        )
        write_cbis_ddsm(place / "data", learned)
        write_cbis_ddsm(place / "exams", others)
        share = options.pixels / 1024
        for kind in options.kind or KINDS:
            how, size, policies = KINDS[kind]
            one(place, None if how is None else (how[0], round(how[1] * share)), size, policies)


if __name__ == "__main__":
    main()
