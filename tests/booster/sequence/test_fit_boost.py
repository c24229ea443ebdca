"""Sequence heads in a whole run, on a synthetic CT: drawn embeddings, whose lesions span neighbouring slices."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radboost.booster.config import BoostConfig
from radboost.booster.crossfit import fit_boost
from radboost.booster.design import build_design
from radboost.booster.run import Run
from radboost.booster.sequence import plan
from radboost.data.cohort import NO_BOX, Cohort
from radboost.data.identity import keyed_hashes
from radboost.data.task import Metadata, Slots, Target, Task
from radboost.errors import UserError

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
        return self.vectors[rows]


def scans(patients: int, seed: int = 0, slices: int = 16, ordered: bool = True) -> tuple[Cohort, MemoryStore]:
    """One scan a patient, one crop a slice; half of them have a lesion of three to six slices.

    A slice tells its lesion by 1.6 deviations of one of its twelve embedding columns. Neighbours share half of the
    variance of the others, as anatomy does.
    """
    random = np.random.default_rng(seed)
    parts, vectors = [], []
    for number in range(patients):
        lesion = np.zeros(slices, dtype=int)
        first, length = random.integers(0, slices - 3), random.integers(3, 7)
        lesion[first : first + length] = random.random() < 0.5
        anatomy, own = random.normal(size=(2, slices + 2, 12))
        x = (anatomy[:-2] + anatomy[1:-1] + anatomy[2:]) / np.sqrt(6) + own[:slices] / np.sqrt(2)
        x[:, 0] = own[:slices, 0] + 1.6 * lesion
        vectors.append(x)
        group = f"PAT{number:04d}"
        rows = pd.DataFrame(
            {"unit": [f"{group}_{i:02d}" for i in range(slices)], "label": lesion, "order": range(slices)}
        )
        parts.append(rows.assign(group=group, series=f"1.2.{number}" if ordered else "", fold=number % 2))
    table = pd.concat(parts, ignore_index=True)
    table["order"] = table["order"].astype(float)
    table["crop_id"] = keyed_hashes(KEY, "crop", table["unit"])
    empty = {"frame": -1, "study": "1.2", "laterality": "", "view": "AX"}
    manifest = table[["group", "series", "order", "crop_id"]].assign(
        path=table["unit"] + ".dcm", instance="1.3." + table.index.astype(str), **empty, **NO_BOX
    )
    links = table[["unit", "crop_id", "order"]].assign(slot="AX")
    targets = table[["unit", "group", "label"]].assign(target="any", task_weight=1.0)
    folds = table[["group", "fold"]].drop_duplicates().assign(split="train")
    task = Task(
        name="made-up",
        table="train.csv",
        unit=("slice",),
        group="patient",
        targets=(Target("any", "any"),),
        slots=Slots("view", ("AX",), (), None),
        metadata=Metadata(),
    )
    cohort = Cohort(Path("data"), task, manifest, links, targets, folds, KEY)
    return cohort, MemoryStore(table["crop_id"].tolist(), np.concatenate(vectors).astype(np.float16))


@pytest.fixture
def short_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    # Fewer and longer steps than a small cohort is given, where no claim hangs on the result.
    monkeypatch.setattr(plan, "LEAST_STEPS", dict.fromkeys(plan.LEAST_STEPS, 6))


def losses(run: Run) -> dict[tuple[str, str], float]:
    p = run.predictions.table
    p = p.assign(loss=-np.log(np.where(p["y"] == 1, p["p"], 1 - p["p"]).clip(1e-9)))
    return p.groupby(["member", "kind"])["loss"].mean().to_dict()


@pytest.mark.proof
def test_the_head_beats_slice_wise_boosters_out_of_fold() -> None:
    # Residual alone, for the time it takes; for Pooled-Res see test_model.
    for seed in range(2):
        cohort, store = scans(100, seed)
        config = BoostConfig(learners=("lightgbm", "xgboost", "residual"), blocks=("image",), seeds=1)
        found = {member: loss for (member, _), loss in losses(fit_boost(cohort, [store], config)).items()}
        assert found["residual/image"] < 0.93 * min(found["lightgbm/image"], found["xgboost/image"])


def test_a_run_with_weighted_members_is_saved_and_predicts_new_scans(tmp_path: Path, short_epochs: None) -> None:
    cohort, store = scans(16)
    weights = {unit: 1.8 if int(unit[3:7]) % 4 < 2 else 0.2 for unit in cohort.targets["unit"]}
    config = BoostConfig(learners=("residual",), blocks=("image",), seeds=1, weights=weights)
    run = fit_boost(cohort, [store], config)
    assert set(losses(run)) == {("residual/image", "regular"), ("residual/image", "weighted")}
    run.save(tmp_path / "run")
    design = build_design(*(lambda c, s: (c, [s]))(*scans(5, seed=9)))
    here, there = run.predict(design), Run.load(tmp_path / "run").predict(design)
    for member in run.members:
        np.testing.assert_array_equal(here[member]["any"], there[member]["any"])


def test_units_without_an_order_are_refused() -> None:
    cohort, store = scans(10, ordered=False)
    with pytest.raises(UserError, match="no order"):
        fit_boost(cohort, [store], BoostConfig(learners=("residual",), blocks=("image",)))
