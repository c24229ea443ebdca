"""How well weights that simulate a target set estimate the loss on it, where the true density ratio is known.

Run it as ``python benchmarks/shift.py``. A fixed model, neither fitted nor calibrated on anything here, is judged on
the labelled source cohort under weights, and its loss there is compared with its loss on a very large target set.
``none`` is weight 1 for all; ``oracle`` the true density ratio, which no user has. The method's weights see metadata
only.
"""

from __future__ import annotations

import argparse
import platform
import time
from importlib import metadata

import numpy as np

from radboost.booster.weights import WeightConfig, simulate
from radboost.booster.weights.measures import ess_share
from radboost.data.cohort import METADATA, Cohort
from radboost.data.phantom.shift import ShiftPhantom, draw_shifted_pair

METHODS = ("odds", "balance", "strata")
AIM, UNSHIFTED = 1.3, 0.9
LARGE = 150_000


def losses(cohort: Cohort) -> np.ndarray:
    """Log loss of the fixed model, one a unit in the order of `Cohort.units`."""
    units = cohort.units["unit"]
    rows = cohort.manifest.set_index("instance").loc[units]
    age = rows[METADATA + "age"].to_numpy(float)
    margin = -1.5 + 0.2 * (np.nan_to_num(age, nan=56.0) - 54.0) / 10
    label = cohort.targets.set_index("unit").loc[units, "label"].to_numpy()
    return np.logaddexp(0.0, margin) - label * margin


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--patients", type=int, default=1000, help="of the source, and half as many of the target")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.0, 1.0, 1.5])
    options = parser.parse_args()
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in ("radboost", "numpy", "scikit-learn"))
    print(
        time.strftime("%Y-%m-%d", time.gmtime()), platform.machine(), f"Python {platform.python_version()}, {libraries}"
    )
    target = options.patients // 2
    print(f"{options.seeds} seeds, {options.patients} patients in the source, {target} in the target, two units each\n")
    met = True
    for strength in options.strengths:
        large = draw_shifted_pair(ShiftPhantom(10, LARGE, strength, seed=999))
        truth = float(losses(large.target).mean())
        errors: dict[str, list[float]] = {name: [] for name in ("none", "oracle", *METHODS)}
        shares: dict[str, list[float]] = {name: [] for name in errors}
        started = time.perf_counter()
        for seed in range(options.seeds):
            pair = draw_shifted_pair(ShiftPhantom(options.patients, target, strength, seed))
            loss = losses(pair.source)
            weights = {"none": np.ones(len(loss)), "oracle": pair.ratio}
            weights |= {m: simulate(pair.source, pair.target, WeightConfig(m)).weight for m in METHODS}
            for name, weight in weights.items():
                errors[name].append(float(np.average(loss, weights=weight)) - truth)
                shares[name].append(ess_share(weight, np.ones(len(weight))))
        print(f"shift of strength {strength:g}: loss on the target {truth:.4f}")
        print(f"  {'':8s} {'mean error':>10s} {'RMSE':>8s} {'of oracle':>9s} {'ESS share, least and mean':>26s}")
        rmse = {name: float(np.sqrt(np.mean(np.square(e)))) for name, e in errors.items()}
        for name, e in errors.items():
            print(
                f"  {name:8s} {np.mean(e):10.4f} {rmse[name]:8.4f} {rmse[name] / rmse['oracle']:9.2f} "
                f"{min(shares[name]):15.3f} {np.mean(shares[name]):10.3f}"
            )
        print(f"  {time.perf_counter() - started:.0f} s\n", flush=True)
        good = rmse["odds"] <= AIM * rmse["oracle"] if strength else min(shares["odds"]) > UNSHIFTED
        met = met and good
    print(
        f"odds: RMSE at most {AIM} of the oracle's, ESS share above {UNSHIFTED} unshifted: {'met' if met else 'MISSED'}"
    )


if __name__ == "__main__":
    main()
