"""What a task declares of its images: where they lie, and how they are cut."""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter

from radboost.errors import TaskError

__all__ = ["BOX_UNITS", "CROPS", "Images"]

CROPS = ("breast", "body", "frame", "box")
"""What a task may cut from a frame."""

BOX_UNITS = ("px", "mm")
"""In which boxes are given."""


@dataclass(frozen=True)
class Images:
    """Where the pixels are and how they are cut.

    Attributes
    ----------
    paths
        Templates relative to the data folder, tried in order; `{column}` stands for a table column and
        `{split}` for the table's own name without its ending (``train``, ``test``). ``*`` stands for any part of the
        name of one file or folder.
    crop
        Default of `extract --crop`: breast, body, frame or box.
    size
        Default side of a crop, pixels.
    windows
        Windows (centre, width) in rescaled units as channels; empty for the file's own.
    box
        Four columns that hold the left, top, right and bottom edge of a crop in its frame, right and bottom exclusive;
        empty where the table has none. One image may have several boxes, each a crop.
    box_unit
        ``px``, pixels of the frame, or ``mm``, which the file's pixel spacing turns into pixels.
    """

    paths: tuple[str, ...] = ()
    crop: str = "frame"
    size: int = 512
    windows: tuple[tuple[float, float], ...] = ()
    box: tuple[str, ...] = ()
    box_unit: str = "px"

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or not 32 <= self.size <= 16384:
            raise TaskError("[images] size must be a whole number of pixels from 32", got=self.size)
        if self.crop not in CROPS:
            raise TaskError("[images] crop is unknown", got=self.crop, do=f"Known: {', '.join(CROPS)}")
        if not all(len(window) == 2 and window[1] >= 1 for window in self.windows):
            raise TaskError("[images] windows must be pairs of centre and width", got=list(self.windows))
        if len(self.box) not in (0, 4):
            do = "Name the columns of the left, top, right and bottom edge"
            raise TaskError("[images] box must name four columns", got=list(self.box), do=do)
        if self.box_unit not in BOX_UNITS:
            raise TaskError("[images] box_unit is unknown", got=self.box_unit, do=f"Known: {', '.join(BOX_UNITS)}")
        self.columns()

    def columns(self) -> set[str]:
        """Table columns that path templates and boxes name; raises TaskError where one cannot be read."""
        try:
            named = {name for path in self.paths for _, name, _, _ in Formatter().parse(path) if name}
        except ValueError as error:
            raise TaskError("[images] paths cannot be read", got=list(self.paths), do=str(error)) from error
        return (named - {"split"}) | set(self.box)
