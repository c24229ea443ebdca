"""What a task declares of studies of several series: kinds of series, how many slices, and points within them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from radboost.errors import TaskError, offenders

__all__ = ["OWN", "SEES", "SOURCES", "Kind", "Locator", "Points", "Template", "Volumes"]

OWN = "/own"
"""Ending of a slot that holds crops of the unit's own finding alone, in series of its own kind: ``t2/level/own``."""

SEES = ("shared", "split")
"""Whether a unit sees every kind of series, or its own kind alone."""

SOURCES = ("given", "located")
"""Whether points come from the table, and only the missing ones from the locator; or all of them from the locator."""


@dataclass(frozen=True)
class Kind:
    """One kind of series.

    Attributes
    ----------
    slot
        Slot of its whole slices; crops round points are in ``<slot>/<place>``, as ``axial/level``.
    values
        What the table of series calls it.
    slices
        Most whole slices of a study; those nearest to a point come first, the rest is spread evenly.
    halves
        A unit with a side sees the slices of its own half of the patient; the others are the opposite side's.
    flip
        Crops round points of the right side are shown left to right reversed, so that both sides look alike.
    """

    slot: str
    values: tuple[str, ...]
    slices: int
    halves: bool = False
    flip: bool = False

    def __post_init__(self) -> None:
        if not self.slot or not self.values or "/" in self.slot:
            raise TaskError("[volumes] a kind needs a slot without / and values", got=self.slot)
        if not isinstance(self.slices, int) or isinstance(self.slices, bool) or self.slices < 0:
            raise TaskError("[volumes] slices must be a whole number from 0", where=self.slot, got=self.slices)


@dataclass(frozen=True)
class Template:
    """What the surroundings of each place look like in one kind of series.

    Attributes
    ----------
    kind
        Slot of the kind.
    slope
        By how much log odds of being the place rise with the correlation, from 0 to 1.
    pictures
        For each place the mean picture, row by row, mean 0 and deviation 1.
    """

    kind: str
    slope: float
    pictures: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Locator:
    """Finds places along a spine; learnt from given points by `radboost.data.slices.locate.fit_locator`.

    Lengths are mm in the patient's system, x to the left, y to the back, z to the head; of a spine of mean size, but
    for `offsets`.

    Attributes
    ----------
    places
        In their order along the spine.
    pitch, reach
        Of pictures: mm a pixel, and pixels on each side of the middle one.
    size_spread
        Standard deviation of a spine's size, the mean being 1.
    start, start_spread
        Mean (x, y, z) of the first place from the middle of its series, and covariance of (y, z) as four numbers.
    steps, steps_spread
        The same from each place to the next.
    templates
        One a kind of series in which places can be found, the best one first.
    offsets
        (finding, place, x, y, z): mean way from a place to the point of each finding there.
    """

    places: tuple[str, ...]
    pitch: float
    reach: int
    size_spread: float
    start: tuple[float, ...]
    start_spread: tuple[float, ...]
    steps: tuple[tuple[float, ...], ...]
    steps_spread: tuple[tuple[float, ...], ...]
    templates: tuple[Template, ...]
    offsets: tuple[tuple[Any, ...], ...]

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Locator:
        """Rebuild from what `dataclasses.asdict` gives."""
        parts = {name: _frozen(value) for name, value in content.items() if name != "templates"}
        found = [Template(**{name: _frozen(v) for name, v in t.items()}) for t in content["templates"]]
        return cls(**parts, templates=tuple(found))


@dataclass(frozen=True)
class Points:
    """Points of interest in slices, each that of one finding at one place: a condition at a level.

    Attributes
    ----------
    table
        File of the given points; exams without it have them located.
    series, instance, x, y
        Its columns: series, Instance Number, and pixel from the left and from the top, the first one's centre at 0.
    finding, place
        Its columns that name a point, and the unit's. Cells are compared in lower case, any run of other signs as _.
    reference
        The finding whose points are the places' middles.
    box_mm
        Side of a crop round a point.
    slices
        Slices of a series nearest to a point that are cropped.
    source
        One of `SOURCES`.
    locator
        Set by `index`; None where too few points were given to learn it.
    """

    table: str
    series: str
    instance: str
    x: str
    y: str
    finding: str
    place: str
    reference: str
    box_mm: float = 60.0
    slices: int = 3
    source: str = "given"
    locator: Locator | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.box_mm, int | float) and self.box_mm > 0):
            raise TaskError("[volumes.points] box_mm must be above 0", got=self.box_mm)
        if not isinstance(self.slices, int) or self.slices < 1:
            raise TaskError("[volumes.points] slices must be a whole number from 1", got=self.slices)
        if self.source not in SOURCES:
            do = f"Known: {', '.join(SOURCES)}"
            raise TaskError("[volumes.points] source is unknown", got=self.source, do=do)


@dataclass(frozen=True)
class Volumes:
    """Studies of several series, each a folder of slices.

    Attributes
    ----------
    table, test_table
        File that tells the kind of each series, of the labelled studies and of new exams.
    study, series, kind
        Its columns; the study's is also the unit's.
    folders
        Templates of a series' folder, tried in order; `{column}` stands for a column of that file.
    kinds
        Kinds of series, by slot.
    own
        Column of the unit that names the slot of its own kind.
    points
        None where no table gives any.
    sees
        One of `SEES`.
    """

    table: str
    study: str
    series: str
    kind: str
    folders: tuple[str, ...]
    kinds: tuple[Kind, ...]
    own: str
    test_table: str = ""
    points: Points | None = None
    sees: str = "shared"

    def __post_init__(self) -> None:
        slots = [kind.slot for kind in self.kinds]
        if not slots or len(set(slots)) != len(slots) or not self.folders:
            raise TaskError("[volumes] needs folders, and kinds of distinct slots", got=slots)
        values = [value for kind in self.kinds for value in kind.values]
        if len(set(values)) != len(values):
            raise TaskError("[volumes] two kinds share a value", got=offenders(values))
        if self.sees not in SEES:
            raise TaskError("[volumes] sees is unknown", got=self.sees, do=f"Known: {', '.join(SEES)}")

    @property
    def slots(self) -> tuple[str, ...]:
        """Slots that units of such a task have."""
        return tuple(slot for block in self.blocks for slot in block)

    @property
    def blocks(self) -> tuple[tuple[str, ...], ...]:
        """Slots of whole slices and of crops round points, and apart those of the unit's own finding."""
        whole = tuple(kind.slot for kind in self.kinds)
        if self.points is None:
            return (whole,)
        near = tuple(f"{slot}/{self.points.place}" for slot in whole)
        return (whole + near, tuple(slot + OWN for slot in near))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Volumes:
        """Rebuild from what `dataclasses.asdict` gives, or from a task file.

        Raises
        ------
        TypeError
            A field is unknown or missing.
        """
        parts = {name: _frozen(value) for name, value in content.items() if name not in ("kinds", "points")}
        kinds = tuple(Kind(**{name: _frozen(v) for name, v in kind.items()}) for kind in content["kinds"])
        points = None
        if content.get("points") is not None:
            given = dict(content["points"])
            located = given.pop("locator", None)
            points = Points(**given, locator=None if located is None else Locator.from_dict(located))
        return cls(**parts, kinds=kinds, points=points)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list | tuple) else value
