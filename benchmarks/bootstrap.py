"""A clustered bootstrap of the AUC: ours, sorted once, against a loop over scikit-learn's.

    python benchmarks/bootstrap.py [--rows 54706] [--patients 11913] [--replicates 1000]

The loop draws patients and weighs their rows, as ours does, and asks scikit-learn for each replicate's area; it is
timed on fewer replicates. Both see the same draws, and their areas must agree. The last line times what a report asks
of one target: eight metrics at once.
"""

from __future__ import annotations

import argparse
import platform
import time
from datetime import UTC, datetime

import numpy as np
import sklearn
from sklearn.metrics import roc_auc_score

from radboost.metrics import (
    AveragePrecision,
    Bootstrap,
    PartialAuc,
    Scored,
    SensitivityAt,
    auc,
    brier,
    clustered_estimates,
    clustered_interval,
    log_loss,
    pf1,
)
from radboost.metrics.clustered import draws

LOOP = 40


def main() -> None:
    """Time both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=54_706)
    parser.add_argument("--patients", type=int, default=11_913)
    parser.add_argument("--replicates", type=int, default=1000)
    asked = parser.parse_args()
    random = np.random.default_rng(0)
    group = np.sort(random.integers(asked.patients, size=asked.rows))
    y = (random.random(asked.rows) < 0.021).astype(int)
    rows = Scored(y, 1 / (1 + np.exp(4 - y - random.normal(size=asked.rows))), np.ones(asked.rows), group)
    how = Bootstrap(asked.replicates)
    names, code = np.unique(rows.group, return_inverse=True)

    started = time.perf_counter()
    areas = [roc_auc_score(rows.y, rows.p, sample_weight=counts[code]) for counts in draws(names.size, Bootstrap(LOOP))]
    loop = (time.perf_counter() - started) / LOOP
    started = time.perf_counter()
    clustered_interval(auc, rows, how)
    ours = (time.perf_counter() - started) / asked.replicates
    agree = np.abs(np.quantile(areas, [0.025, 0.975]) - clustered_interval(auc, rows, Bootstrap(LOOP))).max()
    many = {"auc": auc, "loss": log_loss, "brier": brier, "pf1": pf1, "ap": AveragePrecision()}
    many |= {"partial": PartialAuc(0.9), "at .9": SensitivityAt(0.9), "at 10 %": SensitivityAt(0.1, "recall rate")}
    started = time.perf_counter()
    clustered_estimates(many, rows, how)
    together = time.perf_counter() - started

    print(f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()} Python {platform.python_version()}")
    print(f"numpy {np.__version__}, scikit-learn {sklearn.__version__}; {len(rows.y):,} rows, {names.size:,} patients")
    print(f"scikit-learn in a loop   {loop * 1e3:8.2f} ms a replicate ({LOOP} timed)")
    print(f"clustered_interval(auc)  {ours * 1e3:8.2f} ms a replicate ({asked.replicates} timed)")
    print(f"ratio                    {loop / ours:8.1f}   largest difference of the same interval's ends {agree:.0e}")
    print(f"eight metrics at once    {together:8.2f} s for {asked.replicates} replicates")


if __name__ == "__main__":
    main()
