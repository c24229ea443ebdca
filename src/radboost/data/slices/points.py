"""Every point of every study: given by the table, or found from what was learnt of the given ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radboost.data.scan import Reading
from radboost.data.slices.coordinates import PointMap
from radboost.data.slices.locate import PITCH_MM, Known, learn_locator, locate_places
from radboost.data.slices.picture import read_pictures
from radboost.data.slices.stack import Floats, Stack, Study
from radboost.data.task import Task
from radboost.data.volumes import Locator, Points

__all__ = ["Finder"]

MOST_STUDIES = 200
"""Studies whose pictures a locator is learnt from at most."""


@dataclass(frozen=True)
class Finder:
    """Learns where points are, and finds those that are not given.

    Attributes
    ----------
    task, points
        The task, and the points of its volumes.
    studies
        Where slices lie.
    root, reading
        The data folder, and how pixels are read.
    """

    task: Task
    points: Points
    studies: Mapping[str, Study]
    root: Path
    reading: Reading

    @property
    def kinds(self) -> list[str]:
        """Slots of all kinds, the one in which the middles of places are marked first."""
        lookup, volumes = self.task.lookup, self.task.need_volumes()
        slots = [kind.slot for kind in volumes.kinds]
        first = lookup.cells(volumes.own).get(self.points.reference, "") if lookup else ""
        return sorted(slots, key=lambda slot: slot != first)

    def learn(self, given: PointMap) -> Locator | None:
        """Learn a locator from given points; None where they are too few."""
        places = self._places()
        known = {}
        for name in sorted({key[0] for key in given}):
            own = {key[1:]: point for key, point in given.items() if key[0] == name}
            stack = self._stack(name, self.kinds[0])
            middle = {place: p for (finding, place), p in own.items() if finding == self.points.reference}
            if stack is None or not middle:
                continue
            offsets = {key: point - middle[key[1]] for key, point in own.items() if key[1] in middle}
            known[name] = Known(np.nanmean(stack.middle, axis=0), middle, offsets)
        # Evenly over the studies, by name.
        places_in = np.unique(np.linspace(0, len(known) - 1, min(MOST_STUDIES, len(known))).astype(int))
        chosen = [name for number, name in enumerate(known) if number in places_in]
        pictures = {}
        for kind in self.kinds:
            stacks = {name: stack for name in chosen if (stack := self._stack(name, kind)) is not None}
            pictures[kind] = read_pictures(self.root, stacks, PITCH_MM, self.reading)
        return learn_locator(places, known, pictures)

    def complete(self, given: PointMap, locator: Locator | None) -> PointMap:
        """Add to the given points those that can be found."""
        if locator is None:
            return given
        offsets = {(finding, place): np.array(way, float) for finding, place, *way in locator.offsets}
        lacking = {name for name in self.studies if any((name, *key) not in given for key in offsets)}
        told = {(name, place) for name, _, place in given}
        # A place of which any finding is given need not be looked for.
        unseen = {name for name in lacking if any((name, place) not in told for place in locator.places)}
        found: dict[str, dict[str, Floats]] = {}
        for kind in self.kinds:
            stacks = {n: s for n in sorted(unseen - set(found)) if (s := self._stack(n, kind)) is not None}
            for name, picture in read_pictures(self.root, stacks, locator.pitch, self.reading).items():
                places = locate_places(locator, kind, picture)
                if places:
                    found[name] = places
        out = dict(given)
        for name in sorted(lacking):
            for finding, place in offsets:
                middle = self._middle((name, place), given, offsets, found.get(name, {}))
                if middle is not None:
                    out.setdefault((name, finding, place), middle + offsets[finding, place])
        return out

    def _middle(
        self,
        where: tuple[str, str],
        given: PointMap,
        offsets: Mapping[tuple[str, str], Floats],
        found: Mapping[str, Floats],
    ) -> Floats | None:
        """Middle of a place: as given, else from what is given of other findings there, else as found."""
        name, place = where
        told = given.get((name, self.points.reference, place))
        if told is not None:
            return told
        ways = [given[name, f, p] - way for (f, p), way in offsets.items() if p == place and (name, f, p) in given]
        return np.mean(ways, axis=0) if ways else found.get(place)

    def _places(self) -> list[str]:
        wide = self.task.wide
        if wide is None:
            return []
        return list(wide.values[wide.names.index(self.points.place)])

    def _stack(self, name: str, kind: str) -> Stack | None:
        stacks = self.studies[name].stacks.get(kind, ()) if name in self.studies else ()
        return next((stack for stack in stacks if np.isfinite(stack.origin).any()), None)
