"""What the inner folds decide: which epochs are kept, how far a head's margins are trusted, and whether at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radboost.booster.learner import best_round, row_loss, to_classes
from radboost.booster.objective import Loss
from radboost.booster.rows import FloatArray, Rows

__all__ = ["Judge"]

SHARES = (1.0, 0.7, 0.5, 0.3, 0.15)
"""Of a head's margins, in what they add to the base rate's: one taught on few series knows less than it claims."""


@dataclass(frozen=True)
class Judge:
    """The held rows of the inner splits. Margins are those of all targets side by side, the base rates' included.

    Attributes
    ----------
    targets
        The same rows with the labels of each target.
    losses
        For each split the loss of each target, bound to the split's training rows.
    held
        For each split a mask (n,) of the rows that it holds out.
    """

    targets: Sequence[Rows]
    losses: Sequence[tuple[Loss, ...]]
    held: Sequence[npt.NDArray[np.bool_]]

    def epochs(self, history: Sequence[Sequence[FloatArray]], most: int) -> list[int]:
        """Give the best epochs, `most` of them or fewer, or 0 alone where none is better than the base rate.

        An epoch is as good as its best share of `SHARES` makes it. Its loss is the targets' sum, as in training.

        Parameters
        ----------
        history
            For each split the margins of its held rows after each epoch, 0 for none.
        most
            Epochs whose parameters are averaged.
        """
        curves = []
        for split, seen in enumerate(history):
            losses = [[self._total(split, self._shrunk(split, m, share)) for share in SHARES] for m in seen]
            curves.append(np.array(losses) / losses[0][0])
        mean = np.average(curves, axis=0, weights=self._weights(0)).min(axis=1)
        # Rounding must not choose between equals.
        best = int(np.round(mean, 10).argmin())
        return sorted((np.argsort(mean[1:], kind="stable") + 1)[:most].tolist()) if best else [0]

    def share(self, number: int, inside: Sequence[FloatArray]) -> float:
        """Share of a target's margins that has the lowest loss over all held rows, the largest of equals."""
        means = [np.average(self._of(number, inside, share), weights=self._weights(number)) for share in SHARES]
        return SHARES[int(np.round(means, 10).argmin())]

    def verdict(self, number: int, inside: Sequence[FloatArray], share: float) -> tuple[FloatArray, bool]:
        """Inner predictions of a target (n, classes), NaN where no split held the row; and whether they are kept.

        They are where the gain over the base rate is no luck; elsewhere the base rate is what is predicted.
        """
        target = self.targets[number]
        pairs = list(zip(self._of(number, inside, 0.0), self._of(number, inside, share), strict=True))
        better = bool(best_round(pairs, self._weights(number)))
        out = np.full((len(target), target.classes), np.nan)
        for split, mask in enumerate(self.held):
            margin = self._shrunk(split, inside[split], share if better else 0.0)
            out[mask] = self._probabilities(split, number, margin)
        return out, better

    def columns(self, number: int) -> slice:
        """Where a target's margins stand."""
        widths = [len(loss.start) for loss in self.losses[0]]
        return slice(sum(widths[:number]), sum(widths[: number + 1]))

    def _weights(self, number: int) -> list[float]:
        return [float(self.targets[number].weight[mask].sum()) for mask in self.held]

    def _shrunk(self, split: int, margin: FloatArray, share: float) -> FloatArray:
        start = np.concatenate([loss.start for loss in self.losses[split]])
        return np.asarray(start + share * (margin - start))

    def _probabilities(self, split: int, number: int, margin: FloatArray) -> FloatArray:
        return self.losses[split][number].corrected(to_classes(margin[:, self.columns(number)]))

    def _loss(self, split: int, number: int, margin: FloatArray) -> float:
        """Plain weighted log loss of a target."""
        target, mask = self.targets[number], self.held[split]
        p = self._probabilities(split, number, margin)
        return float(np.average(row_loss(target.y[mask], p), weights=target.weight[mask]))

    def _of(self, number: int, inside: Sequence[FloatArray], share: float) -> list[float]:
        return [self._loss(s, number, self._shrunk(s, margin, share)) for s, margin in enumerate(inside)]

    def _total(self, split: int, margin: FloatArray) -> float:
        return sum(self._loss(split, number, margin) for number in range(len(self.targets)))
