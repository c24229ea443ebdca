"""From studies and points to crops, and to what each unit sees of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from radboost.data.cohort import BOX, LINKS
from radboost.data.dicom import MIDDLE
from radboost.data.slices.choose import Place, chosen, nearest, square
from radboost.data.slices.coordinates import PointMap
from radboost.data.slices.stack import Floats, Stack, Study
from radboost.data.task import OPPOSITE, Task
from radboost.data.volumes import OWN, Kind, Points, Volumes

__all__ = ["Seen", "link_units"]

_COLUMNS = ["path", "frame", "group", "view", "laterality", "mirrored", *BOX]


@dataclass(frozen=True)
class Seen:
    """Crops and who sees them.

    Attributes
    ----------
    crops
        One row a crop: `path`, `frame`, `group`, `view` (its slot), `laterality`, `mirrored` (shown left to right
        reversed) and the columns of `radboost.data.cohort.BOX`. Rows of one file stand together.
    links
        `unit`, `slot`, `crop` (row of `crops`).
    """

    crops: pd.DataFrame
    links: pd.DataFrame

    def linked(self, ids: pd.Series, manifest: pd.DataFrame) -> pd.DataFrame:
        """Give the links of a cohort, from the crop id of each row of `crops` and the manifest made of them."""
        order = manifest.set_index("crop_id")["order"]
        crop_id = ids.to_numpy()[self.links["crop"].to_numpy(np.int64)]
        made = self.links.assign(crop_id=crop_id, order=order.reindex(crop_id).to_numpy())[LINKS]
        return made.drop_duplicates(["unit", "crop_id", "slot"]).sort_values(
            ["unit", "slot", "order", "crop_id"], ignore_index=True
        )


@dataclass(frozen=True)
class _Crop:
    """One crop: of a point with its place and its finding's side, or a whole slice with its half of the patient."""

    kind: Kind
    path: str
    box: tuple[float, float, float, float]
    place: str = ""
    side: str = ""

    def slot(self, ending: str) -> str:
        return f"{self.kind.slot}/{ending}" if self.place else self.kind.slot

    @property
    def mirrored(self) -> bool:
        return self.kind.flip and bool(self.place) and self.side == "R"


def link_units(task: Task, units: pd.DataFrame, studies: Mapping[str, Study], points: PointMap) -> Seen:
    """Cut each study once, and tell each of its units what it sees.

    A unit sees whole slices in the slot of their kind, and crops round the points of its own place in
    ``<slot>/<place>``: those of findings of its own side, and of findings without one. What belongs to the other side
    is in the opposite slot. Crops of its own kind of series, which show its own finding, are also in
    ``<slot>/<place>/own``, where no other finding is averaged with them. With ``split`` it sees its own kind of
    series alone.

    Parameters
    ----------
    task
        With `Task.volumes`.
    units
        One row a unit: `unit`, and the columns that the task names.
    studies, points
        What there is to see.
    """
    by_study: dict[str, dict[tuple[str, str], Floats]] = defaultdict(dict)
    for (name, finding, place), point in points.items():
        by_study[name][finding, place] = point
    volumes = task.need_volumes()
    rules = _Rules(task, volumes)
    crops: list[tuple[object, ...]] = []
    links: list[tuple[str, str, int]] = []
    groups = dict(zip(units[volumes.study], units[task.group], strict=True))
    for named, rows in units.groupby(volumes.study, sort=False):
        study = studies.get(str(named))
        if study is None:
            continue
        # By file, so that a frame is decoded once.
        made = sorted(rules.crops(study, by_study[study.name]), key=lambda c: (c.path, c.box, c.side))
        for unit, place, side, own in zip(*(rows[c] for c in rules.columns), strict=True):
            for number, crop in enumerate(made, start=len(crops)):
                links += [(unit, slot, number) for slot in rules.slots(crop, place, side, own)]
        ending = rules.ending
        for crop in made:
            about = (crop.path, MIDDLE, groups[study.name], crop.slot(ending), crop.side, crop.mirrored)
            crops.append((*about, *crop.box, "px"))
    return Seen(pd.DataFrame(crops, columns=_COLUMNS), pd.DataFrame(links, columns=["unit", "slot", "crop"]))


@dataclass(frozen=True)
class _Rules:
    """The task's rules, read once."""

    task: Task
    volumes: Volumes

    @property
    def points(self) -> Points | None:
        return self.volumes.points

    @property
    def ending(self) -> str:
        return self.points.place if self.points else ""

    @cached_property
    def columns(self) -> list[str]:
        """Columns of a unit: its name, place, side and own kind; the name stands in for what the task has not."""
        return ["unit", self.ending or "unit", self.task.slots.side or "unit", self.volumes.own]

    @cached_property
    def findings(self) -> dict[str, tuple[str, str]]:
        """Slot of the kind, and side, of each finding that points are named by."""
        lookup, side = self.task.lookup, self.task.slots.side
        if lookup is None or self.points is None:
            return {}
        kinds = lookup.cells(self.volumes.own)
        sides = lookup.cells(side) if side in lookup.gives else {}
        return {finding: (slot, sides.get(finding, "")) for finding, slot in kinds.items()}

    def slots(self, crop: _Crop, place: str, side: str, own: str) -> tuple[str, ...]:
        """Slots in which a unit sees a crop; none where it does not."""
        mine = crop.kind.slot == own
        if (self.volumes.sees == "split" and not mine) or crop.place not in ("", place):
            return ()
        slot = crop.slot(self.ending)
        if self.task.slots.side is not None and side and crop.side and side != crop.side:
            return (slot + OPPOSITE,)
        return (slot, slot + OWN) if mine and crop.place else (slot,)

    def crops(self, study: Study, points: Mapping[tuple[str, str], Floats]) -> Iterator[_Crop]:
        for kind in self.volumes.kinds:
            stacks = study.stacks.get(kind.slot, ())
            always: list[Place] = []
            for (finding, place), point in sorted(points.items()):
                slot, side = self.findings.get(finding, ("", ""))
                if slot != kind.slot or self.points is None:
                    continue
                near = nearest(stacks, point, self.points.slices)
                always += [where for where, _ in near[:1]]
                for (number, row), pixel in near:
                    stack = stacks[number]
                    yield _Crop(kind, stack.paths[row], square(stack, row, pixel, self.points.box_mm), place, side)
            midline = self._midline(points)
            for number, row in chosen(stacks, always, kind.slices):
                rows, columns = stacks[number].size[row].tolist()
                half = _half(stacks, number, row, midline) if kind.halves else ""
                yield _Crop(kind, stacks[number].paths[row], (0.0, 0.0, float(columns), float(rows)), side=half)

    def _midline(self, points: Mapping[tuple[str, str], Floats]) -> float:
        """Mean x of the points in the middle of the spine; NaN where there are none."""
        reference = self.points.reference if self.points else ""
        found = [float(point[0]) for (finding, _), point in points.items() if finding == reference]
        return float(np.mean(found)) if found else float("nan")


def _half(stacks: Sequence[Stack], number: int, row: int, midline: float) -> str:
    """Half of the patient in which a slice lies; neither for one in the middle, or without a place."""
    stack = stacks[number]
    x = stack.middle[:, 0]
    # Without a point in it, the middle of the series is the best guess of the patient's.
    away = float(x[row] - (midline if np.isfinite(midline) else np.mean(x)))
    if not np.isfinite(away) or abs(away) <= stack.gap / 4:
        return ""
    return "L" if away > 0 else "R"
