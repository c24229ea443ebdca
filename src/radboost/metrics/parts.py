"""The mean of log losses over parts of the rows; and of one part, whether a group has the worst class at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from radboost.errors import TableError
from radboost.metrics.inputs import FloatArray, classes, probabilities, weights
from radboost.metrics.scores import log_loss

__all__ = ["ANY_WORST", "PARTS", "PartsLogLoss"]

PARTS = "mean of parts"
"""What tables of scores call the mean."""

ANY_WORST = "any worst"
"""What they call the part that asks for the worst class of a group: ``any worst <part>``."""


@dataclass(frozen=True, eq=False)
class PartsLogLoss:
    """A metric of rows that belong to parts and groups: the mean of the parts' weighted log losses.

    With the conditions as parts, studies as groups and the spinal part asked for its worst class too, this is the
    metric of the RSNA lumbar challenge of 2024. An instance is a `radboost.metrics.Metric` of the rows that it was
    made of, in their order; weight 2 equals the row twice and weight 0 no row.

    Attributes
    ----------
    part
        Shape (n,): name of the row's part.
    group
        Shape (n,): the study or patient.
    any_part
        Part whose worst class by group counts as a part more; empty for none. A group's label is whether any of its
        rows is of the last class, its probability the largest that they give to that class, and its weight the
        largest of theirs.

    Raises
    ------
    TableError
        Part and group differ in length, or no row is of `any_part`.

    >>> metric = PartsLogLoss(np.array(["a", "b"]), np.array(["s", "s"]))
    >>> round(metric([0, 2], [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]), 6)  # (ln 2 + ln 4) / 2
    1.039721
    """

    part: npt.NDArray[np.generic]
    group: npt.NDArray[np.generic]
    any_part: str = ""

    def __post_init__(self) -> None:
        if len(self.part) != len(self.group):
            got = f"{len(self.part)} and {len(self.group)}"
            raise TableError("there must be one part and one group a row", where="metrics", got=got)
        if self.any_part and not (self.part == self.any_part).any():
            raise TableError("no row is of the part that is asked for its worst", where="metrics", got=self.any_part)

    def __call__(self, y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
        """Give the mean in nats; ``nan`` where a part has no weight. Arguments as for `by_part`."""
        values = list(self.by_part(y, p, weight).values())
        return math.fsum(values) / len(values) if values else math.nan

    def by_part(self, y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> dict[str, float]:
        """Give each part's log loss.

        Parameters
        ----------
        y
            Shape (n,): class index.
        p
            Shape (n, K): probabilities of K classes, rows summing to one; clipped as in `radboost.metrics.log_loss`.
        weight
            Shape (n,), finite and not negative; all ones when absent.

        Returns
        -------
        In nats, by part in sorted order and then the worst by group; ``nan`` for one without weight.

        Raises
        ------
        TableError
            As `radboost.metrics.log_loss`, or the rows are not those that the metric was made of.
        """
        given = probabilities(p)
        truth = classes(y, given)
        if given.ndim != 2 or len(truth) != len(self.part):
            got = f"shape {given.shape} for {len(self.part)} rows"
            raise TableError("the metric takes the rows that it was made of, one column a class", where="p", got=got)
        w = weights(weight, len(truth))
        found = {name: log_loss(truth[rows], given[rows], w[rows]) for name, rows in self._rows.items()}
        if self.any_part:
            found[f"{ANY_WORST} {self.any_part}"] = log_loss(*self._worst(truth, given, w))
        return found

    @cached_property
    def _rows(self) -> dict[str, npt.NDArray[np.int64]]:
        return {str(name): np.flatnonzero(self.part == name) for name in np.unique(self.part)}

    @cached_property
    def _grouped(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Rows of `any_part` sorted by group, and where each group starts."""
        rows = self._rows[self.any_part]
        order = np.argsort(self.group[rows], kind="stable")
        names = self.group[rows][order]
        starts = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
        return rows[order], starts.astype(np.int64)

    def _worst(
        self, y: npt.NDArray[np.int64], p: FloatArray, w: FloatArray
    ) -> tuple[npt.NDArray[np.int64], FloatArray, FloatArray]:
        rows, starts = self._grouped
        # A row of weight 0 is no row: it must not lend its label or probability to its group.
        there = w[rows] > 0
        label = np.maximum.reduceat(((y[rows] == p.shape[1] - 1) & there).astype(np.int64), starts)
        shown = np.maximum.reduceat(np.where(there, p[rows, -1], 0.0), starts)
        return label, shown, np.maximum.reduceat(w[rows], starts)
