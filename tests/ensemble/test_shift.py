"""A set that differs from its target: each policy wins where it is meant to, and robust loses least anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from radboost.ensemble.blend import fit_blend
from radboost.ensemble.policy import Policy
from radboost.ensemble.result import BlendConfig
from radboost.metrics import Bootstrap, log_loss

QUICK = Bootstrap(replicates=50)


@pytest.fixture(scope="module")
def blends(shifted):
    learnt = shifted(0, 4000, common=0.9)
    return {policy: fit_blend(learnt, policy, QUICK, BlendConfig("prob")) for policy in Policy}


def losses(shifted, blends, common: float) -> dict[Policy, float]:
    """Loss of each policy's weights on new patients of whom so many are of the common stratum."""
    block = next(iter(shifted(99, 20_000, common=common).blocks()))
    found = {}
    for policy, blend in blends.items():
        weights = np.array([blend.targets[0].weights[name] for name, _ in block.members])
        found[policy] = log_loss(block.label, np.einsum("nmc,m->nc", block.p, weights)[:, 1], np.ones(len(block)))
    return found


def test_each_policy_wins_where_it_is_meant_to_and_robust_regrets_least(shifted, blends):
    plain, target = losses(shifted, blends, 0.9), losses(shifted, blends, 0.1)
    assert plain[Policy.SAFE] < plain[Policy.ROBUST] < plain[Policy.RISKY]
    assert target[Policy.RISKY] < target[Policy.ROBUST] < target[Policy.SAFE]
    worst = {p: max(plain[p] - min(plain.values()), target[p] - min(target.values())) for p in Policy}
    assert worst[Policy.ROBUST] < 0.7 * min(worst[Policy.SAFE], worst[Policy.RISKY])


def test_the_cross_fitted_regrets_say_so_before_any_new_patient_comes(blends):
    regret = blends[Policy.ROBUST].targets[0].regret
    assert regret is not None
    assert regret.worst[2] < min(regret.worst[:2])
    assert regret.plain[0] <= min(regret.plain) + 1e-3
    assert regret.target[1] <= min(regret.target) + 1e-3
    assert blends[Policy.SAFE].targets[0].regret is None
    assert set(blends[Policy.ROBUST].predictions.table["kind"]) == {"weighted"}
