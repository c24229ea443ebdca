"""A search for settings on the inner folds of one job, within a budget of time, that goes on where it was ended.

Only inner folds judge a trial, so the outer fold's score is that of the search as a whole and not of its luckiest
trial. Columns, components and bins are made once for all trials. How many trials there are depends on the machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from radboost.booster.learner import fit_targets, row_loss
from radboost.booster.recipe import Recipe
from radboost.booster.rows import Inner, Rows
from radboost.errors import UserError

__all__ = ["SPACES", "Range", "Search", "Trial", "tune"]


@dataclass(frozen=True)
class Range:
    """Values of one setting.

    Attributes
    ----------
    low, high
        Both included.
    whole
        Whether it is a whole number; other settings are drawn evenly in their logarithm.
    """

    low: float
    high: float
    whole: bool = False


_TREES = {
    "learning_rate": Range(0.02, 0.2),
    "shrinkage": Range(1.0, 200.0),
    "columns_a_tree": Range(6.0, 150.0),
    "least_weight": Range(0.1, 20.0),
}

SPACES: Mapping[str, Mapping[str, Range]] = {
    "lightgbm": {**_TREES, "leaves": Range(3, 24, whole=True)},
    "xgboost": {**_TREES, "depth": Range(1, 4, whole=True)},
}
"""What is searched, by learner. Others choose their settings themselves and are not tuned."""


@dataclass(frozen=True)
class Search:
    """How a job searches.

    Attributes
    ----------
    seconds
        Of trials, those of earlier calls included. The learner's own settings are always tried.
    folder
        Where the study is kept, one file a job; None keeps it in memory.
    most
        Trials at most; None for as many as the time allows.
    """

    seconds: float
    folder: Path | None = None
    most: int | None = None


@dataclass(frozen=True)
class Trial:
    """One setting and how it did.

    Attributes
    ----------
    settings
        As in `radboost.booster.recipe.Recipe`; empty for the learner's own.
    loss
        Mean over targets of the weighted log loss on the inner folds.
    seconds
        What it took.
    """

    settings: Mapping[str, float]
    loss: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Give the fields, JSON-able."""
        return {"settings": dict(self.settings), "loss": self.loss, "seconds": self.seconds}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Trial:
        """Read what `to_dict` gave."""
        return cls(dict(content["settings"]), float(content["loss"]), float(content["seconds"]))


def tune(
    learner: str, jobs: Sequence[tuple[Rows, Inner]], recipe: Recipe, search: Search, name: str
) -> tuple[Recipe, tuple[Trial, ...]]:
    """Search the settings of one learner on one outer fold's training rows.

    Parameters
    ----------
    learner, jobs, recipe
        As for `radboost.booster.learner.fit_targets`; one setting serves all targets.
    search
        Budget and place.
    name
        Of the study: another one for every job.

    Returns
    -------
    recipe, trials
        With the best settings, those of the lower number among equals; and all trials in their order. A learner that
        is not tuned comes back as it was.

    Raises
    ------
    UserError
        Optuna is not installed.
    """
    space = SPACES.get(learner)
    if space is None:
        return recipe, ()
    optuna = _import_optuna()
    study = optuna.create_study(
        study_name=name,
        storage=_storage(optuna, search.folder, name),
        sampler=optuna.samplers.TPESampler(seed=recipe.seed),
        load_if_exists=True,
    )

    def judged(trial: Any) -> float:
        settings = {} if trial.number == 0 else _drawn(trial, space)
        started = time.monotonic()
        loss = _loss(learner, jobs, replace(recipe, settings=settings))
        trial.set_user_attr("settings", settings)
        trial.set_user_attr("seconds", time.monotonic() - started)
        return loss

    # One at a time: a trial that a kill cut short is not counted, and the time of those that ended is.
    while not (done := _finished(study)) or (
        sum(t.seconds for t in done) < search.seconds and (search.most is None or len(done) < search.most)
    ):
        study.optimize(judged, n_trials=1)
    best = min(done, key=lambda t: t.loss)
    return replace(recipe, settings=best.settings), tuple(done)


def _finished(study: Any) -> list[Trial]:
    found = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished() and t.value is not None]
    return [Trial(t.user_attrs["settings"], round(t.value, 10), t.user_attrs["seconds"]) for t in found]


def _drawn(trial: Any, space: Mapping[str, Range]) -> dict[str, float]:
    return {
        name: trial.suggest_int(name, int(r.low), int(r.high))
        if r.whole
        else trial.suggest_float(name, r.low, r.high, log=True)
        for name, r in space.items()
    }


def _loss(learner: str, jobs: Sequence[tuple[Rows, Inner]], recipe: Recipe) -> float:
    losses = []
    for (rows, inner), fitted in zip(jobs, fit_targets(learner, jobs, recipe), strict=True):
        seen = inner.judged
        loss = row_loss(rows.y[seen], fitted.inner[seen])
        losses.append(float(np.average(loss, weights=rows.weight[seen])))
    return math.fsum(losses) / len(losses)


def _storage(optuna: Any, folder: Path | None, name: str) -> Any:
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    # A file of JSON lines; a database would want a server or a lock that network folders lack.
    backend = optuna.storages.journal.JournalFileBackend(str(folder / f"{name}.jsonl"))
    return optuna.storages.JournalStorage(backend)


def _import_optuna() -> Any:
    try:
        import optuna
        import optuna.storages.journal
    except ImportError as error:
        do = "Install it with `pip install 'radboost[tune]'`"
        raise UserError("the extra `tune` is needed", where="--tune", got=str(error), do=do) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
