"""Where safe, risky and robust cross."""

from __future__ import annotations

import json

import numpy as np
import pytest

from radboost.data.predictions import Predictions
from radboost.ensemble.blend import fit_blend
from radboost.ensemble.policy import Policy
from radboost.ensemble.result import BlendConfig, Sweep
from radboost.ensemble.sweep import STRENGTHS, sweep
from radboost.metrics import Bootstrap, Scored, clustered_difference, clustered_interval, log_loss

QUICK = Bootstrap(replicates=10)
PROB = BlendConfig("prob")


@pytest.fixture(scope="module")
def learnt(shifted):
    return shifted(0, 1500, common=0.9)


@pytest.fixture(scope="module")
def found(learnt) -> dict[str, Sweep]:
    return {each.axis: each for each in sweep(learnt, {}, PROB)}


def test_safe_wins_in_the_data_risky_in_the_target_set_and_they_cross_between(found):
    strength = found["strength"]
    assert strength.best(strength.at.index(0.0)) == "safe"
    assert strength.best(strength.at.index(1.0)) == "risky"
    places = [x for x, _, _ in strength.crossings()]
    assert places
    assert 0 < places[0] <= places[-1] < 1
    assert strength.crossings()[0][1] == "safe"
    assert strength.crossings()[-1][2] == "risky"
    # Robust lies between them wherever they differ.
    for k in (0, strength.at.index(1.0)):
        safe, risky, robust = (strength.losses[name][k] for name in ("safe", "risky", "robust"))
        assert min(safe, risky) <= robust <= max(safe, risky)


def test_worlds_0_and_1_are_the_two_losses_of_the_blend(learnt, found):
    result = fit_blend(learnt, Policy.SAFE, QUICK, PROB)
    table = result.predictions.table
    y, p = table["y"].astype(int), table["p"]
    for world, weight in ((0.0, table["task_weight"]), (1.0, table["task_weight"] * table["target_weight"])):
        k = found["strength"].at.index(world)
        assert found["strength"].losses["safe"][k] == pytest.approx(log_loss(y, p, weight), abs=1e-12)
    known = {each.axis: each for each in sweep(learnt, {Policy.SAFE: result.predictions}, PROB)}
    assert known == found


def test_intervals_are_those_of_the_metric_and_differences_are_paired(learnt):
    own = learnt.table.drop_duplicates("unit")
    noise = np.random.default_rng(0).normal(size=(3, len(own)))
    blends = {
        policy: Predictions(own.assign(p=1 / (1 + np.exp(1 - own["y"] - noise[k])), member=policy.value))
        for k, policy in enumerate(Policy)
    }
    for each in sweep(learnt, blends, PROB):
        k = {"strength": STRENGTHS.index(1.0), "prevalence": 4}[each.axis]
        (block,) = blends[Policy.SAFE].blocks()
        weight = block.task_weight * (block.target_weight if each.axis == "strength" else 1.0)
        rows = Scored(block.label, block.p[:, 0, 1], weight, block.group)
        assert each.intervals["safe"][k] == pytest.approx(clustered_interval(log_loss, rows), abs=1e-12)
        best = next(blends[Policy(each.best(k))].blocks()).p[:, 0, 1]
        found = clustered_difference(log_loss, rows, best)
        assert each.above["safe"][k] == pytest.approx((found.low, found.high), abs=1e-12)
        assert each.above[each.best(k)][k] == (0.0, 0.0)
        assert (each.units, each.groups) == (len(own), own["group"].nunique())


def test_prevalence_is_swept_by_odds_around_its_own_rate(learnt, found):
    swept = found["prevalence"]
    table = learnt.table.drop_duplicates("unit")
    rate = table["y"].mean()
    assert swept.at[len(swept.at) // 2] == pytest.approx(rate)
    odds = [x / (1 - x) for x in swept.at]
    assert np.diff(np.log2(odds)) == pytest.approx(np.ones(len(odds) - 1))
    middle = found["strength"].losses["risky"][0]
    assert swept.losses["risky"][len(odds) // 2] == pytest.approx(middle, abs=1e-12)


def test_without_target_weights_there_is_nothing_to_cross(binary):
    assert sweep(binary(), {}, PROB) == ()


def test_a_third_policy_may_be_the_best_between_two_worlds():
    crossing = Sweep("t", "strength", (0.0, 1.0), {"safe": (0.0, 2.0), "risky": (2.0, 0.0), "robust": (0.6, 0.6)})
    assert crossing.crossings() == ((pytest.approx(0.3), "safe", "robust"), (pytest.approx(0.7), "robust", "risky"))
    flat = Sweep("t", "strength", (0.0, 1.0), {"safe": (1.0, 1.0), "risky": (1.0, 1.0), "robust": (1.0, 1.0)})
    assert flat.crossings() == ()
    touching = Sweep("t", "strength", (0.0, 1.0, 2.0), {"safe": (0.0, 1.0, 2.0), "risky": (1.0, 1.0, 1.0)})
    assert touching.crossings() == ((1.0, "safe", "risky"),)
    assert json.loads(json.dumps(touching.to_dict()))["cross"] == [{"at": 1.0, "from": "safe", "to": "risky"}]
