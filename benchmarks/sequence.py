"""Sequence heads beside boosters that judge slices one by one, on a head CT phantom whose bleeds span slices.

Run it as ``python benchmarks/sequence.py``. As in the recipe, a network is trained first, briefly, on single slices;
here of patients apart. Then another phantom in the layout of the RSNA haemorrhage challenge is written, indexed as the
task rsna-ich, embedded by that network, and learned from out of fold by patient. Boosters see a slice alone, or beside
it the mean of its neighbours and the difference from it. The score is the challenge's: (2 LL_any + the sum of the other
five) / 7; intervals and paired differences are drawn by patient. With ``--epochs 0`` the network stays untrained; with
``--parts`` the heads are also fitted without what they do for few series; with ``--work FOLDER`` a run that was cut off
goes on.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import numpy as np
import pandas as pd
import timm
import torch
from safetensors.torch import save_file

from radboost.booster.config import BoostConfig
from radboost.booster.crossfit import fit_boost
from radboost.booster.sequence import judge, plan
from radboost.data.cohort import Cohort
from radboost.data.crop import PixelPolicy
from radboost.data.index import IndexConfig, index
from radboost.data.phantom.ct import HeadPhantom, draw_head_patient, render_series, write_rsna_ich
from radboost.data.splits import FoldSpec
from radboost.data.store import EmbeddingStore
from radboost.data.tasks import get_task
from radboost.extractor.backbone import BackboneConfig
from radboost.extractor.config import ExtractConfig
from radboost.extractor.extract import extract
from radboost.metrics import Bootstrap, Scored, auc, clustered_difference, clustered_interval, log_loss

HEADS = ("residual", "pooled-res")
BOOSTERS = ("lightgbm", "xgboost")
REACHES = (0, 1, 2)
PARTS: dict[str, tuple[ModuleType, str, object]] = {
    "without noise": (plan, "NOISE", 0.0),
    "without shares of the margin": (judge, "SHARES", (1.0,)),
    "with 20 steps an epoch": (plan, "LEAST_STEPS", dict.fromkeys(HEADS, 20)),
}
"""What `--parts` sets aside: module, constant and the value it then has."""
NETWORK = "test_resnet"
BATCH, RATE = 32, 3e-3
HALF = (0.5, 0.5, 0.5)
APART = 1_000_000
"""First patient of those that the network is trained on."""


def trained(options: argparse.Namespace, file: Path) -> None:
    """Train the network on single slices of patients that stage two never sees, and write its weights."""
    task = get_task("rsna-ich")
    phantom = HeadPhantom(
        options.taught, options.seed, options.pixels, prevalence=options.prevalence, first_patient=APART
    )
    images, labels = [], []
    for patient in (draw_head_patient(phantom, i) for i in range(options.taught)):
        for series in patient.series:
            values = render_series(patient, series, options.pixels)
            windows = [np.clip((values - c + w / 2) / w, 0, 1) for c, w in task.images.windows]
            images.append(np.stack(windows, axis=1).astype(np.float32) * 2 - 1)
            labels += [[series.labels(r)[t.name] for t in task.targets] for r in range(len(values))]
    x, y = torch.from_numpy(np.concatenate(images)), torch.tensor(labels, dtype=torch.float32)
    torch.manual_seed(options.seed)
    network = timm.create_model(NETWORK, pretrained=False, num_classes=len(task.targets))
    weight = torch.tensor([t.weights[0] if t.weights else 1.0 for t in task.targets])
    steps = options.epochs * -(-len(x) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=max(1, steps))
    for epoch in range(options.epochs):
        order, total = torch.randperm(len(x)), 0.0
        for rows in order.split(BATCH):
            batch = x[rows].roll(tuple(torch.randint(-3, 4, (2,)).tolist()), (-2, -1))
            batch = batch.flip(-1) if torch.rand(()) < 0.5 else batch
            terms = torch.nn.functional.binary_cross_entropy_with_logits(network(batch), y[rows], reduction="none")
            loss = (terms * weight).sum(dim=1).mean() / weight.sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        print(f"  network, epoch {epoch + 1}: loss {total / len(x):.4f}", flush=True)
    network.reset_classifier(0)
    save_file(network.state_dict(), file)


def prepared(options: argparse.Namespace, folder: Path) -> tuple[Cohort, EmbeddingStore]:
    """Write the phantom, index it and embed its slices, where that is not done yet."""
    if (folder / "prepared").is_file():
        return Cohort.load(folder / "cohort"), EmbeddingStore.open(folder / "store")
    task = get_task("rsna-ich")
    phantom = HeadPhantom(options.patients, options.seed, options.pixels, prevalence=options.prevalence)
    if not (folder / "data" / task.table).is_file():
        write_rsna_ich(folder / "data", phantom)
    how = IndexConfig(folds=FoldSpec(options.folds), workers=1, key=bytes(32))
    cohort = index(folder / "data", task, how).cohort.save(folder / "cohort", overwrite=True)
    if not (folder / "network.safetensors").is_file():
        trained(options, folder / "network.safetensors")
    size, pool = options.pixels, ("avg", "max")
    backbone = BackboneConfig(NETWORK, folder / "network.safetensors", None, size, pool, None, HALF, HALF)
    pixels = PixelPolicy.of("frame", options.pixels, task.images.windows)
    store = extract(cohort, folder / "store", ExtractConfig(backbone, pixels, workers=1)).store
    (folder / "prepared").touch()
    return cohort, store


def fitted(cohort: Cohort, store: EmbeddingStore, options: argparse.Namespace, folder: Path) -> dict[str, pd.DataFrame]:
    """Out-of-fold predictions by name: the boosters for each reach of neighbours, and the heads."""
    task, out = cohort.need_task(), {}
    contenders: list[tuple[str, int, str]] = [(learner, 0, "") for learner in (*HEADS, *BOOSTERS)]
    contenders += [(learner, reach, "") for reach in REACHES[1:] for learner in BOOSTERS]
    contenders += [(head, 0, part) for head in HEADS for part in PARTS if options.parts]
    for learner, reach, part in contenders:
        name = ", ".join(filter(None, [learner, part, f"{reach} on each side" if reach else ""]))
        kept = folder / f"{name.replace(', ', '-').replace(' ', '_')}.parquet"
        if not kept.is_file():
            own = replace(cohort, task=replace(task, slots=replace(task.slots, neighbours=reach)))
            config = BoostConfig(learners=(learner,), blocks=("image",), seeds=1, workers=1)
            begun = time.process_time()
            with patch.object(*PARTS[part]) if part else nullcontext():
                table = fit_boost(own, [store], config, keep=folder / f".{kept.stem}").predictions.table
            table.sort_values(["target", "unit"], ignore_index=True).to_parquet(kept)
            print(f"  {name}: {time.process_time() - begun:.0f} s of one core", flush=True)
        out[name] = pd.read_parquet(kept)
    return out


def with_prior(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Add the base rate of the other folds."""
    first = next(iter(tables.values()))
    total = first.groupby("target")["y"].agg(["sum", "size"])
    fold = first.groupby(["target", "fold"])["y"].agg(["sum", "size"])
    rest = total.loc[fold.index.get_level_values(0)].to_numpy() - fold.to_numpy()
    rate = pd.Series(rest[:, 0] / rest[:, 1], index=fold.index)
    keys = pd.MultiIndex.from_frame(first[["target", "fold"]])
    return {"prior": first.assign(p=rate.loc[keys].to_numpy()), **tables}


def scored(table: pd.DataFrame) -> Scored:
    """Rows of all targets, `any` twice as heavy."""
    return Scored(*(table[name].to_numpy() for name in ("y", "p", "task_weight", "group")))


def report(tables: dict[str, pd.DataFrame]) -> None:
    """Print losses with intervals, and each head against each booster."""
    tables, how = with_prior(tables), Bootstrap()
    print(f"\n{'':34s} {'weighted log loss':>24s} {'of the prior':>12s} {'AUC of any':>11s}")
    rows = {name: scored(table) for name, table in tables.items()}
    values = {name: log_loss(r.y, r.p, r.weight) for name, r in rows.items()}
    for name, own in rows.items():
        low, high = clustered_interval(log_loss, own, how)
        table = tables[name][tables[name]["target"] == "any"]
        area = auc(table["y"], table["p"])
        text = f"{values[name]:.4f} [{low:.4f}, {high:.4f}]"
        print(f"{name:34s} {text:>24s} {values[name] / values['prior']:12.3f} {area:11.3f}")
    print("\npaired differences of the loss, head minus booster, and how probably the head is the better one")
    for head in HEADS:
        for name in rows:
            if not name.startswith(BOOSTERS):
                continue
            found = clustered_difference(log_loss, rows[head], rows[name].p, how)
            print(
                f"{head:12s} - {name:32s} {found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}] {found.below:8.3f}"
            )


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=100)
    parser.add_argument("--prevalence", type=float, default=0.7, help="share of patients with a bleed")
    parser.add_argument("--pixels", type=int, default=64)
    parser.add_argument("--taught", type=int, default=120, help="other patients, whom the network is trained on")
    parser.add_argument("--epochs", type=int, default=12, help="of the network")
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", action="store_true", help="also heads without what they do for few series")
    parser.add_argument("--work", type=Path, help="keep all here, to go on after a cut")
    options = parser.parse_args()
    names = ("radboost", "torch", "timm", "lightgbm", "xgboost", "numpy")
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    print(
        time.strftime("%Y-%m-%d", time.gmtime()), platform.machine(), f"Python {platform.python_version()}, {libraries}"
    )
    begun, load = time.perf_counter(), os.getloadavg()[0]
    with ExitStack() as stack:
        folder = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        cohort, store = prepared(options, folder)
        labels = cohort.targets.pivot(index="unit", columns="target", values="label")
        print(
            f"{options.patients} patients, {cohort.manifest['series'].nunique()} series, {len(labels)} slices of "
            f"{options.pixels} pixels, {options.folds} folds; seed {options.seed}"
        )
        print("positive: " + ", ".join(f"{name} {share:.3f}" for name, share in labels.mean().items()), flush=True)
        print(f"  prepared in {time.perf_counter() - begun:.0f} s", flush=True)
        report(fitted(cohort, store, options, folder))
    loads = f"{load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end"
    print(f"\n{time.perf_counter() - begun:.0f} s; load of the machine {loads}, {os.cpu_count()} cores")
    print(f"threads: OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}, numpy {np.__version__}")


if __name__ == "__main__":
    main()
