"""Intervals of weights: as wide as the weights move from fold to fold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from radboost.ensemble.blend import fit_blend
from radboost.ensemble.jackknife import jackknife
from radboost.ensemble.policy import Policy
from radboost.ensemble.result import BlendConfig
from radboost.metrics import Bootstrap


def test_of_a_mean_it_is_the_t_interval_of_the_means_of_equal_folds():
    # Leaving out one of K equal parts of a mean is the mean of the others: the textbook interval follows exactly.
    parts = np.random.default_rng(0).normal(size=5)
    left_out = np.array([(parts.sum() - part) / 4 for part in parts])
    low, high = jackknife(np.array([parts.mean()]), left_out[:, None])
    reach = t.ppf(0.975, 4) * parts.std(ddof=1) / np.sqrt(5)
    assert (low[0], high[0]) == pytest.approx((parts.mean() - reach, parts.mean() + reach))


@pytest.mark.parametrize("space", ["prob", "logit"])
def test_weights_of_a_blend_lie_in_their_intervals_and_these_where_weights_may_be(binary, space):
    found = fit_blend(binary(), Policy.SAFE, Bootstrap(replicates=10), BlendConfig(space)).targets[0]
    assert set(found.weight_intervals) == set(found.weights)
    for name, (low, high) in found.weight_intervals.items():
        assert 0 <= low <= found.weights[name] <= high
        assert high <= 1 or space == "logit"
    assert any(low < high for low, high in found.weight_intervals.values()), "other patients give other weights"
