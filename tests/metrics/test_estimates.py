"""Many metrics at once give what each gives alone, and the interval covers as often as it says."""

from __future__ import annotations

import math
import platform
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy.stats import norm

from radboost.metrics import (
    AveragePrecision,
    Band,
    Bootstrap,
    Ladder,
    PartialAuc,
    Scored,
    SensitivityAt,
    auc,
    brier,
    clopper_pearson,
    clustered_bands,
    clustered_estimates,
    clustered_interval,
    clustered_sums,
    delong,
    divided,
    ece,
    exact_where_flat,
    interpolated_roc,
    log_loss,
    pf1,
)

FEW = Bootstrap(replicates=60, seed=1)
METRICS = {
    "loss": log_loss,
    "brier": brier,
    "pf1": pf1,
    "auc": auc,
    "ap": AveragePrecision(),
    "partial": PartialAuc(0.8),
    "sensitivity": SensitivityAt(0.9),
    "ece": ece,
}


def cohort(seed: int, patients: int = 60, rows: int = 4) -> Scored:
    """Patients with a rate, and an effect on the latent score, of their own; positives lie one higher."""
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(patients), rows)
    y = (random.random(group.size) < random.choice([0.05, 0.7], patients, p=[0.6, 0.4])[group]).astype(int)
    latent = y + 0.8 * random.normal(size=patients)[group] + 0.6 * random.normal(size=group.size)
    return Scored(y, norm.cdf(latent - 0.5), random.choice([0.5, 1.0, 2.0], group.size), group)


def test_many_at_once_are_each_alone():
    rows = cohort(0)
    found = clustered_estimates(METRICS, rows, FEW)
    for name, metric in METRICS.items():
        low, high = clustered_interval(metric, rows, FEW)
        assert (found[name].low, found[name].high) == pytest.approx((low, high), abs=1e-12), name
        assert found[name].value == metric(rows.y, rows.p, rows.weight)
        assert (found[name].rows, found[name].groups) == (240, 60)


def test_a_band_is_an_interval_at_each_place():
    rows, at = cohort(1), np.array([0.1, 0.5])
    band = clustered_bands({"roc": lambda steps: interpolated_roc(steps, at)}, rows, FEW)["roc"]

    def there(y, p, w) -> float:
        return float(interpolated_roc(Ladder.of(y, p).steps(w), at)[1])

    assert (band.low[1], band.high[1]) == pytest.approx(clustered_interval(there, rows, FEW), abs=1e-12)


def test_ratios_are_drawn_by_group_and_a_bin_without_weight_has_none():
    rows = cohort(2)
    inside = np.stack([np.ones(len(rows.y)), rows.p > 2], axis=1) * rows.weight[:, None]
    columns = np.concatenate([inside * rows.y[:, None], inside], axis=1)
    found = clustered_sums(columns, rows.group, lambda sums: divided(sums[:2], sums[2:]), FEW)
    rate = float(np.average(rows.y, weights=rows.weight))
    assert found.low[0] < found.value[0] < found.high[0]
    assert found.value[0] == pytest.approx(rate)
    assert all(math.isnan(values[1]) for values in (found.value, found.low, found.high))


def test_a_share_that_nobody_has_keeps_the_doubt_of_few_patients():
    nothing = Band(np.array([0.0, 1.0, 0.0, 0.3]), np.array([0.0, 1.0, 0.0, 0.3]), np.array([0.0, 1.0, 0.2, 0.3]))
    found = exact_where_flat(nothing, [5, 5, 5, 5])
    assert (found.low[0], found.high[0]) == clopper_pearson(0, 5)
    assert (found.low[1], found.high[1]) == clopper_pearson(5, 5)
    assert (found.low[2], found.high[2], found.high[3]) == (0.0, 0.2, 0.3)
    assert math.isnan(exact_where_flat(nothing, [0] * 4).high[0])


def test_no_interval_from_one_group_no_row_or_too_few_replicates():
    one = Scored(np.array([1, 0]), np.array([0.9, 0.1]), np.ones(2), np.zeros(2))
    assert math.isnan(clustered_estimates({"auc": auc}, one, FEW)["auc"].low)
    nobody = Scored(np.array([1]), np.array([0.9]), np.zeros(1), np.zeros(1))
    assert math.isnan(clustered_estimates({"auc": auc}, nobody, FEW)["auc"].value)
    # Three patients, one of them with the only positive: few draws have both classes, but enough for an interval.
    few = Scored(np.array([1, 0, 0]), np.array([0.9, 0.1, 0.2]), np.ones(3), np.arange(3))
    assert clustered_estimates({"auc": auc}, few, FEW)["auc"].low == 1.0
    assert math.isnan(clustered_estimates({"auc": auc}, few, Bootstrap(10))["auc"].low)


@pytest.mark.proof
def test_intervals_cover_the_truth_in_93_to_97_of_100(capsys):
    simulations, metrics = 1000, {"AUC": auc, "Brier score": brier, "average precision": AveragePrecision()}
    metrics |= {"partial AUC, specificity above .8": PartialAuc(0.8), "log loss": log_loss}
    world = cohort(10**6, 200_000, 2)
    truth = {name: metric(world.y, world.p, world.weight) for name, metric in metrics.items()}
    inside = dict.fromkeys([*metrics, "AUC by DeLong", "AUC by row"], 0)
    for seed in range(simulations):
        rows = cohort(seed, 250, 3)
        found = clustered_estimates(metrics, rows, Bootstrap(500))
        for name, each in found.items():
            inside[name] += each.low <= truth[name] <= each.high
        formula = delong(rows)
        inside["AUC by DeLong"] += formula.low <= truth["AUC"] <= formula.high
        alone = delong(Scored(rows.y, rows.p, rows.weight, np.arange(len(rows.y))))
        inside["AUC by row"] += alone.low <= truth["AUC"] <= alone.high
    with capsys.disabled():
        print(f"\n{datetime.now(UTC):%Y-%m-%d} {platform.machine()} Python {platform.python_version()}")
        print(f"numpy {np.__version__}; {simulations} cohorts of 250 patients x 3 rows, 500 replicates each")
        for name, count in inside.items():
            print(f"{name:36} {count / simulations:6.1%}")
    for name, count in inside.items():
        if name != "AUC by row":
            assert 0.93 <= count / simulations <= 0.97, name
