"""Does the interval of the cross-fitted score hold the score that a stranger would measure?

Cohorts are drawn from a population whose loss is known from a very large sample of it. Patients have several units that
are alike, in their labels and in how the members see them, and the members are as good as published ones.
"""

from __future__ import annotations

import platform
import sys
import time
from dataclasses import dataclass

import numpy as np
import pytest

from radboost.data.predictions import Block
from radboost.ensemble.panel import Panel
from radboost.ensemble.plan import Fit, Plan, predict_plan
from radboost.ensemble.procedure import Procedure
from radboost.ensemble.selection import Bench
from radboost.metrics import Bootstrap, Scored, clustered_interval, log_loss

SKILLS = (1.2, 1.0, 0.8, 0.4, 0.0)
UNITS = 3
PATIENTS = 300
TRUTH = 40_000
"""Patients of the large sample."""


def draw(seed: int, patients: int) -> Block:
    """Patients of three units each; what they share makes rows of one patient alike."""
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(patients), UNITS)
    shared = random.normal(0, 1.2, patients)[group]
    y = (random.random(group.size) < 1 / (1 + np.exp(1.2 - shared))).astype(int)
    blur = random.normal(0, 1.2, patients)[group]
    logits = [-1.1 + s * (1.5 * y - 0.5) + blur + random.normal(0, 0.8, group.size) for s in SKILLS]
    p = 1 / (1 + np.exp(-np.stack(logits, axis=1)))
    names = np.array([f"g{g:06d}" for g in group])
    return Block(
        target="finding",
        classes=(0, 1),
        members=tuple((f"m{k}", "regular") for k in range(len(SKILLS))),
        unit=np.arange(group.size).astype(str),
        group=names,
        fold=(random.permutation(patients) % 5)[group],
        label=y,
        p=np.stack([1 - p, p], axis=2),
        task_weight=np.ones(group.size),
        target_weight=np.ones(group.size),
    )


@dataclass(frozen=True)
class Found:
    """Of one cohort: the score and what is true of the blend of all its rows and of those without each fold."""

    score: float
    in_sample: float
    clustered: tuple[float, float]
    by_row: tuple[float, float]
    final: float
    folds: float


def blended(cohort: Block, world: Panel, how: Bootstrap) -> Found:
    panel = Panel.of(cohort, cohort.task_weight)
    bench = Bench((panel,), ("prob", "logit"), (1.0,))
    procedure = Procedure((bench,), ("finding",), (cohort.unit,))
    (outcome,), *_ = procedure.crossfit()
    rows = Scored(panel.label, outcome.p[:, 1], panel.weight, panel.group)
    each_row = Scored(panel.label, outcome.p[:, 1], panel.weight, cohort.unit)

    def true(plan: Plan, fit: Fit) -> float:
        return log_loss(world.label, predict_plan(world, plan, fit)[:, 1])

    whole = procedure.folds
    parts = [bench.choose(whole - {f}) for f in whole]
    fits = [bench.fit(plan, whole - {f})[0] for plan, f in zip(parts, whole, strict=True)]
    (made,) = procedure.fit(whole)
    return Found(
        score=log_loss(rows.y, rows.p),
        in_sample=log_loss(rows.y, made.p[:, 1]),
        clustered=clustered_interval(log_loss, rows, how),
        by_row=clustered_interval(log_loss, each_row, how),
        final=true(made.plan, made.fit),
        folds=float(np.mean([true(plan, fit) for plan, fit in zip(parts, fits, strict=True)])),
    )


def share(found: list[Found], interval: str, truth: str) -> float:
    return float(np.mean([getattr(f, interval)[0] <= getattr(f, truth) <= getattr(f, interval)[1] for f in found]))


@pytest.mark.parametrize(
    ("cohorts", "patients", "low", "high"),
    [(12, 4000, 0.75, 1), pytest.param(1000, TRUTH, 0.93, 0.97, marks=pytest.mark.proof)],
)
def test_the_clustered_interval_of_the_cross_fitted_score_holds_the_true_one(cohorts, patients, low, high):
    started = time.perf_counter()
    large = draw(1_000_000, patients)
    world = Panel.of(large, large.task_weight)
    found = [blended(draw(seed, PATIENTS), world, Bootstrap(seed=seed)) for seed in range(cohorts)]
    gap = np.array([[f.score - f.final, f.in_sample - f.final] for f in found])
    width = [np.mean([getattr(f, name)[1] - getattr(f, name)[0] for f in found]) for name in ("clustered", "by_row")]
    print(f"{time.strftime('%Y-%m-%d', time.gmtime())} {platform.machine()} Python {sys.version.split()[0]}")
    print(f"numpy {np.__version__}; {cohorts} cohorts of {PATIENTS} patients x {UNITS} units, seeds 0 to {cohorts - 1}")
    print(f"true loss from {patients} other patients; mean {np.mean([f.final for f in found]):.4f}")
    for name, interval in (("clustered by patient", "clustered"), ("by row", "by_row")):
        of_final, of_folds = share(found, interval, "final"), share(found, interval, "folds")
        wide = f"width {width[interval == 'by_row']:.4f}"
        print(f"95 % interval {name:21s} holds the blend's true loss {of_final:.1%}, its folds' {of_folds:.1%}, {wide}")
    print(f"mean error of the cross-fitted score {gap[:, 0].mean():+.5f}, of the in-sample one {gap[:, 1].mean():+.5f}")
    print(f"{time.perf_counter() - started:.0f} s")
    assert low <= share(found, "clustered", "final") <= high
    # The in-sample score flatters, the cross-fitted one does not.
    assert gap[:, 1].mean() < gap[:, 0].mean()
