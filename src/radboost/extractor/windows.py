"""Windows that are moved over a picture, and what they found drawn as a map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radboost.errors import UserError

__all__ = ["Windows"]

Stretch = tuple[int, int]


@dataclass(frozen=True)
class Windows:
    """Windows in rows and columns, each row of windows with the same columns.

    Attributes
    ----------
    shape
        (rows, columns) of what they are moved over: pixels of a crop, or positions of a feature map.
    down, across
        Where each row and each column of windows starts and stops, stop exclusive.
    """

    shape: tuple[int, int]
    down: tuple[Stretch, ...]
    across: tuple[Stretch, ...]

    @classmethod
    def over(cls, shape: tuple[int, int], share: float, step: float) -> Windows:
        """Lay out windows from edge to edge.

        Parameters
        ----------
        shape
            (rows, columns) of what they are moved over.
        share
            Side of a window as a part of the longer side, above 0 and at most 1/2; at least one position.
        step
            From one window to the next as a part of a window's side, above 0 and at most 1; at least one position.

        Raises
        ------
        UserError
            Either is out of range.

        >>> Windows.over((7, 7), 1 / 8, 1).down[:2], len(list(Windows.over((512, 512), 1 / 8, 1 / 2)))
        (((0, 1), (1, 2)), 225)
        """
        for where, value, most in (("--hole", share, 0.5), ("--step", step, 1.0)):
            if not 0 < value <= most:
                raise UserError("lies outside its range", where=where, got=value, do=f"Give above 0, at most {most:g}")
        side = max(1, round(share * max(shape)))
        return cls(shape, *(_stretches(n, min(side, n), max(1, round(step * side))) for n in shape))

    def __len__(self) -> int:
        return len(self.down) * len(self.across)

    def __iter__(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield (left, top, right, bottom), row by row."""
        for top, bottom in self.down:
            for left, right in self.across:
                yield left, top, right, bottom

    def drawn(self, effects: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float32]:
        """Draw what was found in each window.

        Parameters
        ----------
        effects
            Shape (windows,).
        size
            Side of the crop that the windows cover, pixels.

        Returns
        -------
        ndarray
            Shape (size, size): at each window's centre its effect, between centres straight lines, beyond the outermost
            ones their value.
        """
        grid = effects.reshape(len(self.down), len(self.across))
        places = (np.arange(size) + 0.5) / size
        centres = [_centres(s, n) for s, n in zip((self.down, self.across), self.shape, strict=True)]
        wide = np.stack([np.interp(places, centres[1], row) for row in grid])
        return np.stack([np.interp(places, centres[0], column) for column in wide.T], axis=1).astype(np.float32)


def _stretches(length: int, side: int, step: int) -> tuple[Stretch, ...]:
    starts = [*range(0, length - side, step), length - side]
    return tuple((start, start + side) for start in starts)


def _centres(stretches: Sequence[Stretch], length: int) -> npt.NDArray[np.float64]:
    return np.array([(start + stop) / 2 / length for start, stop in stretches])
