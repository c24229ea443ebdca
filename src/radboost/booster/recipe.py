"""How a learner is to learn, apart from the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from radboost.booster.library import Library
from radboost.booster.objective import Objective
from radboost.booster.rows import Inner, Rows
from radboost.errors import UserError

__all__ = ["Recipe", "Team"]


class Team(Protocol):
    """Workers that grow the trees of one fit together, each on its share of the rows."""

    def library(self, learner: str, rows: Rows, inner: Inner, recipe: Recipe) -> Library | None:
        """Give what grows trees on these rows; None where they are too few to be split."""


@dataclass(frozen=True)
class Recipe:
    """What all fits of one run share.

    Attributes
    ----------
    seed
        Of all that a learner draws.
    seeds
        Models that differ by what was drawn and are averaged; None for the learner's own number. A learner that draws
        nothing fits once.
    objective
        What is minimised in training; validation is always the plain weighted log loss of corrected probabilities.
    settings
        Values that replace the learner's own, by the names that its module documents.
    device
        Where XGBoost grows its trees, ``cpu`` or ``cuda``; no other learner gains from a GPU at these sizes.
    team
        Who grows trees on more rows than one machine should; None for nobody.
    workers
        How many processes share the fit that this one is a part of.
    """

    seed: int = 0
    seeds: int | None = None
    objective: Objective = field(default_factory=Objective)
    settings: Mapping[str, float] = field(default_factory=dict)
    device: str = "cpu"
    team: Team | None = field(default=None, repr=False, compare=False)
    workers: int = 1

    def __post_init__(self) -> None:
        if self.seeds is not None and self.seeds < 1:
            raise UserError("there must be at least one model to average", where="--seeds", got=self.seeds)

    def get(self, name: str, default: float) -> float:
        """Give a setting, or the learner's own value."""
        return float(self.settings.get(name, default))

    def to_dict(self) -> dict[str, Any]:
        """Give JSON-able content."""
        return {
            "seed": self.seed,
            "seeds": self.seeds,
            "objective": self.objective.to_dict(),
            "settings": dict(self.settings),
        }
