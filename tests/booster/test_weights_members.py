"""Weights to weighted members to scores on new patients of a target set; benchmarks/shift_members.py is longer."""

from __future__ import annotations

import numpy as np

from radboost.booster.config import BoostConfig
from radboost.booster.crossfit import fit_boost
from radboost.booster.design import build_design
from radboost.booster.run import Run
from radboost.booster.weights import simulate
from radboost.data.phantom.shift import ShiftPhantom, draw_shifted_pair
from radboost.data.phantom.shift_store import ShiftStore
from radboost.metrics import Bootstrap, Scored, clustered_difference, log_loss

KINDS = ("regular", "weighted")
MEMBER = "logistic/image"
"""It does not see the site, on which what an image tells depends: no such model is right in both distributions."""


def learnt(shape: ShiftPhantom):
    """Give the weights of a cohort that is to look like another one, and what was learnt under them and without."""
    pair = draw_shifted_pair(shape)
    found = simulate(pair.source, pair.target)
    weights = dict(zip(found.unit.tolist(), found.weight.tolist(), strict=True))
    config = BoostConfig(("logistic",), weights, blocks=("image",), workers=1)
    return found, fit_boost(pair.source, [ShiftStore.draw(pair.source, shape.seed)], config)


def difference(run: Run, shape: ShiftPhantom, world: str):
    """Loss of the weighted member less that of its regular twin, on new patients."""
    seed = 10_000 + shape.seed
    fresh = draw_shifted_pair(ShiftPhantom(2000, 2000, shape.strength, seed))
    cohort = fresh.target if world == "shifted" else fresh.source
    design = build_design(cohort, [ShiftStore.draw(cohort, seed)])
    p = {kind: own["cancer"][:, 1] for (_, kind), own in run.predict(design, [(MEMBER, k) for k in KINDS]).items()}
    rows = Scored(design.label[:, 0], p["weighted"], np.ones(len(design)), design.group)
    return clustered_difference(log_loss, rows, p["regular"], Bootstrap(replicates=300))


def test_weighted_members_win_on_the_shifted_set_and_lose_on_the_plain_one():
    # With 300 patients even the true density ratio costs a member about what it brings.
    shape = ShiftPhantom(800, 400, 1.0, seed=4)
    _, run = learnt(shape)
    assert difference(run, shape, "shifted").high < 0
    assert difference(run, shape, "plain").low > 0


def test_without_a_shift_weights_cost_nothing():
    shape = ShiftPhantom(300, 150, 0.0, seed=1)
    found, run = learnt(shape)
    assert found.share > 0.9
    assert difference(run, shape, "shifted").low <= 0
