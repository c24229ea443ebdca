"""Fifteen small networks, 5 folds x 3 seeds: side by side against the loop that trains one after the other.

Run it as ``python benchmarks/networks.py``. The loop is what a careful user writes with torch: 32-bit numbers,
``Linear-GELU-Linear``, AdamW, full batch, weighted log loss of the training rows, and the validation rows' loss after
each epoch. Both train the same networks on the same rows for the same number of epochs from the same first weights,
with one thread, in turns; the ratio is of the medians of that thread's processor time. The largest difference of their
validation margins is printed beside it: both compute with 32 bits, and Adam makes rounding noise grow.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from radboost.booster.batched import Adam, Lesson, Stack
from radboost.booster.mlp import EPSILON, HIDDEN, LEARNING_RATE, WEIGHT_DECAY
from radboost.booster.objective import Objective
from radboost.booster.rows import Rows
from radboost.nets.device import one_thread

FOLDS, SEEDS = 5, 3
AIM = 0.55


@dataclass(frozen=True)
class Case:
    """Rows and columns, and the epochs to train."""

    rows: int
    columns: int
    epochs: int


CASES = (Case(300, 32, 100), Case(1000, 32, 50), Case(1000, 128, 50), Case(4000, 128, 20))


@dataclass(frozen=True)
class Problem:
    """Columns whose total variance is 1, labels, and the fold of each row; first weights of the fifteen networks."""

    x: np.ndarray
    y: np.ndarray
    fold: np.ndarray
    hidden: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def draw(cls, case: Case, seed: int = 0) -> Problem:
        """Draw one; a tenth of the rows are positive."""
        random = np.random.default_rng(seed)
        x = random.normal(size=(case.rows, case.columns)) / np.sqrt(case.columns)
        y = (x[:, 0] * np.sqrt(case.columns) + random.normal(size=case.rows) > 1.8).astype(np.int64)
        generator = torch.Generator().manual_seed(seed)
        hidden = torch.randn(FOLDS * SEEDS, case.columns, HIDDEN, generator=generator)
        bias = 0.1 * torch.randn(FOLDS * SEEDS, HIDDEN, generator=generator)
        # Sorted by fold, as a careful loop would have them, so that its cuts are views.
        return cls(x.astype(np.float32), y, np.arange(case.rows) * FOLDS // case.rows, hidden, bias)

    def lesson(self, fold: int) -> Lesson:
        """Give what a network of this fold learns."""
        rows = Rows(self.x, self.y, np.ones(len(self.y)), self.fold, 2, ())
        train = self.fold != fold
        return Lesson(Objective().bind(rows.take(train)), self.y, train.astype(np.float64))


def sequential(problem: Problem, epochs: int) -> np.ndarray:
    """One network after the other; validation margins (rows, seeds)."""
    out = np.empty((len(problem.y), SEEDS))
    x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.y).float()
    cost = torch.nn.functional.binary_cross_entropy_with_logits
    for fold in range(FOLDS):
        held, start = torch.from_numpy(problem.fold == fold), problem.lesson(fold).loss.start
        train_x, train_y, held_x, held_y = x[~held], y[~held], x[held], y[held]
        for seed in range(SEEDS):
            number = fold * SEEDS + seed
            first, last = torch.nn.Linear(x.shape[1], HIDDEN), torch.nn.Linear(HIDDEN, 1)
            with torch.no_grad():
                first.weight.copy_(problem.hidden[number].T)
                first.bias.copy_(problem.bias[number])
                last.weight.zero_()
                last.bias.copy_(torch.from_numpy(start))
            net = torch.nn.Sequential(first, torch.nn.GELU(), last)
            groups = [
                {"params": [first.weight, last.weight], "weight_decay": WEIGHT_DECAY},
                {"params": [first.bias, last.bias], "weight_decay": 0.0},
            ]
            optimiser = torch.optim.AdamW(groups, lr=LEARNING_RATE, eps=EPSILON)
            losses = []
            for _ in range(epochs):
                optimiser.zero_grad()
                cost(net(train_x)[:, 0], train_y).backward()
                optimiser.step()
                with torch.inference_mode():
                    losses.append(cost(net(held_x)[:, 0], held_y).item())
            with torch.inference_mode():
                out[problem.fold == fold, seed] = net(held_x)[:, 0].numpy()
    return out


def together(problem: Problem, epochs: int) -> np.ndarray:
    """Fifteen side by side; validation margins (rows, seeds)."""
    adam, own = Adam(LEARNING_RATE, WEIGHT_DECAY, EPSILON), np.arange(len(problem.y))
    lessons = [problem.lesson(fold) for fold in range(FOLDS)]
    sign = np.where(problem.y == 1, -1.0, 1.0)[:, None]
    with torch.no_grad():
        stack = Stack(problem.x, [o for o in lessons for _ in range(SEEDS)], problem.hidden, problem.bias)
        for _ in range(epochs):
            margin = stack.step(adam).reshape(len(own), FOLDS, SEEDS)[own, problem.fold]
            np.logaddexp(0, sign * margin).mean(axis=0)
        return np.asarray(stack.margins().reshape(len(own), FOLDS, SEEDS)[own, problem.fold])


def compare(case: Case, repeats: int = 3) -> dict[str, float]:
    """Time both in turns.

    Returns
    -------
    dict
        ``together`` and ``sequential`` (median seconds), ``ratio``, ``difference`` (largest, of validation margins).
    """
    problem = Problem.draw(case)
    ways: dict[str, Callable[[Problem, int], np.ndarray]] = {"together": together, "sequential": sequential}
    times: dict[str, list[float]] = {name: [] for name in ways}
    found = {}
    with one_thread():
        for way in ways.values():
            way(problem, 2)
        for _ in range(repeats):
            for name, way in ways.items():
                begun = time.thread_time()
                found[name] = way(problem, case.epochs)
                times[name].append(time.thread_time() - begun)
    median = {name: statistics.median(t) for name, t in times.items()}
    difference = float(np.abs(found["together"] - found["sequential"]).max())
    return {**median, "ratio": median["together"] / median["sequential"], "difference": difference}


def main() -> None:
    """Print one row a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    print(f"{time.strftime('%Y-%m-%d')} {platform.machine()} Python {platform.python_version()}")
    print(f"torch {torch.__version__}, {FOLDS} folds x {SEEDS} seeds, {HIDDEN} hidden units, one thread\n")
    print(f"{'rows':>6}{'columns':>9}{'epochs':>8}{'together s':>12}{'loop s':>9}{'ratio':>8}{'difference':>12}")
    for case in CASES:
        r = compare(case, repeats)
        seconds = f"{r['together']:12.2f}{r['sequential']:9.2f}{r['ratio']:8.2f}{r['difference']:12.1e}"
        print(f"{case.rows:6}{case.columns:9}{case.epochs:8}{seconds}")
    print(f"\nAim: at most {AIM}")


if __name__ == "__main__":
    main()
