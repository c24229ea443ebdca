"""The certified blend beside scipy's SLSQP and greedy selection, and clustered intervals beside scikit-learn in a loop.

Run it as ``python benchmarks/blend.py --greedy PYTHON``, where PYTHON is the interpreter of an environment of its own
with ``autogluon.core``; AutoGluon runs there as a process that times itself on the same arrays. Without it a plain
loop of greedy selection (Caruana et al., 2004) stands in, and the output says so. The ways take turns. Every way has
one BLAS thread and is timed in its own processor time, since the machine may be shared; reading the arrays is in
nobody's time. Greedy selection costs the same in each step, so on the large set it may be given fewer of them; its
time is then multiplied up, which the output says as well.
"""

from __future__ import annotations

import os

# One thread for all, before NumPy is loaded.
os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import argparse
import json
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from radboost.data.predictions import Block
from radboost.ensemble.crossfit import crossfit, pool
from radboost.ensemble.panel import Panel
from radboost.ensemble.solver import solve
from radboost.metrics import Bootstrap, Scored, auc, clustered_interval

MEMBERS, STEPS = 20, 100
SLSQP_AIM, GREEDY_AIM, AUC_AIM = 4.0, 10.0, 10.0

AUTOGLUON = """
import json, sys, time
import numpy as np
from importlib.metadata import version
from autogluon.core.metrics import log_loss
from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection
p, y, w = (np.load(f"{sys.argv[1]}/{name}.npy") for name in ("p", "y", "w"))
columns = [np.ascontiguousarray(column) for column in p.T]
greedy = EnsembleSelection(int(sys.argv[2]), "binary", log_loss)
begun = time.process_time()
greedy.fit(columns, y, sample_weight=w)
seconds = time.process_time() - begun
print(json.dumps({"seconds": seconds, "weights": list(greedy.weights_), "version": version("autogluon.core")}))
"""


def draw(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities of class 1 (rows, members), weights 1, 2 and 4, and groups of four rows that are alike."""
    random = np.random.default_rng(seed)
    group = np.arange(rows) // 4
    y = (random.random(rows) < 0.1).astype(np.int64)
    common = random.normal(0, 0.5, rows) + random.normal(0, 0.4, rows // 4 + 1)[group]
    p = np.empty((rows, MEMBERS))
    for m in range(MEMBERS):
        # Alike in skill, with errors of their own, as members of one competition are: about half of them carry weight.
        skill = 2.2 + 0.3 * random.random()
        p[:, m] = 1 / (1 + np.exp(-(-2.6 + skill * y + common + random.normal(0, 1.2, rows))))
    return y, p, random.choice([1.0, 2.0, 4.0], rows), group


def loss(q: np.ndarray, weight: np.ndarray, a: np.ndarray) -> float:
    """Weighted log loss of a mixture, by the clipping rule."""
    return float(-(weight / weight.sum()) @ np.log(np.clip(q @ a, 1e-15, 1)))


def slsqp(q: np.ndarray, weight: np.ndarray, *, gradient: bool) -> np.ndarray:
    """The same problem as scipy's manual puts it, sum of one as an equation, to 1e-10 in the loss."""
    c, k = weight / weight.sum(), q.shape[1]

    def value(a: np.ndarray) -> float:
        return float(-c @ np.log(np.maximum(q @ a, 1e-15)))

    def both(a: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = np.maximum(q @ a, 1e-15)
        return float(-c @ np.log(mixed)), -(c / mixed) @ q

    sums = {"type": "eq", "fun": lambda a: a.sum() - 1}
    words = {"method": "SLSQP", "bounds": [(0, 1)] * k, "constraints": sums, "options": {"ftol": 1e-10, "maxiter": 500}}
    return minimize(both if gradient else value, np.full(k, 1 / k), jac=gradient or None, **words).x


def plain_greedy(p: np.ndarray, y: np.ndarray, weight: np.ndarray, steps: int) -> np.ndarray:
    """Greedy selection with replacement, each step from running sums; the best point of its path."""
    q = np.where(y[:, None] == 1, p, 1 - p)
    c, total, counts = weight / weight.sum(), np.zeros(len(y)), np.zeros(p.shape[1])
    best, kept = np.inf, counts
    for step in range(1, steps + 1):
        losses = [float(-c @ np.log(np.maximum((total + q[:, m]) / step, 1e-15))) for m in range(p.shape[1])]
        m = int(np.argmin(losses))
        total += q[:, m]
        counts[m] += 1
        if losses[m] < best:
            best, kept = losses[m], counts / step
    return kept


def greedy(
    python: str | None, p: np.ndarray, y: np.ndarray, weight: np.ndarray, steps: int
) -> tuple[float, np.ndarray]:
    """Seconds, and weights."""
    if python is None:
        begun = time.process_time()
        found = plain_greedy(p, y, weight, steps)
        return time.process_time() - begun, found
    with tempfile.TemporaryDirectory() as folder:
        for name, values in (("p", p), ("y", y), ("w", weight)):
            np.save(Path(folder) / f"{name}.npy", values)
        words = [python, "-W", "ignore", "-c", AUTOGLUON, folder, str(steps)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return found["seconds"], np.array(found["weights"])


def clock(way: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Seconds, and what came back."""
    begun = time.process_time()
    found = way()
    return time.process_time() - begun, found


def say(text: str, ratio: float, aim: float | None) -> None:
    """Print a ratio beside what was aimed at."""
    verdict = "" if aim is None else f"  (aim {aim:g}x: {'reached' if ratio >= aim else 'missed'})"
    print(f"  {text:58s} {ratio:8.1f}x{verdict}", flush=True)


def compare(rows: int, labels: int, rounds: int, steps: int, options: argparse.Namespace) -> None:
    """Print ratios for so many labels of so many rows, each with a weight vector of its own."""
    names = ("ours", "SLSQP", "SLSQP given the gradient")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    losses = dict.fromkeys((*names, "greedy"), 0.0)
    gap, greedy_seconds = 0.0, 0.0
    problems = [draw(rows, seed)[:3] for seed in range(labels)]
    for turn in range(rounds):
        spent = dict.fromkeys(names, 0.0)
        for y, p, weight in problems:
            q = np.where(y[:, None] == 1, p, 1 - p)
            solutions = []

            def ours(q: np.ndarray = q, w: np.ndarray = weight, kept: list = solutions) -> np.ndarray:
                kept.append(solve(q, w))
                return kept[-1].weights

            ways = (
                ours,
                lambda q=q, w=weight: slsqp(q, w, gradient=False),
                lambda q=q, w=weight: slsqp(q, w, gradient=True),
            )
            for k in range(len(ways)):
                name, way = names[(turn + k) % len(ways)], ways[(turn + k) % len(ways)]
                took, found = clock(way)
                spent[name] += took
                losses[name] += loss(q, weight, found) / labels if turn == 0 else 0
            gap = max(gap, solutions[0].gap)
            if turn == 0:
                took, found = greedy(options.greedy, p, y, weight, steps)
                greedy_seconds += took
                losses["greedy"] += loss(q, weight, found) / labels
        for name in names:
            seconds[name].append(spent[name])
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    size = f"{rows:,} rows x {labels} labels x {MEMBERS} members"
    print(f"{size}, {rounds} rounds; ours {middle['ours']:.3g} s, certified gap at most {gap:.1e}")
    for name in names[1:]:
        say(f"{name} over ours", middle[name] / middle["ours"], SLSQP_AIM if name == "SLSQP" else None)
        print(f"  {'':10s}its loss minus ours {losses[name] - losses['ours']:+.2e}")
    scaled = "" if steps == STEPS else f", from {steps} steps"
    who = "AutoGluon" if options.greedy else "plain greedy loop"
    say(f"{who}, {STEPS} steps{scaled}, over ours", greedy_seconds * STEPS / steps / middle["ours"], GREEDY_AIM)
    print(f"  {'':10s}its loss minus ours {losses['greedy'] - losses['ours']:+.2e}\n", flush=True)


def intervals(rows: int, replicates: int) -> None:
    """Cross-fitted blend with a clustered interval of its AUC, against scikit-learn in a loop over the same draws."""
    y, p, weight, group = draw(rows, 0)
    names = np.array([f"g{g:07d}" for g in group])
    members = tuple((f"m{k}", "regular") for k in range(MEMBERS))
    unit, fold = np.arange(rows).astype(str), group % 5
    both = np.stack([1 - p, p], axis=2)
    block = Block("any", (0, 1), members, unit, names, fold, y, both, weight, np.ones(rows))
    panel = Panel.of(block, weight)
    how = Bootstrap(replicates)

    def ours() -> np.ndarray:
        outcome = crossfit(panel, pool(panel))
        return np.array(clustered_interval(auc, Scored(y, outcome.p[:, 1], weight, names), how))

    def loop(p_blend: np.ndarray) -> np.ndarray:
        blended = np.zeros(rows)
        for k in range(5):
            own = fold == k
            blended[own] = p[own] @ slsqp(panel.q[~own], weight[~own], gradient=True)
        assert np.abs(blended - p_blend).max() < 1e-3
        random = np.random.default_rng(how.seed)
        groups, code = np.unique(names, return_inverse=True)
        found = []
        for _ in range(replicates):
            counts = np.bincount(random.integers(groups.size, size=groups.size), minlength=groups.size)
            # Judged on our blend, so that the two intervals can be compared to the last digit.
            found.append(roc_auc_score(y, p_blend, sample_weight=weight * counts[code]))
        return np.array(np.quantile(found, [0.025, 0.975]))

    took, low_high = clock(ours)
    blend = crossfit(panel, pool(panel)).p[:, 1]
    theirs, other = clock(lambda: loop(blend))
    print(
        f"{rows:,} rows of {group.max() + 1:,} groups: blend cross-fitted over 5 folds, {replicates} replicates of AUC"
    )
    say("SLSQP and scikit-learn in a loop over ours", theirs / took, AUC_AIM)
    print(f"  intervals differ by {np.abs(low_high - other).max():.1e} (aim 1e-12)\n", flush=True)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--greedy", help="interpreter of an environment with autogluon.core")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--large", type=int, default=2_400_000, help="0 leaves the large set out")
    parser.add_argument("--large-steps", type=int, default=STEPS, help="greedy steps on the large set")
    parser.add_argument("--replicates", type=int, default=1000)
    options = parser.parse_args()
    versions = ", ".join(f"{n} {metadata.version(n)}" for n in ("radboost", "numpy", "scipy", "scikit-learn"))
    print(time.strftime("%Y-%m-%d", time.gmtime()), platform.machine(), f"Python {platform.python_version()}")
    load = os.getloadavg()[0]
    print(f"{versions}; {os.cpu_count()} cores, load {load:.1f}")
    if options.greedy:
        code = "from importlib.metadata import version; print(version('autogluon.core'))"
        shown = subprocess.run([options.greedy, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
        print(f"greedy selection: autogluon.core {shown}, in a process of its own\n")
    else:
        print("greedy selection: a plain loop of our own, AutoGluon's was not given\n")
    intervals(options.rows, options.replicates)
    compare(options.rows, 6, options.rounds, STEPS, options)
    if options.large:
        compare(options.large, 1, max(1, options.rounds // 2), options.large_steps, options)


if __name__ == "__main__":
    main()
