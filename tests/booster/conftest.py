"""Made-up cohorts and stores in memory: stage two needs no pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radboost.data.cohort import NO_BOX, Cohort
from radboost.data.folds import assign_folds
from radboost.data.identity import keyed_hashes
from radboost.data.task import OPPOSITE, Metadata, Slots, Target, Task

KEY = bytes(range(32))


@dataclass(frozen=True)
class MemoryStore:
    """What stage two asks of a store, without a file."""

    ids: list[str]
    vectors: np.ndarray
    fingerprint_hash: str = "0123456789abcdef" * 4
    pools: tuple[str, ...] = ("avg",)
    config: dict[str, Any] = field(default_factory=lambda: {"backbone": "none"})

    def width(self, pool: str) -> int:
        return self.vectors.shape[1]

    def rows_of(self, crop_ids: Any) -> np.ndarray:
        place = {c: i for i, c in enumerate(self.ids)}
        return np.array([place.get(c, -1) for c in crop_ids], dtype=np.int64)

    def read(self, pool: str, rows: np.ndarray) -> np.ndarray:
        assert (np.asarray(rows) >= 0).all()
        return self.vectors[rows]


@dataclass(frozen=True)
class Recipe:
    """What a made-up cohort holds."""

    patients: int = 60
    seed: int = 0
    width: int = 24
    signal: float = 0.0
    """Shift of a diseased side's embeddings."""
    signature: float = 1.0
    """Size of what all crops of a patient share."""
    noise: float = 0.3
    age: float = 0.0
    """Shift of a diseased patient's age, in deviations."""
    rate: float = 0.3
    folds: int = 4
    targets: tuple[Target, ...] = (Target("cancer", "cancer"),)
    both_sick: bool = False
    """Whether a patient's two sides share the label, so that knowing the patient is knowing the label."""
    sides: bool = True
    metadata: bool = True
    unlabelled: float = 0.0


def build(recipe: Recipe) -> tuple[Cohort, MemoryStore]:
    """Patients with two sides and two views each; the disease lies in one side."""
    random = np.random.default_rng(recipe.seed)
    direction = np.random.default_rng(99).normal(size=recipe.width)
    direction /= np.linalg.norm(direction)
    crops, targets, vectors = [], [], []
    for number in range(recipe.patients):
        patient = f"PAT{number:04d}"
        shared = recipe.signature * random.normal(size=recipe.width)
        levels = [random.random() for _ in recipe.targets]
        sick = [int(np.digitize(v, _edges(t, recipe.rate))) for v, t in zip(levels, recipe.targets, strict=True)]
        bad = "L" if random.random() < 0.5 else "R"
        age = 60 + 10 * random.normal() + 10 * recipe.age * (sick[0] > 0)
        for side in ("L", "R"):
            unit = f"{patient}_{side}"
            # Of the diseased side, every target has its own direction.
            here = [s if recipe.both_sick or side == bad else 0 for s in sick]
            for target, label in zip(recipe.targets, here, strict=True):
                known = random.random() >= recipe.unlabelled
                weight = target.weights[label] if target.weights else 1.0
                targets.append((unit, patient, target.name, label if known else -1, weight))
            shift = sum(recipe.signal * label * np.roll(direction, k) for k, label in enumerate(here))
            for order, view in enumerate(("CC", "MLO")):
                crops.append((unit, patient, side, view, order, age, "ABC"[number % 3]))
                vectors.append(shared + shift + recipe.noise * random.normal(size=recipe.width))
    table = pd.DataFrame(crops, columns=["unit", "group", "laterality", "view", "order", "age", "site"])
    table["crop_id"] = keyed_hashes(KEY, "crop", table["unit"] + table["view"])
    manifest = table.drop(columns=["unit", "age", "site"]).assign(
        path=table["unit"] + table["view"] + ".dcm",
        frame=-1,
        study="1.2.3",
        series="1.2.3.4",
        instance="1.2.3.4.5",
        **NO_BOX,
    )
    manifest["metadata.age"], manifest["metadata.site"] = table["age"].map("{:.1f}".format), table["site"]
    own = table.assign(slot=table["view"])[["unit", "crop_id", "slot", "order"]]
    other = own.assign(unit=own["unit"].map(lambda u: u[:-1] + ("R" if u.endswith("L") else "L")))
    links = pd.concat([own, other.assign(slot=other["slot"] + OPPOSITE)] if recipe.sides else [own], ignore_index=True)
    labels = pd.DataFrame(targets, columns=["unit", "group", "target", "label", "task_weight"])
    task = Task(
        name="made-up",
        table="train.csv",
        unit=("patient", "side"),
        group="patient",
        targets=recipe.targets,
        slots=Slots("view", ("CC", "MLO"), (), "side" if recipe.sides else None),
        metadata=Metadata(("age",), ("site",)) if recipe.metadata else Metadata(),
    )
    cohort = Cohort(Path("data"), task, manifest, links, labels, _folds(labels, recipe), KEY)
    return cohort, MemoryStore(table["crop_id"].tolist(), np.array(vectors, dtype=np.float16))


def _edges(target: Target, rate: float) -> list[float]:
    """Disease of class 1, 2, ... takes equal parts of `rate`."""
    classes = len(target.classes)
    return [1 - rate * (classes - c) / (classes - 1) for c in range(1, classes)]


def _folds(labels: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    wide = labels.assign(sick=(labels["label"] > 0).astype(float)).pivot(index="unit", columns="target", values="sick")
    groups = [u[:-2] for u in wide.index]
    folds = assign_folds(groups, wide.to_numpy(), recipe.folds, recipe.seed)
    return pd.DataFrame({"group": list(folds), "fold": list(folds.values()), "split": "train"})


@pytest.fixture(scope="session")
def make() -> Callable[..., tuple[Cohort, MemoryStore]]:
    """Build a cohort and its store from the fields of `Recipe`."""
    return lambda **fields: build(replace(Recipe(), **fields))
