"""Weights to weighted members to scores on new patients of a target set; benchmarks/shift_members.py is longer."""

from __future__ import annotations

import numpy as np
import pytest

from radboost.booster.config import BoostConfig
from radboost.booster.crossfit import fit_boost
from radboost.booster.design import build_design
from radboost.booster.weights import simulate
from radboost.data.phantom.shift import ShiftPhantom, draw_shifted_pair
from radboost.data.phantom.shift_store import ShiftStore
from radboost.metrics import Bootstrap, Scored, clustered_difference, log_loss

KINDS = ("regular", "weighted")
MEMBER = "logistic/image"
"""It does not see the site, on which what an image tells depends: no such model is right in both distributions."""


def difference(strength: float, world: str):
    """Loss of the weighted member less that of its regular twin, on new patients."""
    pair = draw_shifted_pair(ShiftPhantom(300, 150, strength, seed=1))
    found = simulate(pair.source, pair.target)
    weights = dict(zip(found.unit.tolist(), found.weight.tolist(), strict=True))
    config = BoostConfig(("logistic",), weights, blocks=("image",), workers=1)
    run = fit_boost(pair.source, [ShiftStore.draw(pair.source, 1)], config)
    fresh = draw_shifted_pair(ShiftPhantom(2000, 2000, strength, seed=10_001))
    cohort = fresh.target if world == "shifted" else fresh.source
    design = build_design(cohort, [ShiftStore.draw(cohort, 10_001)])
    p = {kind: own["cancer"][:, 1] for (_, kind), own in run.predict(design, [(MEMBER, k) for k in KINDS]).items()}
    rows = Scored(design.label[:, 0], p["weighted"], np.ones(len(design)), design.group)
    return found, clustered_difference(log_loss, rows, p["regular"], Bootstrap(replicates=300))


@pytest.mark.parametrize("world", ["shifted", "plain"])
def test_weighted_members_win_on_the_shifted_set_and_lose_on_the_plain_one(world):
    _, found = difference(1.0, world)
    assert found.high < 0 if world == "shifted" else found.low > 0


def test_without_a_shift_weights_cost_nothing():
    found, loss = difference(0.0, "shifted")
    assert found.share > 0.9
    assert loss.low <= 0
