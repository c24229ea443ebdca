"""What the demo of each task runs on: its phantom, the shift of the new exams, and settings fit for a laptop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from radboost.booster.learner import DEFAULT_LEARNERS
from radboost.booster.prepare import COMPONENTS
from radboost.booster.weights import WeightConfig, simulate
from radboost.data.cohort import Cohort
from radboost.data.index import IndexConfig, index
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
from radboost.data.phantom.cbis import CbisPhantom, write_cbis_ddsm
from radboost.data.phantom.ct import HeadPhantom, write_rsna_ich
from radboost.data.phantom.lumbar import LumbarPhantom, write_rsna_lumbar
from radboost.data.progress import Progress
from radboost.errors import UserError
from radboost.extractor.backbone import BackboneConfig

__all__ = ["DEMOS", "Cast", "Demo", "get_demo"]

# Untrained late stages lose what untrained early ones still tell: AUC .67 against .87 on 400 breast patients.
UNTRAINED = BackboneConfig("resnet18", stage=1, pool=("avg", "max"))
# What comes along has learnt from breasts and films of other patients (docs/shipped.md).
LEARNT = BackboneConfig("radboost:phantom", pool=("avg", "max"))
# A narrowed canal is a small part of a crop, which a mean hardly shows.
MAXIMA = replace(UNTRAINED, pool=("max",))


@dataclass(frozen=True)
class Cast:
    """Who is in one of the demo's two cohorts: patients, the number of the first one, and whether they are the new."""

    patients: int
    first: int
    pixels: int
    seed: int
    new: bool


Writer: TypeAlias = Callable[[Path, Cast, Progress, int | None], None]
Weigher: TypeAlias = Callable[[Cohort, Path, Path, int | None], pd.DataFrame]


@dataclass(frozen=True)
class Demo:
    """The demo of one task.

    Attributes
    ----------
    task
        Name of the task.
    write
        Writes a phantom cohort, labelled, in the task's layout.
    weigh
        Weighs the cohort's units so that they look like the new exams, whose labels stay unseen: `unit`, `weight`.
    headline
        Target whose AUC is shown; the log loss is that of all targets together.
    patients, pixels
        Where nothing else is asked for.
    size
        Of the crop.
    backbone
        The network and what is taken from it; the untrained one where none that comes along does better.
    untrained
        What random weights are given to, where these are asked for.
    folds, learners, components
        Of fit-boost.
    units, layout, shift, simulated
        Words for the notes: what units are, whose layout it is, what differs in the new exams, what weights look at.
    """

    task: str
    write: Writer
    weigh: Weigher
    headline: str
    patients: int
    pixels: int
    size: int
    folds: int
    learners: tuple[str, ...]
    units: str
    layout: str
    shift: str
    simulated: str
    backbone: BackboneConfig = UNTRAINED
    untrained: BackboneConfig = UNTRAINED
    components: int = COMPONENTS


NEW_SITES: Mapping[int, float] = {1: 0.2, 2: 0.3, 3: 0.5}
"""Site mix of the new exams; the cohort that is learned from has the phantom's default, half of it from site 1."""


def _write_breast(out: Path, cast: Cast, progress: Progress, workers: int | None) -> None:
    phantom = BreastPhantom(patients=cast.patients, seed=cast.seed, pixels=cast.pixels, first_patient=cast.first)
    if cast.new:
        phantom = replace(phantom, site_mix=NEW_SITES)
    write_rsna_breast(out, phantom, progress=progress, workers=workers)


def _site_weights(cohort: Cohort, data: Path, new: Path, workers: int | None) -> pd.DataFrame:
    """Weights that simulate the target's mix of sites: its share of a site over the source's, mean 1 over units.

    Looks at the sites alone, which a table of new exams has; their labels stay unseen.
    """
    rows, aim = (
        pd.read_csv(folder / "train.csv", dtype=str, usecols=["patient_id", "laterality", "site_id"])
        for folder in (data, new)
    )
    rows["unit"] = rows["patient_id"] + "_" + rows["laterality"]
    units = rows.drop_duplicates("unit")
    ratio = aim["site_id"].value_counts(normalize=True) / rows["site_id"].value_counts(normalize=True)
    weight = units["site_id"].map(ratio).fillna(0.0)
    return pd.DataFrame({"unit": units["unit"], "weight": weight / weight.mean()})


NEW_SIGNED = 0.7
"""Share of new patients from scanners that store signed pixels; the phantom's default, to be learned from, is less."""


def _write_ct(out: Path, cast: Cast, progress: Progress, workers: int | None) -> None:
    signed = NEW_SIGNED if cast.new else HeadPhantom().signed
    phantom = HeadPhantom(
        patients=cast.patients, seed=cast.seed, pixels=cast.pixels, first_patient=cast.first, signed=signed
    )
    write_rsna_ich(out, phantom, progress=progress, workers=workers)


def _bit_type_weights(cohort: Cohort, data: Path, new: Path, workers: int | None) -> pd.DataFrame:
    """Give weights that simulate the new exams' mix of stored pixel types, as `radboost weights` makes them."""
    return _simulated(cohort, new, WeightConfig("strata", on=("bit_type",)), workers)


DENSER: Mapping[str, float] = {"1": 0.05, "2": 0.2, "3": 0.45, "4": 0.3}
"""Mix of breast densities of the new films; the phantom's default has more fat."""


def _write_films(out: Path, cast: Cast, progress: Progress, workers: int | None) -> None:
    phantom = CbisPhantom(cast.patients, cast.seed, cast.pixels, first_patient=cast.first)
    if cast.new:
        phantom = replace(phantom, density_mix=DENSER)
    write_cbis_ddsm(out, phantom, progress=progress, workers=workers)


def _density_weights(cohort: Cohort, data: Path, new: Path, workers: int | None) -> pd.DataFrame:
    """Give weights that simulate the new films' mix of densities."""
    return _simulated(cohort, new, WeightConfig("strata", on=("density",)), workers)


NEW_THICK = 0.7
"""Share of new studies from the site with thicker slices; the phantom's default, to be learned from, is less."""


def _write_spines(out: Path, cast: Cast, progress: Progress, workers: int | None) -> None:
    phantom = LumbarPhantom(cast.patients, cast.seed, cast.pixels, first_study=cast.first)
    if cast.new:
        phantom = replace(phantom, thick=NEW_THICK)
    write_rsna_lumbar(out, phantom, progress=progress, workers=workers)
    if cast.new:
        # New exams come without coordinates; their grades are there to judge by.
        (out / "train_label_coordinates.csv").unlink()


def _thickness_weights(cohort: Cohort, data: Path, new: Path, workers: int | None) -> pd.DataFrame:
    """Give weights that simulate the new exams' mix of sites, which their slices' thickness tells."""
    return _simulated(cohort, new, WeightConfig("strata", on=("slice_thickness:category",)), workers)


def _simulated(cohort: Cohort, new: Path, how: WeightConfig, workers: int | None) -> pd.DataFrame:
    """Give weights as `radboost weights` makes them; the new exams' labels stay unseen."""
    asked = IndexConfig(key=cohort.key, new_exams=True, workers=workers)
    found = simulate(cohort, index(new, cohort.need_task(), asked).cohort, how)
    return pd.DataFrame({"unit": found.unit, "weight": found.weight})


DEMOS: dict[str, Demo] = {
    demo.task: demo
    for demo in (
        Demo(
            task="rsna-breast",
            write=_write_breast,
            weigh=_site_weights,
            headline="cancer",
            patients=120,
            pixels=1024,
            size=320,
            backbone=LEARNT,
            folds=5,
            learners=DEFAULT_LEARNERS,
            units="breasts",
            layout="RSNA breast",
            shift="another mix of sites",
            simulated="sites",
        ),
        Demo(
            task="rsna-ich",
            write=_write_ct,
            weigh=_bit_type_weights,
            headline="any",
            patients=60,
            pixels=64,
            size=128,
            folds=3,
            # Six targets of a few thousand slices: heads over series would take most of the time.
            learners=("lightgbm",),
            units="slices",
            layout="RSNA haemorrhage",
            shift="another mix of scanners",
            simulated="scanners",
        ),
        Demo(
            task="cbis-ddsm",
            write=_write_films,
            weigh=_density_weights,
            headline="malignant",
            patients=150,
            pixels=512,
            size=96,
            backbone=LEARNT,
            folds=5,
            learners=("logistic", "xgboost"),
            units="abnormalities",
            layout="CBIS-DDSM",
            shift="denser breasts",
            simulated="densities",
        ),
        Demo(
            task="rsna-lumbar",
            write=_write_spines,
            weigh=_thickness_weights,
            headline="grade",
            patients=60,
            # Narrowing is a matter of millimetres: at 96 pixels a slice it would be less than one of them.
            pixels=128,
            size=64,
            backbone=MAXIMA,
            untrained=MAXIMA,
            folds=3,
            # On so few studies trees learn less from these features.
            learners=("logistic",),
            # More of them would take minutes and tell nothing more of sixty studies.
            components=24,
            units="conditions at a level",
            layout="RSNA lumbar",
            shift="another mix of sites, without coordinates",
            simulated="slice thickness",
        ),
    )
}
"""The demo of each task that has one, by the task's name."""


def get_demo(task: str) -> Demo:
    """Find a task's demo; raises UserError where it has none."""
    if task not in DEMOS:
        do = f"Give one of {', '.join(DEMOS)}"
        raise UserError("has no demo", where="--task", got=task, do=do)
    return DEMOS[task]
