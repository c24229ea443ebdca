"""What a task declares of findings that are outlined in their images, and how patches are drawn around them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from string import Formatter

from radboost.errors import TaskError, UserError, offenders

__all__ = ["PATCH_SETS", "PLACES", "Patches", "Regions"]

PLACES = ("centre", "around", "grid")
"""Where patches lie: on the centre of each region, drawn around it, or all over the breast."""


@dataclass(frozen=True)
class Regions:
    """Where in its image each row's finding is, as a mask in a file of its own.

    Attributes
    ----------
    paths
        Templates as in `radboost.data.images.Images.paths`. The mask of a row is among the files under any of them:
        the one whose pixels have two values, the brighter of which marks the region.
    picture
        Columns that name the picture: rows of one picture show the same breast, and a patch of background must avoid
        the regions of them all.
    columns
        Columns whose values, joined by ``_``, say what was found.
    classes
        Pairs (such a value, class of the patches), in the order of the classes.
    background
        Class of patches that show no finding.
    margin
        Added to each side of a region for the crop of the finding itself, as a share of its longer side.
    least
        Smallest side of that crop, in pixels of the image.
    """

    paths: tuple[str, ...]
    picture: tuple[str, ...]
    columns: tuple[str, ...]
    classes: tuple[tuple[str, str], ...]
    background: str = "background"
    margin: float = 0.25
    least: int = 64

    def __post_init__(self) -> None:
        for name in ("paths", "picture", "columns", "classes"):
            if not getattr(self, name):
                raise TaskError(f"[regions] needs {name}")
        if self.background in {name for _, name in self.classes}:
            raise TaskError("[regions] background is also a class of findings", got=self.background)
        if not 0 <= self.margin <= 4:
            raise TaskError("[regions] margin must be a share from 0 to 4", got=self.margin)
        if not isinstance(self.least, int) or self.least < 1:
            raise TaskError("[regions] least must be a whole number of pixels from 1", got=self.least)
        self.needed()

    @property
    def names(self) -> tuple[str, ...]:
        """Classes of patches, background first."""
        return (self.background, *dict.fromkeys(name for _, name in self.classes))

    def needed(self) -> set[str]:
        """Table columns that are named; raises TaskError where a template cannot be read."""
        try:
            named = {name for path in self.paths for _, name, _, _ in Formatter().parse(path) if name}
        except ValueError as error:
            raise TaskError("[regions] paths cannot be read", got=list(self.paths), do=str(error)) from error
        return (named - {"split"}) | {*self.picture, *self.columns}


@dataclass(frozen=True)
class Patches:
    """How patches are drawn from images with regions.

    Attributes
    ----------
    place
        One of `PLACES`.
    count
        Patches of each region; for a grid, steps to a patch's side, so that 2 makes neighbours overlap by half.
    background
        Patches of background of each picture; none in a grid, which has no classes.
    size
        Side, in pixels of the image.
    cover
        A patch shows a region where it holds more than this share of it, or where more than this share of the patch
        is in it. After `MISSES` draws that do not, .05 less will do.
    clear
        A patch is background where it would not show any region of the picture even at this share.
    edge
        Pixels that background keeps from the frame's edge, where films have borders and labels.
    tissue
        Least share of breast in a patch of background or of a grid.
    """

    place: str = "around"
    count: int = 10
    background: int = 10
    size: int = 224
    cover: float = 0.9
    clear: float = 0.35
    edge: int = 32
    tissue: float = 0.5

    def __post_init__(self) -> None:
        good = {
            "place": self.place in PLACES,
            "count": isinstance(self.count, int) and 1 <= self.count <= 1000,
            "background": isinstance(self.background, int) and 0 <= self.background <= 1000,
            "size": isinstance(self.size, int) and 16 <= self.size <= 16384,
            "cover": 0 < self.cover < 1,
            "clear": 0 <= self.clear < 1,
            "edge": isinstance(self.edge, int) and self.edge >= 0,
            "tissue": 0 <= self.tissue <= 1,
        }
        bad = [f"{name} {getattr(self, name)}" for name, fits in good.items() if not fits]
        if bad:
            raise TaskError("patches cannot be drawn so", got=offenders(bad))

    @classmethod
    def parse(cls, text: str, size: int | None = None) -> Patches:
        """Read ``s1``, ``s1-big``, ``s10``, ``grid``, or a number of patches a region and of background a picture.

        Raises
        ------
        UserError
            The text is none of these, or the number or size is out of range.

        >>> Patches.parse("s1-big").size, Patches.parse("5", 96).background
        (512, 5)
        """
        known = PATCH_SETS.get(text)
        try:
            if known is None:
                known = cls("around", int(text), int(text))
            return known if size is None else replace(known, size=size)
        except ValueError as error:
            do = f"Give {', '.join(PATCH_SETS)}, or a number"
            raise UserError("--patches cannot be read", got=text, do=do) from error


PATCH_SETS = {
    "s1": Patches("centre", 1, 1, 224),
    "s1-big": Patches("centre", 1, 1, 512),
    "s10": Patches("around", 10, 10, 224),
    "grid": Patches("grid", 2, 0, 512),
}
"""Named sets: one patch on each region's centre and one of background a picture, at two sizes; ten and ten; a grid."""
