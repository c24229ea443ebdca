"""Places along the spine, found where no table gives them: the levels of exams to come.

Each place has a mean picture of its surroundings, and places follow one another at distances that vary little. The
most probable chain is found exactly, by dynamic programming over the pixels of a sagittal picture (pictorial
structures: Felzenszwalb and Huttenlocher, International Journal of Computer Vision 61, 2005).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from radboost.data.slices.picture import Picture, normed
from radboost.data.slices.stack import Floats
from radboost.data.volumes import Locator, Template

__all__ = ["LEAST_STUDIES", "Known", "learn_locator", "locate_places"]

LEAST_STUDIES = 5
"""Studies with points that a locator is learnt from at least."""
PITCH_MM, REACH = 2.5, 14
_FLOOR_START, _FLOOR_STEP = 25.0, 4.0  # mm^2, added to variances: few studies tell too little of them
_FLOOR_SIZE, _SIZES = 0.03, 2.5  # least deviation of sizes, and how many of them are looked at on each side
_WINDOW = 16.0  # squared Mahalanobis distance within which a place is looked for
_CANDIDATES = 250
_DIGITS = 3


@dataclass(frozen=True)
class Known:
    """A study to learn from.

    Attributes
    ----------
    centre
        Middle of its series of reference (3,), mm.
    places
        Middle (3,) of each place that is given.
    offsets
        Way (3,) from a place to the point of a finding there.
    """

    centre: Floats
    places: Mapping[str, Floats]
    offsets: Mapping[tuple[str, str], Floats]

    def scaled(self, times: float) -> Known:
        """All lengths so many times as long."""
        places = {name: point * times for name, point in self.places.items()}
        return Known(self.centre * times, places, {key: way * times for key, way in self.offsets.items()})


def learn_locator(
    names: Sequence[str], known: Mapping[str, Known], pictures: Mapping[str, Mapping[str, Picture]]
) -> Locator | None:
    """Learn where places are, how they follow one another, and what they look like.

    Parameters
    ----------
    names
        The places along the spine, in order.
    known
        Studies with points.
    pictures
        By kind of series and study; the best kind first.

    Returns
    -------
    Locator or None
        None where fewer than `LEAST_STUDIES` tell of a place, or have a picture.
    """
    size = _sizes(names, known)
    known = {study: each.scaled(1 / size[study]) for study, each in known.items() if study in size}
    pictures = {
        kind: {study: picture.shrunk(size[study]) for study, picture in shown.items() if study in size}
        for kind, shown in pictures.items()
    }
    if len(known) < LEAST_STUDIES:
        return None
    starts = [k.places[names[0]] - k.centre for k in known.values() if names[0] in k.places]
    steps = [
        [k.places[b] - k.places[a] for k in known.values() if a in k.places and b in k.places]
        for a, b in pairwise(names)
    ]
    if min(map(len, [starts, *steps])) < LEAST_STUDIES:
        return None
    templates = []
    for kind, shown in pictures.items():
        made = _template(kind, names, known, {study: shown[study] for study in shown if study in known})
        if made is not None:
            templates.append(made)
    if not templates:
        return None
    ways: dict[tuple[str, str], list[Floats]] = {}
    for study, each in known.items():
        for key, way in each.offsets.items():
            ways.setdefault(key, []).append(way * size[study])
    return Locator(
        places=tuple(names),
        pitch=PITCH_MM,
        reach=REACH,
        size_spread=round(max(float(np.std(list(size.values()), ddof=1)), _FLOOR_SIZE), _DIGITS),
        start=_rounded(np.mean(starts, axis=0)),
        start_spread=_rounded(_spread(starts, _FLOOR_START)),
        steps=tuple(_rounded(np.mean(s, axis=0)) for s in steps),
        steps_spread=tuple(_rounded(_spread(s, _FLOOR_STEP)) for s in steps),
        templates=tuple(templates),
        offsets=tuple((*key, *_rounded(np.mean(found, axis=0))) for key, found in sorted(ways.items())),
    )


def _sizes(names: Sequence[str], known: Mapping[str, Known]) -> dict[str, float]:
    """Size of each spine of which two neighbouring places are given: its height over the mean one's."""
    steps = {
        study: np.array(
            [
                each.places[b][2] - each.places[a][2] if a in each.places and b in each.places else np.nan
                for a, b in pairwise(names)
            ]
        )
        for study, each in known.items()
    }
    told = {study: step for study, step in steps.items() if np.isfinite(step).any()}
    if not told:
        return {}
    mean = np.nanmean(list(told.values()), axis=0)
    return {study: float(np.nansum(step) / mean[np.isfinite(step)].sum()) for study, step in told.items()}


def _rounded(values: npt.NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(round(float(v), _DIGITS) for v in np.ravel(values))


def _spread(ways: Sequence[Floats], floor: float) -> Floats:
    """Covariance of y and z, of a new study: that of the studies, and of their mean."""
    n = len(ways)
    found = np.cov(np.array(ways)[:, 1:], rowvar=False) * (1 + 1 / n)
    return np.asarray(found + floor * np.eye(2), dtype=np.float64)


def _template(
    kind: str, names: Sequence[str], known: Mapping[str, Known], pictures: Mapping[str, Picture]
) -> Template | None:
    means: list[npt.NDArray[np.float32]] = []
    for name in names:
        patches = [
            patch
            for study, picture in pictures.items()
            if name in known[study].places
            for patch in [_patch(picture, known[study].places[name])]
            if patch is not None
        ]
        if len(patches) < LEAST_STUDIES:
            return None
        mean = np.mean(patches, axis=0)
        means.append(normed(mean))
    right, wrong = [], []
    for study, picture in pictures.items():
        for name, mean in zip(names, means, strict=True):
            if name not in known[study].places:
                continue
            likeness = _likeness(picture.values, mean)
            column, row = picture.pixel(known[study].places[name][1:])
            down, across = np.indices(likeness.shape)
            away = np.hypot(across - column, down - row) * picture.pitch
            right.append(float(likeness[away <= picture.pitch].max(initial=0.0)))
            # What may be taken for it: the neighbourhood along the spine.
            wrong += likeness[(away > 8) & (away < 40)][::7].tolist()
    variance = float(np.var(right) + np.var(wrong)) / 2
    slope = float(np.mean(right) - np.mean(wrong)) / max(variance, 1e-3)
    pictures_of = tuple(tuple(round(float(v), 2) for v in mean.ravel()) for mean in means)
    return Template(kind, round(max(slope, 0.0), _DIGITS), pictures_of)


def _patch(picture: Picture, point: Floats) -> npt.NDArray[np.float32] | None:
    """Surroundings of a point, mean 0 and deviation 1, edges repeated; None for one that the picture does not show."""
    side = 2 * REACH + 1
    column, row = picture.pixel(point[1:])
    if not (0 <= column <= picture.values.shape[1] - 1 and 0 <= row <= len(picture.values) - 1):
        return None
    cut = cv2.getRectSubPix(picture.values, (side, side), (float(column), float(row)))
    return normed(np.asarray(cut))


def _likeness(values: npt.NDArray[np.float32], template: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Correlation of the surroundings of every pixel with a template, from -1 to 1."""
    reach = len(template) // 2
    wide = cv2.copyMakeBorder(values, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    found = cv2.matchTemplate(wide, template, cv2.TM_CCOEFF_NORMED)
    return np.asarray(np.clip(np.nan_to_num(found, posinf=0.0, neginf=0.0), -1, 1), dtype=np.float32)


def locate_places(locator: Locator, kind: str, picture: Picture) -> dict[str, Floats]:
    """Find the places of one study.

    Parameters
    ----------
    locator
        What was learnt.
    kind
        Slot of the picture's kind of series.
    picture
        Of the study.

    Returns
    -------
    dict
        Point (3,) by place; empty where the kind has no template.
    """
    template = next((t for t in locator.templates if t.kind == kind), None)
    if template is None:
        return {}
    best: tuple[float, dict[str, Floats]] = (-np.inf, {})
    for away in np.linspace(-_SIZES, _SIZES, 1 + round(4 * _SIZES)):
        shrunk = picture.shrunk(1 + float(away) * locator.size_spread)
        score, chain = _chain(locator, template, shrunk)
        score -= float(away) ** 2 / 2
        if score > best[0]:
            times = float(picture.centre @ picture.centre) / float(picture.centre @ shrunk.centre)
            best = (score, {name: point * times for name, point in chain.items()})
    return best[1]


def _chain(locator: Locator, template: Template, picture: Picture) -> tuple[float, dict[str, Floats]]:
    """Most probable chain of places in a picture of a spine of mean size, and its log probability."""
    side = 2 * locator.reach + 1
    mean, spread = np.array(locator.start), np.reshape(locator.start_spread, (2, 2))
    expected = picture.centre + mean
    found: list[Floats] = []
    scores: list[Floats] = []
    before: list[npt.NDArray[np.int64]] = []
    for number, values in enumerate(template.pictures):
        if number:
            step = np.array(locator.steps[number - 1])
            step_spread = np.reshape(locator.steps_spread[number - 1], (2, 2))
            expected, spread = expected + step, spread + step_spread
        likeness = _likeness(picture.values, np.reshape(np.array(values, np.float32), (side, side)))
        places, own = _candidates(picture, likeness * template.slope, expected[1:], spread)
        if not number:
            scores.append(own + _log_normal(places - expected[1:], spread))
        else:
            ways = places[None, :, :] - found[-1][:, None, :] - step[1:]
            total = scores[-1][:, None] + _log_normal(ways, step_spread)
            before.append(total.argmax(axis=0))
            scores.append(own + total.max(axis=0))
        found.append(places)
    chosen = [int(scores[-1].argmax())]
    for back in reversed(before):
        chosen.append(int(back[chosen[-1]]))
    chain = [places[at] for places, at in zip(found, reversed(chosen), strict=True)]
    x = picture.centre[0] + np.cumsum([mean[0], *(step[0] for step in locator.steps)])
    return float(scores[-1].max()), {name: np.array([x[n], *chain[n]]) for n, name in enumerate(locator.places)}


def _candidates(
    picture: Picture, score: npt.NDArray[np.floating], expected: Floats, spread: Floats
) -> tuple[Floats, Floats]:
    """Y and z, and scores, of the pixels that may be a place: the likeliest ones of those not too far off."""
    rows, columns = np.indices(score.shape)
    places = picture.place(np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float64))
    prior = _log_normal(places - expected, spread)
    near = prior >= prior.max() - _WINDOW / 2
    order = np.argsort(-(score.ravel() + prior)[near], kind="stable")[:_CANDIDATES]
    at = np.flatnonzero(near)[order]
    return places[at], np.asarray(score.ravel()[at], dtype=np.float64)


def _log_normal(away: Floats, spread: Floats) -> Floats:
    """Log density of a normal distribution of two coordinates (..., 2) but for its constant."""
    # Written out: most of the time of a search goes here, and a general product of three takes five times as long.
    (yy, yz), (zy, zz) = np.linalg.inv(spread)
    y, z = away[..., 0], away[..., 1]
    return np.asarray(-0.5 * (yy * y * y + (yz + zy) * y * z + zz * z * z), dtype=np.float64)
