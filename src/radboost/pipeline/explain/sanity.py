"""The pointing game on phantoms: whether the hottest point lies in a planted lesion, and only if the network learnt.

A map that points at lesions whatever the network's weights tells of the picture, not of the model (Adebayo et al.,
NeurIPS 2018). So the game is played twice on the same units: with the weights as they are, and with the numbers of
each weight matrix in another order (`radboost.extractor.probe.shuffled`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.cohort import Cohort
from radboost.data.jobs import crop_jobs
from radboost.data.progress import Progress
from radboost.errors import TableError, UserError, offenders
from radboost.extractor.probe import Probe, Vectors
from radboost.metrics import clopper_pearson
from radboost.pipeline.explain.copies import Patient
from radboost.pipeline.explain.exams import Exams, unit_probabilities
from radboost.pipeline.explain.system import Asked, Question, System
from radboost.pipeline.explain.where import CropMap, WhereConfig, explain_where

__all__ = ["Game", "Planted", "Sanity", "play", "read_planted"]

LEARNT, SHUFFLED = "as they are", "shuffled"
TISSUE = 0.02
"""Display values above this share of white count as tissue."""

Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True)
class Planted:
    """What a phantom tells of its lesions.

    Attributes
    ----------
    lesions
        By the name of the image, without its ending: (x0, y0, x1, y1) in pixels of the frame, x1 and y1 outside.
    positive
        Readable units with a lesion.
    """

    lesions: Mapping[str, tuple[Rectangle, ...]]
    positive: frozenset[str]


@dataclass(frozen=True)
class Game:
    """One game.

    Attributes
    ----------
    method
        How maps were made.
    weights
        ``as they are`` or ``shuffled``.
    hits, units
        Units whose hottest point lies in a lesion, of those played.
    low, high
        Exact 95 % interval of the share of hits.
    chance
        Share of the tissue that lies in lesions, mean over units: what a point drawn at random would hit.
    """

    method: str
    weights: str
    hits: int
    units: int
    low: float
    high: float
    chance: float

    @property
    def points(self) -> bool:
        """Whether the share of hits is at least twice chance, beyond doubt."""
        return self.low >= 2 * self.chance


@dataclass(frozen=True)
class Sanity:
    """The pointing game.

    Attributes
    ----------
    games
        With both kinds of weights, for each method.
    positives
        Units with a lesion.
    threshold
        Units with a lesion and at least this probability were played: true positives; one unit a patient, so that the
        games are independent.
    """

    games: tuple[Game, ...]
    positives: int
    threshold: float


def read_planted(cohort: Cohort, unit_columns: Sequence[str] = ("prediction_id", "cancer")) -> Planted | None:
    """Read ``truth/`` beside a phantom's exams; None where there is none.

    Raises
    ------
    TableError
        Its tables lack columns.
    """
    folder = cohort.root / "truth"
    if not ((folder / "lesions.csv").is_file() and (folder / "units.csv").is_file()):
        return None
    lesions, units = (pd.read_csv(folder / name) for name in ("lesions.csv", "units.csv"))
    for name, table, columns in (
        ("lesions.csv", lesions, ("image_id", "malignant", "x0", "y0", "x1", "y1")),
        ("units.csv", units, tuple(unit_columns)),
    ):
        missing = [c for c in columns if c not in table.columns]
        if missing:
            raise TableError("does not tell where lesions were planted", where=folder / name, got=offenders(missing))
    found: dict[str, list[Rectangle]] = {}
    bad = lesions[lesions["malignant"] == 1]
    for image, x0, y0, x1, y1 in bad[["image_id", "x0", "y0", "x1", "y1"]].to_numpy().tolist():
        found.setdefault(str(image), []).append((x0, y0, x1, y1))
    name, label = unit_columns
    return Planted(
        {image: tuple(r) for image, r in found.items()}, frozenset(units[name][units[label] == 1].astype(str))
    )


def play(
    system: System, exams: Exams, question: Question, config: tuple[WhereConfig, int, int], progress: Progress
) -> Sanity:
    """Play the game on the true positives of a phantom cohort.

    Parameters
    ----------
    system, exams, question
        What predicts, the phantom's exams, and which probability.
    config
        How maps are made, the seed of the shuffling, and most units to play.
    progress
        Who listens.

    Raises
    ------
    UserError
        The exams are no phantom's, or there is no true positive.
    """
    where, seed, most = config
    planted = read_planted(exams.cohort)
    if planted is None:
        do = "Give exams of a phantom, with its folder truth/"
        raise UserError("nobody knows where the lesions are", where=exams.cohort.root, do=do)
    threshold = system.threshold(question)
    chosen = _true_positives(system, exams, question, planted, threshold)[:most]
    if not chosen:
        got = f"{len(planted.positive)} with a lesion, none predicted {threshold:.3f} or more"
        raise UserError("no true positive to play with", where=exams.cohort.root, got=got)
    progress.start("pointing game", 2 * len(chosen))
    games = []
    for weights, shuffle in ((LEARNT, None), (SHUFFLED, seed)):
        hits: dict[str, list[tuple[bool, float]]] = {method: [] for method in where.methods}
        with exams.probes(shuffle) as probes:
            for asked, unit in chosen:
                patient = exams.patient(unit)
                if shuffle is not None:
                    patient = _embedded_anew(patient, probes)
                maps = list(explain_where(asked, patient, probes, where))
                for method, each in hits.items():
                    each.append(_played([m for m in maps if m.method == method], patient, planted))
                progress.advance()
        games += [_game(method, weights, each) for method, each in hits.items()]
    return Sanity(tuple(games), len(planted.positive), threshold)


def _game(method: str, weights: str, played: Sequence[tuple[bool, float]]) -> Game:
    hits = sum(hit for hit, _ in played)
    chance = float(np.mean([share for _, share in played]))
    return Game(method, weights, hits, len(played), *clopper_pearson(hits, len(played)), chance)


def _true_positives(
    system: System, exams: Exams, question: Question, planted: Planted, threshold: float
) -> list[tuple[Asked, str]]:
    """One unit a patient, in the order of their names."""
    folds = exams.folds(system)
    units = exams.cohort.units
    found, seen = [], set()
    p = unit_probabilities(system, exams, question)
    for row, (unit, group) in enumerate(units[["unit", "group"]].itertuples(index=False)):
        if unit in planted.positive and group not in seen and p[row] >= threshold:
            found.append((Asked(system, question, folds[str(unit)]), str(unit)))
            seen.add(group)
    return found


def _played(maps: Sequence[CropMap], patient: Patient, planted: Planted) -> tuple[bool, float]:
    """Whether the hottest point of all crops lies in a lesion, and what share of the tissue does."""
    paths = patient.cohort.manifest.set_index("crop_id")["path"]
    best, hit, tissue, inside = -np.inf, False, 0, 0
    for crop in dict.fromkeys(found.crop_id for found in maps):
        own = [found for found in maps if found.crop_id == crop]
        # Each backbone's map is what its own features lost: together they are what the system lost.
        heat = np.nansum([found.on_frame for found in own], axis=0)
        boxes = planted.lesions.get(Path(paths[crop]).stem, ())
        seen = _tissue(own[0])
        lesion = np.zeros(heat.shape, dtype=bool)
        for x0, y0, x1, y1 in boxes:
            lesion[y0:y1, x0:x1] = True
        tissue, inside = tissue + int(seen.sum()), inside + int((seen & lesion).sum())
        x, y = own[0].hottest if len(own) == 1 else _top(heat)
        if heat.max() > best:
            best = float(heat.max())
            hit = any(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in boxes)
    return hit, inside / max(1, tissue)


def _top(heat: npt.NDArray[np.float32]) -> tuple[float, float]:
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    return float(x) + 0.5, float(y) + 0.5


def _tissue(found: CropMap) -> npt.NDArray[np.bool_]:
    shown = found.placed.on_frame(found.pixels[0].astype(np.float32), found.info.shape)
    return np.nan_to_num(shown) > TISSUE * 65535


@dataclass(frozen=True)
class _Anew:
    """A patient's crops through another network; see `radboost.booster.design.matrix.Store`."""

    fingerprint_hash: str
    place: Mapping[str, int]
    vectors: Vectors

    @property
    def pools(self) -> list[str]:
        return list(self.vectors)

    def width(self, pool: str) -> int:
        return int(self.vectors[pool].shape[1])

    def rows_of(self, crop_ids: Sequence[str], view: int = 0) -> npt.NDArray[np.int64]:
        return np.array([self.place.get(crop, -1) if view == 0 else -1 for crop in crop_ids], dtype=np.int64)

    def read(self, pool: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.floating[Any]]:
        return self.vectors[pool][rows]


def _embedded_anew(patient: Patient, probes: Sequence[Probe]) -> Patient:
    stores = []
    crops = patient.cohort.manifest["crop_id"].tolist()
    for store, probe in zip(patient.stores, probes, strict=True):
        jobs = list(crop_jobs(patient.cohort, probe.config.pixels, range(len(crops))))
        made = {crop: found[0] for crop, found in zip(crops, probe.crops(jobs), strict=True) if found is not None}
        vectors = probe.embed(np.stack(list(made.values())))
        stores.append(_Anew(store.fingerprint_hash, {crop: k for k, crop in enumerate(made)}, vectors))
    return replace(patient, stores=tuple(stores))
