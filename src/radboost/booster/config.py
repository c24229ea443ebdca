"""How `fit_boost` learns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from radboost.booster.learner import DEFAULT_LEARNERS, LEARNERS
from radboost.booster.member import BLOCKS
from radboost.booster.objective import Objective
from radboost.booster.prepare import COMPONENTS
from radboost.booster.recipe import Recipe
from radboost.errors import UserError, offenders

__all__ = ["ENGINES", "SPLIT_ROWS", "BoostConfig"]

ENGINES = ("local", "ray")
SPLIT_ROWS = 10_000_000


@dataclass(frozen=True)
class BoostConfig:
    """How `fit_boost` learns.

    Attributes
    ----------
    learners
        Names out of `LEARNERS`.
    weights
        Weight of each unit, by readable or hashed name, that simulates a target set; weighted members are then fitted
        beside the regular ones. None for none.
    blocks
        Some of ``fused``, ``image``, ``metadata``; those that the cohort does not have are left out. ``metadata``
        always stands beside ``fused``, and each store alone beside ``image`` where there are several.
    seed
        Of inner folds and of all that a learner draws.
    seeds
        Models averaged that differ by what was drawn; None for each learner's own number.
    objective
        What learners minimise. No score depends on it.
    components
        Most principal components a block.
    share_bins
        Whether trees see the columns as they are, without components, and share their bins over all folds. Cut points
        then see the held-out rows; nothing else does.
    tune
        Minutes of trials, over all workers and jobs, that search the settings of trees; None for their own.
    views
        Whether augmented views are further training rows, each with its share of the unit's weight, and are averaged
        at prediction.
    refit
        Also fit on all rows, for `predict` to use in place of the fold models.
    curve
        One of `learners`, fitted on an eighth, a quarter and half of the patients too; None for no learning curve.
    allow_leak
        Names of leaks that are let pass; see `radboost.booster.leaks`.
    device
        Where XGBoost grows its trees: ``cpu`` or ``cuda``.
    workers
        Fits at a time; None for one a core. Results do not depend on it.
    engine, ray_address
        ``local``, or ``ray``: the nodes of a cluster.
    split_rows
        With ``ray``: training rows above which the fits of LightGBM and XGBoost are split over `workers` processes,
        one a core of the cluster where that is None. Such fits are near those of one process, not equal.
    """

    learners: tuple[str, ...] = DEFAULT_LEARNERS
    weights: Mapping[str, float] | None = None
    blocks: tuple[str, ...] = BLOCKS
    seed: int = 0
    seeds: int | None = None
    objective: Objective = field(default_factory=Objective)
    components: int = COMPONENTS
    share_bins: bool = False
    tune: float | None = None
    views: bool = False
    refit: bool = False
    curve: str | None = None
    allow_leak: tuple[str, ...] = ()
    device: str = "cpu"
    workers: int | None = None
    engine: str = "local"
    ray_address: str | None = None
    split_rows: int = SPLIT_ROWS

    def __post_init__(self) -> None:
        choices = (
            ("learner", self.learners, tuple(LEARNERS)),
            ("block", self.blocks, BLOCKS),
            ("engine", (self.engine,), ENGINES),
            ("device", (self.device,), ("cpu", "cuda")),
        )
        for option, given, known in choices:
            unknown = [g for g in given if g not in known]
            if unknown or not given:
                got = offenders(unknown) if unknown else "none"
                do = f"Known: {', '.join(known)}"
                raise UserError(f"there is no such {option}", where=f"--{option}", got=got, do=do)
        if self.tune is not None and not 0 < self.tune < math.inf:
            raise UserError("must be a number of minutes above 0", where="--tune", got=self.tune)
        if self.curve is not None and self.curve not in self.learners:
            do = f"Give one of {', '.join(self.learners)}"
            raise UserError("is not among the learners of this run", where="--curve", got=self.curve, do=do)
        if self.curve is not None and self.tune is not None:
            do = "Make the curve in a run of its own"
            raise UserError("would set tuned fits beside untuned ones", where="--curve", got="--tune", do=do)
        if self.split_rows < 1:
            raise UserError("must be 1 or more", where="--split-rows", got=self.split_rows)
        if self.components < 1:
            raise UserError("at least one component is needed", where="components", got=self.components)

    @property
    def recipe(self) -> Recipe:
        """How each learner is to learn."""
        return Recipe(self.seed, self.seeds, self.objective, device=self.device)

    def to_dict(self) -> dict[str, Any]:
        """Give what shaped the result, JSON-able; unit names stay out."""
        return {
            "learners": list(self.learners),
            "weighted": self.weights is not None,
            "blocks": list(self.blocks),
            "seed": self.seed,
            "seeds": self.seeds,
            "objective": self.objective.to_dict(),
            "components": self.components,
            "share_bins": self.share_bins,
            "tune": self.tune,
            "views": self.views,
            "refit": self.refit,
            "curve": self.curve,
            "allow_leak": list(self.allow_leak),
        }
