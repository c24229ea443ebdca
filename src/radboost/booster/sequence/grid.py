"""Rows laid out by series, view and place, with blanks where a series has no slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from radboost.booster.rows import FloatArray, IntArray
from radboost.errors import UserError

__all__ = ["Grid", "Patch"]

LONGEST = 4096
"""Places of a series; a rank beyond is a mistake, not a scan."""


@dataclass(frozen=True)
class Patch:
    """Some series, padded to one length.

    Attributes
    ----------
    rows
        Shape (series, views, places): row of each view of each slice, -1 for a blank. A slice with fewer views than
        another shows its own again, so that all views are whole series.
    own
        Shape (series, views, places): whether the row stands there for itself and not a second time.
    """

    rows: Tensor
    own: Tensor

    def columns(self, x: Tensor, noise: float = 0.0, random: torch.Generator | None = None) -> Tensor:
        """Columns (series, views, d + 1, places) of rows (n, d): 0 for a blank, and last a flag of what is there.

        Normal noise of deviation `noise` is added to what is there. The views of a slice share it, so that a slice
        shown again stays the same.
        """
        there = (self.rows >= 0).to(x.dtype)[..., None]
        values = x[self.rows.clamp_min(0)]
        if noise:
            series, _, places = self.rows.shape
            values = values + noise * torch.randn(series, 1, places, x.shape[1], generator=random)
        return torch.cat([values * there, there], dim=-1).transpose(2, 3)


@dataclass(frozen=True)
class Grid:
    """Where each row of a table lies in its series.

    Attributes
    ----------
    series
        For each series, in the order of their numbers: rows (places, views), -1 for a blank.
    counts
        For each series: views (places,) that each slice has.
    """

    series: tuple[IntArray, ...]
    counts: tuple[IntArray, ...]

    @classmethod
    def of(cls, n: int, sequence: IntArray | None, position: IntArray | None, learner: str) -> Grid:
        """Lay out `n` rows.

        Parameters
        ----------
        n
            Rows.
        sequence, position
            Shape (n,): series, -1 for a slice without one, which is then alone; rank in it. Rows of the same rank are
            views of one slice. Ranks that no row has are blanks.
        learner
            Name, for the message.

        Raises
        ------
        UserError
            No row has an order.
        """
        if sequence is None or position is None or (n and not (sequence >= 0).any()):
            do = "Choose another learner, or index data whose units are slices with a series and a position"
            raise UserError("the units have no order", where=f"--learner {learner}", do=do)
        if (position >= LONGEST).any():
            raise UserError("a series is too long", where=f"--learner {learner}", got=int(position.max()))
        alone = sequence < 0
        number = np.where(alone, np.arange(n) + (sequence.max() + 1 if n else 0), sequence)
        place = np.where(alone, 0, position)
        order = np.lexsort((place, number))
        series, counts = [], []
        for rows in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
            at = place[rows] - place[rows].min() if len(rows) else place[rows]
            view = np.arange(len(rows)) - np.searchsorted(at, at)
            found = np.full((at.max() + 1, view.max() + 1), -1) if len(rows) else np.empty((0, 1), dtype=np.int64)
            found[at, view] = rows
            count = (found >= 0).sum(axis=1)
            again = np.arange(found.shape[1]) % np.maximum(count, 1)[:, None]
            series.append(np.take_along_axis(found, again, axis=1))
            counts.append(count)
        return cls(tuple(series) if n else (), tuple(counts) if n else ())

    def __len__(self) -> int:
        return len(self.series)

    @property
    def slices(self) -> int:
        """Slices, however many views each has."""
        return int(sum((counts > 0).sum() for counts in self.counts))

    def only(self, rows: np.ndarray) -> list[int]:
        """Series that hold any of the rows, a mask (n,)."""
        return [i for i, own in enumerate(self.series) if rows[own[own >= 0]].any()]

    def mean(self, weight: FloatArray) -> FloatArray:
        """Mean over each series's slices of `weight` (n,), that of a slice being the sum over its views: (series,)."""
        out = []
        for rows, counts in zip(self.series, self.counts, strict=True):
            own = rows[np.arange(rows.shape[1]) < counts[:, None]]
            out.append(weight[own].sum() / (counts > 0).sum())
        return np.array(out)

    def patch(self, chosen: Sequence[int], blanks: int, starts: IntArray | None = None, window: int = 0) -> Patch:
        """Cut series out.

        Parameters
        ----------
        chosen
            Their positions.
        blanks
            Blank places on either side: with as many as the receptive field reaches, a series does not feel how long
            those beside it are.
        starts, window
            For each, the first of `window` places that are taken; none for the whole series.
        """
        cut, have = [], []
        for at, i in enumerate(chosen):
            part = slice(0, None) if starts is None else slice(int(starts[at]), int(starts[at]) + window)
            cut.append(self.series[i][part])
            have.append(self.counts[i][part])
        views = max((c.shape[1] for c in cut), default=1)
        length = max((len(c) for c in cut), default=0) + 2 * blanks
        rows = np.full((len(cut), views, length), -1)
        own = np.zeros(rows.shape, dtype=bool)
        for at, (whole, count) in enumerate(zip(cut, have, strict=True)):
            again = np.arange(views) % np.maximum(count, 1)[:, None]
            places = slice(blanks, blanks + len(whole))
            rows[at, :, places] = np.take_along_axis(whole, again, axis=1).T
            own[at, :, places] = (np.arange(views) < count[:, None]).T
        return Patch(torch.from_numpy(rows), torch.from_numpy(own))
