"""Synthetic out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from radboost.data.predictions import COLUMNS, Predictions


def binary_predictions(
    seed: int = 0,
    skills: Mapping[tuple[str, str], float] | None = None,
    *,
    patients: int = 150,
    target: str = "cancer",
    prevalence: float = 0.3,
) -> Predictions:
    """Two units a patient in five folds; a member of skill s sees s times the truth, one of skill 0 only noise."""
    skills = skills or {("good", "regular"): 1.0, ("fair", "regular"): 0.8, ("noise", "regular"): 0.0}
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(patients), 2)
    y = (random.random(group.size) < prevalence).astype(float)
    base = np.log(prevalence / (1 - prevalence))
    shared = {
        "unit": [f"u{i:05d}" for i in range(group.size)],
        "target": target,
        "class": 1,
        "y": y,
        "task_weight": 1.0,
        "target_weight": 1.0,
        "group": [f"g{g:05d}" for g in group],
        "fold": (random.permutation(patients) % 5)[group],
        "fold_hash": "0" * 64,
    }
    parts = []
    for (member, kind), skill in skills.items():
        logit = base + skill * (y - prevalence) + random.normal(size=group.size)
        parts.append(pd.DataFrame(shared | {"p": 1 / (1 + np.exp(-logit)), "member": member, "kind": kind}))
    return Predictions(pd.concat(parts, ignore_index=True)[list(COLUMNS)].astype(COLUMNS))


def multi_predictions(seed: int = 0, *, patients: int = 100) -> Predictions:
    """Three classes, weights 1, 2 and 4, two members, some units unlabelled."""
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(patients), 2)
    label = random.choice(3, group.size, p=[0.6, 0.25, 0.15])
    unlabelled = random.random(group.size) < 0.1
    fold = (random.permutation(patients) % 5)[group]
    parts = []
    for member, skill in (("a", 2.0), ("b", 0.5)):
        p = np.exp(skill * np.eye(3)[label] + 0.5 * random.normal(size=(group.size, 3)))
        p /= p.sum(axis=1, keepdims=True)
        for k in range(3):
            columns = {
                "unit": [f"u{i:05d}" for i in range(group.size)],
                "target": "severity",
                "class": k,
                "y": np.where(unlabelled, np.nan, (label == k).astype(float)),
                "p": p[:, k],
                "member": member,
                "kind": "regular",
                "task_weight": np.where(unlabelled, 1.0, 2.0**label),
                "target_weight": 1.0,
                "group": [f"g{g:05d}" for g in group],
                "fold": fold,
                "fold_hash": "0" * 64,
            }
            parts.append(pd.DataFrame(columns))
    return Predictions(pd.concat(parts, ignore_index=True)[list(COLUMNS)].astype(COLUMNS))


def shifted_predictions(seed: int, patients: int, *, common: float) -> Predictions:
    """Two strata; one member reads the common one well, the other the rare one, which is common in the target."""
    random = np.random.default_rng(seed)
    rare = random.random(patients) > common
    y = (random.random(patients) < np.where(rare, 0.5, 0.15)).astype(float)
    shared = {
        "unit": [f"u{k}" for k in range(patients)],
        "target": "any",
        "class": 1,
        "y": y,
        "task_weight": 1.0,
        # The known density ratio: in the target nine tenths are of the stratum that is rare here.
        "target_weight": np.where(rare, 0.9 / (1 - common), 0.1 / common),
        "group": [f"g{k}" for k in range(patients)],
        "fold": random.permutation(patients) % 5,
        "fold_hash": "0" * 64,
    }
    parts = []
    for member, good in (("common", ~rare), ("rare", rare)):
        # Sure of itself everywhere, right in one stratum only.
        logit = np.where(good, 2.5 * (2 * y - 1), 0.3 * (2 * y - 1)) + random.normal(0, 1.2, patients)
        parts.append(pd.DataFrame(shared | {"p": 1 / (1 + np.exp(-logit)), "member": member, "kind": "regular"}))
    return Predictions(pd.concat(parts, ignore_index=True)[list(COLUMNS)].astype(COLUMNS))


@pytest.fixture
def binary():
    """Make binary predictions: see `binary_predictions`."""
    return binary_predictions


@pytest.fixture
def multi():
    """Make predictions of three classes: see `multi_predictions`."""
    return multi_predictions


@pytest.fixture(scope="session")
def shifted():
    """Make predictions of a set that differs from its target: see `shifted_predictions`."""
    return shifted_predictions
