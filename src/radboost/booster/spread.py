"""One fit on several processes: each grows the same trees from its share of the rows, and the library adds up the sums.

What decides, such as the number of rounds, is decided where the fit was asked for, by the very code of a fit in one
process: workers only grow trees and tell the probabilities of their validation rows. XGBoost's processes find each
other through its tracker, LightGBM's through addresses and ports. Sums are added up in another order than in one
process, and cut points come from merged or partial summaries, so models are near those of one process, not equal.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from types import TracebackType
from typing import Any

import numpy as np

from radboost.booster.learner import LEARNERS
from radboost.booster.library import Library, Trial
from radboost.booster.objective import Loss
from radboost.booster.recipe import Recipe
from radboost.booster.rows import FloatArray, Inner, IntArray, Matrix, Rows
from radboost.data.folder import environment
from radboost.engines.gang import Gang

__all__ = ["SPREADING", "Share", "Spread", "deal_shares"]

SPREADING = ("lightgbm", "xgboost")
"""Learners whose fits can be split."""


def deal_shares(fold: IntArray, workers: int) -> list[IntArray]:
    """Give each worker a range of the rows of every inner fold, so that all have rows to learn from and to judge by.

    Parameters
    ----------
    fold
        Shape (n,): inner fold of each row.
    workers
        How many.

    Returns
    -------
    list
        Positions for each worker, ascending; together every row once.

    >>> [share.tolist() for share in deal_shares(np.array([0, 1, 0, 1, 1]), 2)]
    [[0, 1, 3], [2, 4]]
    """
    parts = [np.array_split(np.flatnonzero(fold == number), workers) for number in np.unique(fold)]
    return [np.sort(np.concatenate([part[rank] for part in parts])) for rank in range(workers)]


class Spread:
    """A `radboost.booster.recipe.Team` of processes on the nodes of a cluster; a context manager.

    Parameters
    ----------
    gang
        Of `Share`, not entered yet.
    host
        Address of this machine, as the nodes see it.
    bound
        Rows up to which a fit is not split.
    """

    def __init__(self, gang: Gang, host: str, bound: int) -> None:
        self._gang, self._host, self._bound = gang, host, bound
        self._joined: dict[str, Any] = {}
        self._loaded: tuple[Any, Any] = None, None
        self._shares: list[IntArray] = []

    def __enter__(self) -> Spread:
        self._gang.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gang.__exit__(kind, error, trace)
        if (tracker := self._joined.pop("xgboost", None)) is not None:
            from xgboost.core import XGBoostError

            # After a worker's death it complains of who did not say goodbye; what happened was told already.
            with suppress(XGBoostError):
                tracker.free()

    def environments(self) -> list[dict[str, str]]:
        """Tell the versions of the libraries of each worker."""
        return self._gang.ask("describe")

    def library(self, learner: str, rows: Rows, inner: Inner, recipe: Recipe) -> Library | None:
        """See `radboost.booster.recipe.Team`."""
        workers = len(self._gang)
        if len(rows) <= self._bound or workers < 2 or np.unique(inner.fold, return_counts=True)[1].min() < workers:
            return None
        self._join(learner)
        self._load(rows, inner)
        mine = replace(recipe, team=None, workers=workers)
        fields = [
            {
                "y": rows.y[at],
                "weight": rows.weight[at],
                "group": rows.group[at],
                "common": None if rows.common is None else rows.common[at],
                "classes": rows.classes,
                "spans": rows.spans,
            }
            for at in self._shares
        ]
        self._gang.deal("aim", [learner] * workers, fields, [mine] * workers)
        return _Everywhere(self._gang, inner, self._shares)

    def _join(self, learner: str) -> None:
        """Have the library's processes find each other, once."""
        if learner in self._joined:
            return
        ranks = list(range(len(self._gang)))
        if learner == "xgboost":
            from xgboost.tracker import RabitTracker

            tracker = RabitTracker(n_workers=len(ranks), host_ip=self._host, sortby="task")
            tracker.start()
            self._joined[learner] = tracker
            self._gang.deal("join_xgboost", [tracker.worker_args()] * len(ranks), ranks)
            return
        ports = self._gang.ask("free_port")
        machines = ",".join(f"{host}:{port}" for host, port in zip(self._gang.hosts, ports, strict=True))
        self._gang.deal("join_lightgbm", [machines] * len(ranks), ports, ranks)
        self._joined[learner] = machines

    def _load(self, rows: Rows, inner: Inner) -> None:
        """Hand out the columns, unless the workers hold them from the target before."""
        if self._loaded[0] is rows.memo and self._loaded[1] is inner.fold:
            return
        self._shares = deal_shares(inner.fold, len(self._gang))
        # The object store of the cluster carries them; workers on one node map the same memory.
        x = [rows.x[at] for at in self._shares]
        self._gang.deal("load", x, [inner.take(at) for at in self._shares])
        self._loaded = rows.memo, inner.fold


class _Everywhere:
    """One target on all workers."""

    def __init__(self, gang: Gang, inner: Inner, shares: list[IntArray]) -> None:
        self._gang = gang
        self._order = []
        for _, held in inner:
            there = np.concatenate([at[held[at]] for at in shares])
            self._order.append(np.argsort(there))
        self._begun = 0

    def begin(self, split: int, loss: Loss, seed: int) -> _Watched:
        self._gang.ask("begin", split, loss, seed)
        self._begun += 1
        return _Watched(self._gang, self._begun - 1, self._order[split])

    def grow(self, loss: Loss, seed: int, rounds: int) -> Any:
        return self._gang.ask("grow", loss, seed, rounds)[0]


@dataclass(frozen=True)
class _Watched:
    """An inner fit on all workers; `order` sorts their validation rows as the rows stand."""

    gang: Gang
    number: int
    order: IntArray

    def step(self) -> FloatArray:
        return self._sorted(self.gang.ask("step", self.number))

    def probabilities(self, rounds: int) -> FloatArray:
        return self._sorted(self.gang.ask("probabilities", self.number, rounds))

    def _sorted(self, parts: list[FloatArray]) -> FloatArray:
        return np.asarray(np.concatenate(parts)[self.order])


class Share:
    """One worker with its share of the rows. Every call comes to all workers, since the library's calls meet."""

    def __init__(self) -> None:
        self._rank = 0
        self._network: Any = None
        self._collective: Any = None
        self._x: Matrix = np.empty((0, 0), dtype=np.float32)
        self._inner: Inner | None = None
        self._memo: dict[Any, Any] = {}
        self._library: Library | None = None
        self._trials: list[Trial] = []

    def describe(self) -> dict[str, str]:
        """Tell the versions of the libraries here."""
        return environment()

    def join_xgboost(self, given: Mapping[str, Any], rank: int) -> None:
        """Meet the others through the tracker. Its order of workers is that of names."""
        from xgboost import collective

        collective.init(**given, dmlc_task_id=f"{rank:08d}")
        self._collective, self._rank = collective, rank

    def free_port(self) -> int:
        """Give a port that nobody listens at."""
        with socket.socket() as found:
            found.bind(("", 0))
            return int(found.getsockname()[1])

    def join_lightgbm(self, machines: str, port: int, rank: int) -> None:
        """Meet the others; the connection lives as long as the model that it was made for."""
        import lightgbm as lgb

        count = machines.count(",") + 1
        self._rank = rank
        settings = {"machines": machines, "local_listen_port": port, "num_machines": count, "tree_learner": "data"}
        quiet = {"verbosity": -1, "num_threads": 1, "min_data_in_bin": 1}
        few = lgb.Dataset(np.arange(16.0)[:, None], np.zeros(16), params=quiet)
        self._network = lgb.Booster({**settings, **quiet, "objective": "regression"}, few)

    def load(self, x: Matrix, inner: Inner) -> None:
        """Take columns; what was derived from others is dropped first."""
        self._library, self._trials, self._memo = None, [], {}
        self._x, self._inner = x, inner

    def aim(self, learner: str, fields: Mapping[str, Any], recipe: Recipe) -> None:
        """Begin a target."""
        if self._inner is None:
            msg = "no columns were loaded"
            raise RuntimeError(msg)
        rows = Rows(self._x, memo=self._memo, **fields)
        self._trials = []
        self._library = import_module(LEARNERS[learner]).library(rows, self._inner, recipe)

    def begin(self, split: int, loss: Loss, seed: int) -> None:
        """Begin an inner fit."""
        self._trials.append(self._aimed.begin(split, loss, seed))

    def step(self, number: int) -> FloatArray:
        """Add a round to an inner fit; see `radboost.booster.library.Trial`."""
        return self._trials[number].step()

    def probabilities(self, number: int, rounds: int) -> FloatArray:
        """Tell the validation rows' probabilities after so many rounds."""
        return self._trials[number].probabilities(rounds)

    def grow(self, loss: Loss, seed: int, rounds: int) -> Any:
        """Fit all rows; the first worker's model stands for all, which are the same."""
        model = self._aimed.grow(loss, seed, rounds)
        return model if self._rank == 0 else None

    @property
    def _aimed(self) -> Library:
        if self._library is None:
            msg = "no target was begun"
            raise RuntimeError(msg)
        return self._library

    def close(self) -> None:
        """Leave the others; all do so at a time."""
        self._library, self._trials, self._memo, self._network = None, [], {}, None
        if self._collective is not None:
            self._collective.finalize()
