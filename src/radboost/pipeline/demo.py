"""The whole system on a synthetic screening cohort, offline: each step is what the command of its name does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from radboost.booster.crossfit import BoostConfig, fit_boost
from radboost.booster.run import Run
from radboost.data.cohort import Cohort
from radboost.data.crop import PixelPolicy
from radboost.data.folder import new_folder, refuse_existing, write_header
from radboost.data.index import IndexConfig, index
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
from radboost.data.predictions import Predictions
from radboost.data.progress import Progress, Silent
from radboost.data.tasks import get_task
from radboost.ensemble.blend import fit_blend
from radboost.ensemble.policy import Policy
from radboost.ensemble.result import BlendConfig, BlendResult
from radboost.ensemble.score import Score
from radboost.extractor.backbone import BackboneConfig
from radboost.extractor.config import ExtractConfig
from radboost.extractor.extract import extract
from radboost.metrics import Bootstrap
from radboost.pipeline.blending import make_blend
from radboost.pipeline.external import ExternalScore
from radboost.pipeline.prediction import PredictConfig, predict_exams, write_prediction

__all__ = ["DemoConfig", "DemoResult", "DemoRow", "run_demo"]

TASK = "rsna-breast"
BACKBONE = "resnet18"
STAGE = 1
"""Untrained late stages lose what untrained early ones still tell: AUC .67 against .87 on 400 phantom patients."""
SIZE = 256
FOLDS = 5
NEW_SITES: Mapping[int, float] = {1: 0.2, 2: 0.3, 3: 0.5}
"""Site mix of the new exams; the cohort that is learned from has the phantom's default, half of it from site 1."""

Measured = tuple[float, float, float]
NOT_MEASURED: Measured = (float("nan"),) * 3


@dataclass(frozen=True)
class DemoConfig:
    """What the demo runs on.

    Attributes
    ----------
    out
        Folder for everything.
    patients
        Patients to learn from.
    pixels
        Rows of an image.
    seed
        Of the phantom, the network and the folds.
    workers
        Processes; None for one a core.
    overwrite
        Replace an earlier demo.
    """

    out: Path
    patients: int = 120
    pixels: int = 1024
    seed: int = 0
    workers: int | None = None
    overwrite: bool = False

    @property
    def new_patients(self) -> int:
        """Patients of the new exams."""
        return self.patients // 2


@dataclass(frozen=True)
class DemoRow:
    """One part of the system and what it is worth: (value, low, high), out of fold and on new exams."""

    name: str
    loss: Measured
    auc: Measured
    new_loss: Measured = NOT_MEASURED
    new_auc: Measured = NOT_MEASURED


@dataclass(frozen=True)
class DemoResult:
    """The demo's table, and where everything lies: pairs (name, what it is)."""

    rows: tuple[DemoRow, ...]
    notes: tuple[str, ...]
    places: tuple[tuple[str, str], ...]


def run_demo(config: DemoConfig, progress: Progress | None = None) -> DemoResult:
    """Write a phantom cohort and take it through every stage.

    Raises
    ------
    ExistsError
        `config.out` exists and `config.overwrite` is off.
    UserError
        `config.out` holds something else than a demo.
    """
    progress = progress or Silent()
    refuse_existing(config.out, "demo", config.overwrite)
    with new_folder(config.out, "demo", overwrite=config.overwrite):
        pass  # claims the place, and clears an earlier demo; each step then writes its own result whole
    config.out.mkdir(parents=True, exist_ok=True)
    write_header(config.out, "demo", 1, {"patients": config.patients, "seed": config.seed})
    data, new = _phantoms(config, progress)
    cohort, run = _learn(config, data, new, progress)
    # One sweep compares all policies.
    how = {p: BlendConfig(sweep=p is Policy.ROBUST) for p in Policy}
    blends = {
        p.value: make_blend([config.out / "run"], p.value, config.out / f"blend-{p.value}", config=how[p])
        for p in Policy
    }
    scores = _predict(config, new, progress)
    return DemoResult(_rows(run, blends, scores), _notes(config, cohort), _places())


def _predict(config: DemoConfig, new: Path, progress: Progress) -> dict[str, tuple[ExternalScore, ...]]:
    """Predict the new exams with both blends; the second finds the embeddings that the first one made."""
    scores = {}
    for policy in Policy:
        progress.say(f"predict new exams with blend {policy.value}")
        # The training cohort's key, so that a patient who was trained on would be recognised and refused.
        made = PredictConfig(key=config.out / "cohort" / "key", work=config.out / "work", workers=config.workers)
        found = predict_exams(config.out / f"blend-{policy.value}", new, made, progress)
        write_prediction(found, config.out / f"predictions-{policy.value}.csv")
        scores[policy.value] = found.scores
    return scores


def _phantoms(config: DemoConfig, progress: Progress) -> tuple[Path, Path]:
    learned = BreastPhantom(patients=config.patients, seed=config.seed, pixels=config.pixels)
    fresh = replace(learned, patients=config.new_patients, first_patient=config.patients, site_mix=NEW_SITES)
    for name, phantom in (("data", learned), ("new-exams", fresh)):
        write_rsna_breast(config.out / name, phantom, progress=progress, workers=config.workers)
    return config.out / "data", config.out / "new-exams"


def _learn(config: DemoConfig, data: Path, new: Path, progress: Progress) -> tuple[Cohort, Run]:
    out = config.out
    made = IndexConfig(seed=config.seed, workers=config.workers)
    cohort = index(data, get_task(TASK), made, progress).cohort.save(out / "cohort")
    pixels = PixelPolicy.of("breast", SIZE)
    backbone = BackboneConfig(BACKBONE, random_init=config.seed, size=SIZE, pool=("avg", "max"), stage=STAGE)
    store = extract(cohort, out / "store", ExtractConfig(backbone, pixels, workers=config.workers), progress).store
    weights = _site_weights(data / "train.csv", new / "train.csv")
    weights.to_csv(out / "weights.csv", index=False)
    boost = BoostConfig(
        weights=dict(zip(weights["unit"], weights["weight"], strict=True)), seed=config.seed, workers=config.workers
    )
    return cohort, fit_boost(cohort, [store], boost, progress).save(out / "run")


def _site_weights(source: Path, target: Path) -> pd.DataFrame:
    """Weights that simulate the target's mix of sites: its share of a site over the source's, mean 1 over units.

    Looks at the sites alone, which a table of new exams has; their labels stay unseen.
    """
    rows, aim = (pd.read_csv(p, dtype=str, usecols=["patient_id", "laterality", "site_id"]) for p in (source, target))
    rows["unit"] = rows["patient_id"] + "_" + rows["laterality"]
    units = rows.drop_duplicates("unit")
    ratio = aim["site_id"].value_counts(normalize=True) / rows["site_id"].value_counts(normalize=True)
    weight = units["site_id"].map(ratio).fillna(0.0)
    return pd.DataFrame({"unit": units["unit"], "weight": weight / weight.mean()})


def _rows(
    run: Run, blends: Mapping[str, BlendResult], new: Mapping[str, tuple[ExternalScore, ...]]
) -> tuple[DemoRow, ...]:
    safe, risky = ({s.name: s for s in blends[policy].targets[0].scores} for policy in ("safe", "risky"))
    of_new = {(policy, s.name): s.values for policy, scores in new.items() for s in scores}
    rows = [
        _row("prior", safe["prior"], of_new["safe", "prior"]),
        _row("metadata only", _part(run.predictions, lambda m: m.endswith("/metadata"))),
        _row("images only", _part(run.predictions, lambda m: m.endswith("/image"))),
        _row("blend safe", safe["blend"], of_new["safe", "blend"]),
        # Judged under the target weights, so it has a prior of its own.
        _row("prior, weighted", risky["prior"]),
        _row("blend risky, weighted", risky["blend"], of_new["risky", "blend"]),
    ]
    return tuple(rows)


def _part(predictions: Predictions, keep: Callable[[str], bool]) -> Score:
    """Cross-fitted score of the blend of some regular members."""
    table = predictions.table[predictions.table["member"].map(keep).astype(bool)]
    return fit_blend(Predictions(table), Policy.SAFE, Bootstrap()).targets[0].scores[0]


def _row(name: str, score: Score, new: Mapping[str, Measured] | None = None) -> DemoRow:
    loss, auc = ((e.value, e.low, e.high) for e in (score.loss, score.auc))
    return DemoRow(name, loss, auc) if new is None else DemoRow(name, loss, auc, new["loss"], new["auc"])


def _notes(config: DemoConfig, cohort: Cohort) -> tuple[str, ...]:
    units = cohort.units
    return (
        f"{units['group'].nunique()} synthetic patients, {len(units)} breasts; {config.new_patients} new patients from "
        "another mix of sites. 95 % intervals by bootstrap over patients.",
        f"The backbone, the first stage of {BACKBONE}, was never trained: its weights are random.",
        "Weighted rows are judged out of fold under weights that simulate the new exams' sites (weights.csv).",
    )


def _places() -> tuple[tuple[str, str], ...]:
    return (
        ("data/", "the cohort as DICOM, laid out as the RSNA breast data"),
        ("new-exams/", "exams of other patients, from another mix of sites"),
        ("cohort/", "made by radboost index; private, holds ids and paths"),
        ("store/", "made by radboost extract; holds no identifiers"),
        ("run/", "made by radboost fit-boost: out-of-fold predictions and models"),
        ("blend-safe/", "made by radboost blend safe"),
        ("blend-risky/", "made by radboost blend risky"),
        ("work/", "the new exams' cohort and store, made by radboost predict --work"),
        ("predictions-*.csv", "made by radboost predict, in the submission format"),
    )
