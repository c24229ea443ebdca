"""What weights that simulate a target set do for members and blends, on new patients of both distributions.

Run it as ``python benchmarks/shift_members.py``. Per seed: a labelled cohort, a target cohort whose labels nobody sees,
``weights`` by odds of the metadata, ``fit-boost`` with regular and weighted members side by side, and the blends
``safe``, ``risky`` and ``robust`` of its out-of-fold predictions. Embeddings are made up: each site's scanner shows the
finding along another direction, so what an image tells depends on the site, and no model of images alone can be right
at all sites. Intervals are over seeds, paired; the counts at the end are by the paired interval of each seed, drawn by
patient.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib import metadata

import numpy as np
from scipy.stats import t

from radboost.booster.config import BoostConfig
from radboost.booster.crossfit import fit_boost
from radboost.booster.design import Design, build_design
from radboost.booster.weights import simulate
from radboost.data.cohort import Cohort
from radboost.data.phantom.shift import ShiftPhantom, draw_shifted_pair
from radboost.data.phantom.shift_store import ShiftStore
from radboost.data.predictions import member_name
from radboost.ensemble.apply import apply_blend
from radboost.ensemble.blend import fit_blend
from radboost.ensemble.policy import Policy
from radboost.ensemble.result import BlendConfig
from radboost.metrics import Bootstrap, Scored, clustered_difference, log_loss

LEARNERS = ("logistic", "lightgbm")
TESTED = 3000
"""Patients of each test set."""

Rows = dict[str, Scored]


def judged(seed: int, strength: float, patients: int, blocks: Sequence[str]) -> tuple[dict[str, Rows], float]:
    """Predictions of each member and blend for new patients of each distribution; and the ESS share of the weights."""
    pair = draw_shifted_pair(ShiftPhantom(patients, patients // 2, strength, seed))
    weighting = simulate(pair.source, pair.target)
    weights = dict(zip(weighting.unit.tolist(), weighting.weight.tolist(), strict=True))
    run = fit_boost(
        pair.source, [ShiftStore.draw(pair.source, seed)], BoostConfig(LEARNERS, weights, tuple(blocks), workers=1)
    )
    quick = Bootstrap(replicates=50)
    blends = {
        p: fit_blend(run.predictions, p, quick, BlendConfig("prob", sweep=False)).targets[0].weights for p in Policy
    }
    fresh = draw_shifted_pair(ShiftPhantom(TESTED, TESTED, strength, 10_000 + seed))
    found = {}
    for world, cohort in (("plain", fresh.source), ("shifted", fresh.target)):
        found[world] = _rows(cohort, run.predict(_design(cohort, 10_000 + seed)), blends)
    return found, weighting.share


def _design(cohort: Cohort, seed: int) -> Design:
    return build_design(cohort, [ShiftStore.draw(cohort, seed)])


def _rows(
    cohort: Cohort,
    predicted: Mapping[tuple[str, str], dict[str, np.ndarray]],
    blends: Mapping[Policy, Mapping[str, float]],
) -> Rows:
    units = cohort.units
    label = cohort.targets.set_index("unit").loc[units["unit"], "label"].to_numpy()
    p = {member_name(*member): own["cancer"] for member, own in predicted.items()}
    p |= {policy.value: apply_blend(weights, p) for policy, weights in blends.items()}
    return {n: Scored(label, v[:, 1], np.ones(len(label)), units["group"].to_numpy()) for n, v in p.items()}


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean over seeds and its 95 % interval by Student's t."""
    mean = float(np.mean(values))
    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def compare(worlds: list[dict[str, Rows]], world: str, pairs: list[tuple[str, str]]) -> dict[str, tuple[float, ...]]:
    """Print losses of pairs and their difference; gives mean, low and high of each first less second."""
    out = {}
    print(
        f"  {'on the ' + world + ' test set':28s} {'loss':>7s} {'against':>8s} {'difference':>11s}  95 % over seeds"
        "     seeds better, unclear, worse"
    )
    for a, b in pairs:
        drawn = defaultdict(list)
        count = [0, 0, 0]
        for found in worlds:
            one, two = found[world][a], found[world][b]
            d = clustered_difference(log_loss, one, two.p, Bootstrap(replicates=500))
            drawn["a"].append(log_loss(one.y, one.p))
            drawn["b"].append(log_loss(two.y, two.p))
            count[0 if d.high < 0 else 2 if d.low > 0 else 1] += 1
        mean, low, high = interval([x - y for x, y in zip(drawn["a"], drawn["b"], strict=True)])
        print(
            f"  {a:28s} {np.mean(drawn['a']):7.4f} {np.mean(drawn['b']):8.4f} {mean:+11.4f}  [{low:+.4f}, {high:+.4f}]"
            f"     {count[0]}, {count[1]}, {count[2]}"
        )
        out[a] = mean, low, high
    return out


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--patients", type=int, default=400, help="of the source, and half as many of the target")
    parser.add_argument("--strengths", type=float, nargs="+", default=[1.0, 0.0])
    parser.add_argument("--blocks", nargs="+", default=["image", "metadata", "fused"], help="what members see")
    options = parser.parse_args()
    libraries = ", ".join(f"{n} {metadata.version(n)}" for n in ("radboost", "numpy", "scikit-learn", "lightgbm"))
    print(
        time.strftime("%Y-%m-%d", time.gmtime()), platform.machine(), f"Python {platform.python_version()}, {libraries}"
    )
    print(f"{options.seeds} seeds, {options.patients} patients, {options.patients // 2} in the target, {TESTED} new\n")
    for strength in options.strengths:
        started = time.perf_counter()
        drawn = [judged(seed, strength, options.patients, options.blocks) for seed in range(options.seeds)]
        worlds, shares = [d for d, _ in drawn], [s for _, s in drawn]
        print(f"shift of strength {strength:g}: ESS share, least {min(shares):.3f}, mean {np.mean(shares):.3f}")
        members = [f"{learner}/{block}" for learner in LEARNERS for block in options.blocks]
        pairs = [(member_name(m, "weighted"), m) for m in members]
        policies = [("risky", "safe"), ("robust", "safe"), ("robust", "risky")]
        for world in ("shifted", "plain") if strength else ("shifted",):
            compare(worlds, world, pairs)
            compare(worlds, world, policies)
        if strength:
            _regrets(worlds)
        print(f"  {time.perf_counter() - started:.0f} s\n", flush=True)


def _regrets(worlds: list[dict[str, Rows]]) -> None:
    """Print how much each policy loses, in the worse of the two worlds, to the policy that is best there."""
    loss = {
        p.value: {w: float(np.mean([log_loss(f[w][p.value].y, f[w][p.value].p) for f in worlds])) for w in worlds[0]}
        for p in Policy
    }
    least = {w: min(each[w] for each in loss.values()) for w in worlds[0]}
    print("  policy   plain loss  shifted loss  worst regret")
    for name, own in loss.items():
        print(f"  {name:8s} {own['plain']:10.4f} {own['shifted']:13.4f} {max(own[w] - least[w] for w in own):13.4f}")


if __name__ == "__main__":
    main()
