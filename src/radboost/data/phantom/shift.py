"""Two cohorts whose metadata differ by a density ratio that is known exactly: tables in memory, no pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.cohort import METADATA, NO_BOX, TRAIN, Cohort
from radboost.data.folds import assign_folds
from radboost.data.identity import keyed_hash, keyed_hashes
from radboost.data.task import Metadata, Target, Task
from radboost.errors import UserError

__all__ = ["TASK", "ShiftPhantom", "ShiftedPair", "draw_shifted_pair"]

TASK = Task(
    name="shift-phantom",
    table="train.csv",
    unit=("patient", "side"),
    group="patient",
    targets=(Target("cancer", "cancer"),),
    metadata=Metadata(("age",), ("site", "implant")),
)

FloatArray = npt.NDArray[np.float64]
SITES = np.array(["A", "B", "C"])
SHARES = np.array([0.5, 0.3, 0.2])
AGES = np.array([54.0, 57.0, 60.0])
DEVIATION = 9.0
IMPLANT = 0.1
UNKNOWN = 0.02  # share of patients without an age, in both cohorts
SITE_SHIFT = np.array([-0.6, 0.1, 0.5])
AGE_SHIFT = np.array([5.0, 3.0, 7.0])
NARROWING = 0.1
IMPLANT_SHIFT = 0.6


@dataclass(frozen=True)
class ShiftPhantom:
    """What a pair of cohorts is.

    Attributes
    ----------
    patients, target_patients
        Patients of the source and of the target; each has two units, which share the metadata.
    strength
        0: both cohorts come from one distribution. 1 and 1.5: strong shifts, under which the true ratio leaves an
        effective sample share near .55 and .3. Site, age within a site, and implant shift; given these, labels do
        not.
    seed
        Seed of everything.

    Raises
    ------
    UserError
        A number is out of range.
    """

    patients: int = 1000
    target_patients: int = 1000
    strength: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.patients, self.target_patients) < 10 or self.seed < 0:
            raise UserError("a pair needs ten patients in each cohort, and a seed of at least 0", where="ShiftPhantom")
        if not 0 <= self.strength <= 2:
            raise UserError("value out of range", where="ShiftPhantom.strength", got=self.strength, do="Give 0 to 2")


@dataclass(frozen=True)
class ShiftedPair:
    """The cohorts, and by how much the target's density is larger.

    Attributes
    ----------
    source, target
        Labelled cohorts of the task `TASK`. No patient is in both.
    ratio
        Shape (source units,), in the order of `Cohort.units`: target density over source density of the metadata.
    """

    source: Cohort
    target: Cohort
    ratio: FloatArray


def draw_shifted_pair(phantom: ShiftPhantom) -> ShiftedPair:
    """Draw both cohorts.

    >>> pair = draw_shifted_pair(ShiftPhantom(patients=20, target_patients=10, strength=0))
    >>> len(pair.source.units), float(pair.ratio.min()), float(pair.ratio.max())
    (40, 1.0, 1.0)
    """
    random = np.random.default_rng(np.random.SeedSequence((phantom.seed, 7)))
    source = _patients(random, phantom.patients, 0.0)
    target = _patients(random, phantom.target_patients, phantom.strength)
    key = keyed_hash(bytes(32), "key", phantom.seed).encode()
    cohort, other = _cohort(random, "S", source, key), _cohort(random, "T", target, key)
    ratio = pd.Series(_ratio(source, phantom.strength), index=[f"S{i:06d}" for i in range(len(source))])
    return ShiftedPair(cohort, other, np.asarray(ratio.loc[cohort.units["group"]], dtype=np.float64))


def _shares(strength: float) -> FloatArray:
    shares = SHARES * np.exp(strength * SITE_SHIFT)
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def _ages(strength: float) -> tuple[FloatArray, float]:
    """Mean age at each site, and the deviation."""
    return AGES + strength * AGE_SHIFT, DEVIATION * (1 - NARROWING * strength)


def _implant(strength: float) -> float:
    odds = IMPLANT / (1 - IMPLANT) * np.exp(strength * IMPLANT_SHIFT)
    return float(odds / (1 + odds))


def _patients(random: np.random.Generator, number: int, strength: float) -> pd.DataFrame:
    means, deviation = _ages(strength)
    site = random.choice(len(SITES), size=number, p=_shares(strength))
    age = random.normal(means[site], deviation)
    known = random.random(number) >= UNKNOWN
    implant = random.random(number) < _implant(strength)
    # Labels depend on the metadata alike in both cohorts, by more than a straight line.
    z = (age - AGES[0]) / 10
    risk = -1.6 + 0.6 * z + 0.25 * z * (site == 2) + 0.5 * (site == 1) - 0.4 * implant
    return pd.DataFrame({"site": site, "age": np.where(known, age, np.nan), "implant": implant, "risk": risk})


def _ratio(table: pd.DataFrame, strength: float) -> FloatArray:
    """Product of the ratios of site, of implant, and of age given site; an unknown age says nothing."""
    site, implant, age = table["site"].to_numpy(), table["implant"].to_numpy(), table["age"].to_numpy(np.float64)
    chance = _implant(strength)
    log = np.log(_shares(strength) / SHARES)[site]
    log = log + np.where(implant, np.log(chance / IMPLANT), np.log((1 - chance) / (1 - IMPLANT)))
    means, deviation = _ages(strength)
    own = ((age - AGES[site]) / DEVIATION) ** 2 / 2 + np.log(DEVIATION)
    theirs = ((age - means[site]) / deviation) ** 2 / 2 + np.log(deviation)
    return np.asarray(np.exp(log + np.nan_to_num(own - theirs)), dtype=np.float64)


def _cohort(random: np.random.Generator, name: str, patients: pd.DataFrame, key: bytes) -> Cohort:
    group = np.repeat([f"{name}{i:06d}" for i in range(len(patients))], 2)
    side = np.tile(["L", "R"], len(patients))
    table = patients.loc[np.repeat(patients.index, 2)].reset_index(drop=True)
    units = pd.Series(np.char.add(np.char.add(group, "_"), side))
    sick = random.random(len(table)) < 1 / (1 + np.exp(-table["risk"].to_numpy(np.float64)))
    crop = keyed_hashes(key[:32], "crop", units)
    order = np.zeros(len(units), dtype=np.int64)
    manifest = pd.DataFrame(
        {
            **{"crop_id": crop, "path": units + ".dcm", "frame": -1, "group": group, "study": group, "series": units},
            **{"instance": units, "order": order, "laterality": side, "view": "", **NO_BOX},
            METADATA + "age": table["age"],
            METADATA + "site": SITES[table["site"]],
            METADATA + "implant": table["implant"].astype(int).astype(str),
        }
    )
    links = pd.DataFrame({"unit": units, "crop_id": crop, "slot": "image", "order": order})
    targets = pd.DataFrame({"unit": units, "group": group, "target": "cancer", "label": sick.astype(np.int64)})
    folds = assign_folds(group.tolist(), sick[:, None].astype(float), 2)
    dealt = pd.DataFrame({"group": list(folds), "fold": list(folds.values()), "split": TRAIN})
    return Cohort(Path("phantom"), TASK, manifest, links, targets.assign(task_weight=1.0), dealt, key[:32])
