"""What sharing bins and networks saves, beside the loop that a careful user of the libraries writes.

Run it as ``python benchmarks/fit_boost.py``. Both sides take turns on the same rows, folds, parameters, rounds and
number of threads (one); the loop too refers its validation rows to its training bins, and both judge every round and
predict the validation rows at the end. Printed are ratios of medians: ours over the loop's.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import time
from collections.abc import Callable
from importlib import metadata

import lightgbm as lgb
import numpy as np
import xgboost as xgb
from sklearn.model_selection import StratifiedGroupKFold

from radboost.booster import lightgbm_trees, xgboost_trees
from radboost.booster.recipe import Recipe
from radboost.booster.rows import Inner, Rows, Span, Whole
from radboost.data.folds import deal

LIBRARIES = {"xgboost": xgboost_trees, "lightgbm": lightgbm_trees}
FOLDS = 5


def data(rows: int, columns: int, labels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Columns, labels, weights, folds: rare positives that a few columns tell."""
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, columns)).astype(np.float32)
    margin = x @ random.normal(size=(columns, labels)) * (random.random((columns, labels)) < 0.02)[0] - 2
    y = (random.random((rows, labels)) < 1 / (1 + np.exp(-margin))).astype(np.int64)
    return x, y, random.uniform(0.5, 2, rows), random.integers(0, FOLDS, rows)


def ours(name: str, given: tuple[np.ndarray, ...], rounds: int, folds: list[int], share: bool) -> list[np.ndarray]:
    """Predictions of each fold's validation rows for each label, as `fit_boost` makes them in an inner split."""
    x, y, weight, fold = given
    module, out = LIBRARIES[name], []
    span = (Span("image", 0, x.shape[1], True),)
    whole = Whole(x, span, weight) if share else None
    for number in folds:
        inner, memo = Inner((fold != number).astype(np.int64), 1), {}
        at = np.arange(len(x)) if share else None
        for label in range(y.shape[1]):
            rows = Rows(
                x, y[:, label], weight, np.arange(len(x)), 2, span, common=weight, memo=memo, whole=whole, at=at
            )
            recipe = Recipe()
            if name == "xgboost":
                library = module._Library(rows, inner, recipe)
            else:
                library = module._Library(rows, module._Bins.of(rows, inner), recipe)
            loss = recipe.objective.bind(rows)
            trial = library.begin(0, loss, 0)
            for _ in range(rounds):
                p = trial.step()
            out.append(trial.probabilities(rounds)[:, 1])
            np.testing.assert_allclose(p[:, 1], out[-1], atol=1e-6)
    return out


def loop(name: str, given: tuple[np.ndarray, ...], rounds: int, folds: list[int]) -> list[np.ndarray]:
    """The same with the library's own training function."""
    x, y, weight, fold = given
    out = []
    for number in folds:
        train, held = fold != number, fold == number
        for label in range(y.shape[1]):
            rows = Rows(x, y[:, label], weight, np.arange(len(x)), 2, (Span("image", 0, x.shape[1], True),))
            start = float(Recipe().objective.bind(rows).start[0])
            if name == "xgboost":
                fitted = xgb.QuantileDMatrix(x[train], y[train, label], weight=weight[train], max_bin=64, nthread=1)
                fitted.set_base_margin(np.full(train.sum(), start))
                seen = xgb.QuantileDMatrix(
                    x[held], y[held, label], weight=weight[held], ref=fitted, max_bin=64, nthread=1
                )
                seen.set_base_margin(np.full(held.sum(), start))
                settings = {**xgboost_trees.settings(2, x.shape[1], Recipe(), 0), "eval_metric": "logloss"}
                model = xgb.train(settings, fitted, rounds, evals=[(seen, "held")], verbose_eval=False)
                out.append(model.predict(seen))
            else:
                settings = {**lightgbm_trees.settings(2, x.shape[1], Recipe(), 0), "metric": "binary_logloss"}
                base = lgb.Dataset(
                    x[train],
                    y[train, label],
                    weight=weight[train],
                    init_score=np.full(train.sum(), start),
                    params=lightgbm_trees.DATA,
                )
                seen = base.create_valid(
                    x[held], y[held, label], weight=weight[held], init_score=np.full(held.sum(), start)
                )
                model = lgb.train(settings, base, rounds, valid_sets=[seen])
                out.append(1 / (1 + np.exp(-start - model.predict(x[held], raw_score=True, num_threads=1))))
    return out


def ratio(repeats: int, mine: Callable[[], object], other: Callable[[], object]) -> tuple[float, float, float]:
    """Median of ours over the other's, and the least and largest of the pairs."""
    pairs = []
    for _ in range(repeats):
        took = []
        for side in (mine, other):
            started = time.perf_counter()
            side()
            took.append(time.perf_counter() - started)
        pairs.append(took)
    each = [a / b for a, b in pairs]
    return statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs), min(each), max(each)


def boosters(options: argparse.Namespace) -> None:
    """Print the ratios of both libraries."""
    given = data(options.rows, options.columns, 6)
    one = (given[0], given[1][:, :1], *given[2:])
    cases = [
        ("one fit, 60 rounds", one, 60, [0], False, {"xgboost": 1.05, "lightgbm": 1.05}),
        ("one fold, 6 labels, 60 rounds", given, 60, [0], False, {"xgboost": 0.65, "lightgbm": 0.4}),
        ("one fold, 6 labels, 200 rounds", given, 200, [0], False, {}),
        ("5 folds, 6 labels, 60 rounds, --share-bins", given, 60, list(range(FOLDS)), True,
         {"xgboost": 0.6, "lightgbm": 0.35}),
    ]  # fmt: skip
    print(f"{options.rows} x {options.columns}, one thread, {options.repeats} turns")
    for title, rows, rounds, folds, share, aims in cases:
        for name in LIBRARIES:
            apart = max(
                float(np.abs(a - b).max())
                for a, b in zip(ours(name, rows, rounds, folds, share), loop(name, rows, rounds, folds), strict=True)
            )
            found, low, high = ratio(
                options.repeats,
                lambda n=name, r=rows, k=rounds, f=folds, s=share: ours(n, r, k, f, s),
                lambda n=name, r=rows, k=rounds, f=folds: loop(n, r, k, f),
            )
            aim = f", aim {aims[name]}: {'met' if found <= aims[name] else 'MISSED'}" if name in aims else ""
            print(f"  {title:44s} {name:9s} {found:.2f}x ({low:.2f} to {high:.2f}){aim}; predictions apart {apart:.1g}")


def splits(options: argparse.Namespace) -> None:
    """Print how the group split does beside scikit-learn's."""
    random = np.random.default_rng(0)
    patients = options.patients
    images = random.integers(1, 12, patients)
    sick = random.random(patients) < 0.08
    group = np.repeat(np.arange(patients), images)
    y = (sick[group] & (random.random(len(group)) < 0.5)).astype(np.int64)
    counts = np.stack([np.bincount(group, minlength=patients), np.bincount(group, y, patients)], axis=1)

    def mine() -> np.ndarray:
        return deal([str(g) for g in range(patients)], counts.astype(float), [1 / FOLDS] * FOLDS, 0)[group]

    def other() -> np.ndarray:
        out = np.empty(len(group), dtype=np.int64)
        splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
        for number, (_, held) in enumerate(splitter.split(y, y, group)):
            out[held] = number
        return out

    def worst(fold: np.ndarray) -> float:
        shares = [np.bincount(fold, values, FOLDS) / values.sum() * FOLDS for values in (np.ones(len(y)), y)]
        return float(np.abs(np.stack(shares) - 1).max())

    found, low, high = ratio(options.repeats, mine, other)
    met = 1 / found >= 10 and worst(mine()) < worst(other())
    print(
        f"  group split of {patients} patients, {len(y)} images: {1 / found:.0f}x as fast as StratifiedGroupKFold "
        f"({1 / high:.0f} to {1 / low:.0f}), worst deviation {worst(mine()):.2%} against {worst(other()):.2%}, "
        f"aim 10x and better balanced: {'met' if met else 'MISSED'}"
    )


def main() -> None:
    """Print all ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--columns", type=int, default=512)
    parser.add_argument("--patients", type=int, default=12000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    names = ("radboost", "numpy", "xgboost", "lightgbm", "scikit-learn")
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    print(
        time.strftime("%Y-%m-%d", time.gmtime()), platform.machine(), f"Python {platform.python_version()}", libraries
    )
    boosters(options)
    splits(options)
    print(
        f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB, both sides in one process"
    )


if __name__ == "__main__":
    main()
