"""What a boosting library must be able to do for `radboost.booster.boosting.boost`, here or on several machines."""

from __future__ import annotations

from typing import Any, Protocol

from radboost.booster.objective import Loss
from radboost.booster.rows import FloatArray

__all__ = ["Library", "Trial"]


class Trial(Protocol):
    """One inner fit, grown round by round."""

    def step(self) -> FloatArray:
        """Add a round; give the probabilities of the validation rows, (rows, classes), as trained."""

    def probabilities(self, rounds: int) -> FloatArray:
        """Likewise after so many rounds, at least one."""


class Library(Protocol):
    """A boosting library with its bins, on the rows of one target."""

    def begin(self, split: int, loss: Loss, seed: int) -> Trial:
        """Begin an inner fit, on the training rows of that split."""

    def grow(self, loss: Loss, seed: int, rounds: int) -> Any:
        """Fit all rows; gives the library's model."""
