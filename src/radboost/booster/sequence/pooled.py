"""Learner ``pooled-res``: see `radboost.booster.sequence.heads` for the network and `plan` for its sizes."""

from __future__ import annotations

from collections.abc import Sequence

from radboost.booster.recipe import Recipe
from radboost.booster.rows import Inner, Rows
from radboost.booster.sequence.model import SequenceModel, fit_head
from radboost.booster.sequence.model import load_head as load

__all__ = ["fit", "fit_targets", "load"]


def fit(rows: Rows, inner: Inner, recipe: Recipe) -> SequenceModel:
    """Fit one target; see `radboost.booster.sequence.model.fit_head`."""
    return fit_targets([(rows, inner)], recipe)[0]


def fit_targets(
    jobs: Sequence[tuple[Rows, Inner]], recipe: Recipe, start: Sequence[SequenceModel] | None = None
) -> list[SequenceModel]:
    """Fit several targets; see `radboost.booster.sequence.model.fit_head`."""
    return fit_head("pooled-res", jobs, recipe, start)
