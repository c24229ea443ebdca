"""Where in a unit's crops the probability comes from: what is lost when a window is covered, or not pooled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radboost.data.cohort import Cohort
from radboost.data.crop import CropInfo
from radboost.data.jobs import crop_jobs
from radboost.data.placement import Placement
from radboost.data.task import OPPOSITE
from radboost.errors import UserError
from radboost.extractor.probe import FILLS, Pixels, Probe, Without
from radboost.pipeline.explain.copies import Change, Patient
from radboost.pipeline.explain.system import Asked, FloatArray, log_odds

__all__ = ["MAP", "METHODS", "OCCLUSION", "CropMap", "WhereConfig", "crops_of", "explain_where"]

OCCLUSION, MAP = "occlusion", "map"
METHODS = (MAP, OCCLUSION)
"""``map``: positions of the network's last map are left out of the pooling. ``occlusion``: pixels are covered."""


@dataclass(frozen=True)
class WhereConfig:
    """How maps are made.

    Attributes
    ----------
    methods
        Some of `METHODS`.
    window
        Side of a window as a part of the crop's side.
    step
        From one window to the next as a part of the window.
    fill
        What pixels are covered with, one of `radboost.extractor.probe.FILLS`.
    crops
        Most crops of a unit that are looked into, evenly spread over those it has.
    """

    methods: tuple[str, ...] = METHODS
    window: float = 1 / 8
    step: float = 1 / 2
    fill: str = "blur"
    crops: int = 8

    def __post_init__(self) -> None:
        unknown = [m for m in self.methods if m not in METHODS]
        if unknown or not self.methods:
            raise UserError("knows no such choice", where="--method", got=unknown, do=f"Give {' or '.join(METHODS)}")
        if self.fill not in FILLS:
            raise UserError("knows no such choice", where="--fill", got=self.fill, do=f"Give one of {', '.join(FILLS)}")
        if self.crops < 1:
            raise UserError("must be at least 1", where="--crops", got=self.crops)


@dataclass(frozen=True, eq=False)
class CropMap:
    """What one method found in one crop, through one backbone.

    Attributes
    ----------
    crop_id, slot
        Which crop, and what the unit sees it as.
    method, store
        One of `METHODS`, and the number of the store whose backbone saw it.
    pixels
        The crop (channels, size, size), as the backbone saw it.
    info
        Where it lies in its frame.
    placed
        Its geometry.
    effects
        Shape (windows,): log odds of the unit as it is minus those without the window. Above 0 the window speaks for
        the class.
    drawn
        Shape (size, size): `effects` as a map of the crop, in nats of log odds.
    """

    crop_id: str
    slot: str
    method: str
    store: int
    pixels: Pixels
    info: CropInfo
    placed: Placement
    effects: FloatArray
    drawn: npt.NDArray[np.float32]

    @property
    def hottest(self) -> tuple[float, float]:
        """The map's highest point, (x, y) in pixels of the frame; of equals the one nearest to their centre."""
        tops = np.argwhere(self.drawn >= self.drawn.max())
        y, x = tops[np.square(tops - tops.mean(axis=0)).sum(axis=1).argmin()]
        (point,) = self.placed.to_frame([[x + 0.5, y + 0.5]])
        return float(point[0]), float(point[1])

    @property
    def on_frame(self) -> npt.NDArray[np.float32]:
        """The map in the whole frame, (rows, columns), NaN outside the crop."""
        return self.placed.on_frame(self.drawn, self.info.shape)


def crops_of(cohort: Cohort, unit: str, most: int) -> list[tuple[str, str]]:
    """Give a unit's own crops and their slots, in order; where there are more than `most`, evenly spread ones."""
    links = cohort.links[cohort.links["unit"] == unit]
    own = links[~links["slot"].str.endswith(OPPOSITE)].drop_duplicates("crop_id")
    pairs = list(zip(own["crop_id"], own["slot"], strict=True))
    if len(pairs) <= most:
        return pairs
    return [pairs[k] for k in np.linspace(0, len(pairs) - 1, most).round().astype(int)]


def explain_where(asked: Asked, patient: Patient, probes: Sequence[Probe], config: WhereConfig) -> Iterator[CropMap]:
    """Make the maps of a unit, crop by crop.

    Each window's effect is found by taking the changed crop through the whole system: backbone, pooling, columns,
    every member, the blend. Nothing is linearised.

    Parameters
    ----------
    asked, patient
        Which probability, and of whom.
    probes
        One a store, in the order of `System.stores`.
    config
        How.
    """
    whole = log_odds(patient.probabilities(asked))
    chosen = crops_of(patient.cohort, patient.unit, config.crops)
    place = {crop: row for row, crop in enumerate(patient.cohort.manifest["crop_id"])}
    for number, probe in enumerate(probes):
        policy = probe.config.pixels
        jobs = list(crop_jobs(patient.cohort, policy, [place[crop] for crop, _ in chosen]))
        for (crop_id, slot), made in zip(chosen, probe.crops(jobs), strict=True):
            if made is None or patient.stores[number].rows_of([crop_id])[0] < 0:
                continue
            pixels, info = made
            for method in config.methods:
                without = _without(probe, pixels, method, config)
                change = Change(crop_id, number, without.vectors)
                effects = np.zeros(len(without.windows))
                changed = patient.probabilities(asked, change)
                effects[without.tried] = whole - log_odds(changed)
                yield CropMap(
                    crop_id=crop_id,
                    slot=slot,
                    method=method,
                    store=number,
                    pixels=pixels,
                    info=info,
                    placed=info.placed(policy.size, to_left=policy.mirror),
                    effects=effects,
                    drawn=without.windows.drawn(effects, policy.size),
                )


def _without(probe: Probe, pixels: Pixels, method: str, config: WhereConfig) -> Without:
    if method == OCCLUSION:
        return probe.occluded(pixels, config.window, config.step, config.fill)
    return probe.left_out(pixels, config.window, config.step)
