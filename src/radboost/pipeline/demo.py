"""The whole system on a synthetic cohort, offline: each step is what the command of its name does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from radboost.booster.crossfit import BoostConfig, fit_boost
from radboost.booster.run import Run
from radboost.data.cohort import Cohort
from radboost.data.crop import PixelPolicy
from radboost.data.folder import new_folder, refuse_existing, write_header
from radboost.data.index import IndexConfig, index
from radboost.data.predictions import Predictions
from radboost.data.progress import Progress, Silent
from radboost.data.splits import FoldSpec
from radboost.data.tasks import get_task
from radboost.ensemble.blend import fit_blend
from radboost.ensemble.policy import Policy
from radboost.ensemble.result import BlendConfig, BlendResult
from radboost.ensemble.score import Estimate
from radboost.errors import UserError
from radboost.extractor.backbone import BackboneConfig, load_backbone, read_card, shipped_names
from radboost.extractor.config import ExtractConfig
from radboost.extractor.extract import extract
from radboost.metrics import JOINT, PARTS, Bootstrap
from radboost.pipeline.blending import make_blend
from radboost.pipeline.demo_tasks import Cast, Demo, get_demo
from radboost.pipeline.external import ExternalScore
from radboost.pipeline.prediction import PredictConfig, predict_exams, write_prediction

__all__ = ["DemoConfig", "DemoResult", "DemoRow", "run_demo"]

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
        Patients to learn from; None for what the task's demo says.
    pixels
        Rows of an image; None likewise.
    seed
        Of the phantom, the untrained network and the folds.
    workers
        Processes; None for one a core.
    overwrite
        Replace an earlier demo.
    task
        One of `radboost.pipeline.demo_tasks.DEMOS`.
    network
        A network; None for the task's own, and with `random_init` for the early stage of an untrained one.
    random_init
        Seed of random weights, in place of the network's own.
    """

    out: Path
    patients: int | None = None
    pixels: int | None = None
    seed: int = 0
    workers: int | None = None
    overwrite: bool = False
    task: str = "rsna-breast"
    network: str | None = None
    random_init: int | None = None

    @property
    def backbone(self) -> BackboneConfig:
        """The network, its weights, and what is taken from it."""
        demo, seed = self.demo, self.random_init
        if self.network is not None:
            return BackboneConfig(self.network, random_init=seed, size=demo.size, pool=demo.backbone.pool)
        if seed is None and demo.backbone != demo.untrained:
            return replace(demo.backbone, size=demo.size)
        return replace(demo.untrained, random_init=self.seed if seed is None else seed, size=demo.size)

    @property
    def demo(self) -> Demo:
        """What its task's demo runs on; raises UserError where there is none."""
        return get_demo(self.task)

    @property
    def learned(self) -> int:
        """Patients to learn from."""
        return self.patients or self.demo.patients

    @property
    def new_patients(self) -> int:
        """Patients of the new exams."""
        return self.learned // 2


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
    """What a demo found.

    Attributes
    ----------
    rows
        Its table.
    notes
        What else there is to know, one line each.
    places
        Where everything lies: pairs (name, what it is).
    gain
        Nats by which the safe blend is better than the prior on the new exams, paired by patient: value, low, high.
    headline
        Target whose AUC is shown; empty where there is one alone.
    """

    rows: tuple[DemoRow, ...]
    notes: tuple[str, ...]
    places: tuple[tuple[str, str], ...]
    gain: Measured
    headline: str = ""


def run_demo(config: DemoConfig, progress: Progress | None = None) -> DemoResult:
    """Write a phantom cohort and take it through every stage.

    Raises
    ------
    ExistsError
        `config.out` exists and `config.overwrite` is off.
    UserError
        `config.out` holds something else than a demo, or the task has none.
    """
    progress, demo = progress or Silent(), config.demo
    refuse_existing(config.out, "demo", config.overwrite)
    network = config.backbone
    # A name that nobody knows, or weights that are nowhere, are told before any image is made.
    load_backbone(network)
    if network.name in shipped_names() and network.random_init is None and config.seed in read_card(network.name).seeds:
        do = "Give another seed: the network has learnt from synthetic patients of this one"
        raise UserError("would judge a network on what it was trained on", where="--seed", got=config.seed, do=do)
    with new_folder(config.out, "demo", overwrite=config.overwrite):
        pass  # claims the place, and clears an earlier demo; each step then writes its own result whole
    config.out.mkdir(parents=True, exist_ok=True)
    write_header(config.out, "demo", 1, {"task": demo.task, "patients": config.learned, "seed": config.seed})
    data, new = _phantoms(config, progress)
    cohort, run = _learn(config, data, new, progress)
    # One sweep compares all policies.
    how = {p: BlendConfig(sweep=p is Policy.ROBUST) for p in Policy}
    blends = {
        p.value: make_blend([config.out / "run"], p.value, config.out / f"blend-{p.value}", config=how[p])
        for p in Policy
    }
    scores = _predict(config, new, progress)
    task = cohort.need_task()
    several = len(task.targets) > 1 or task.parts is not None
    rows = _rows(run, blends, scores, demo.headline)
    of = {score.target: score.values for score in scores["safe"] if score.name == "blend"}
    gain = _together(of, demo.headline)["gain"]
    return DemoResult(rows, _notes(config, cohort, gain), _places(demo), gain, demo.headline if several else "")


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
    pixels = config.pixels or config.demo.pixels
    learned = Cast(config.learned, 0, pixels, config.seed, new=False)
    fresh = Cast(config.new_patients, config.learned, pixels, config.seed, new=True)
    for name, cast in (("data", learned), ("new-exams", fresh)):
        config.demo.write(config.out / name, cast, progress, config.workers)
    return config.out / "data", config.out / "new-exams"


def _learn(config: DemoConfig, data: Path, new: Path, progress: Progress) -> tuple[Cohort, Run]:
    out, demo, task = config.out, config.demo, get_task(config.task)
    made = IndexConfig(folds=FoldSpec(demo.folds), seed=config.seed, workers=config.workers)
    cohort = index(data, task, made, progress).cohort.save(out / "cohort")
    pixels = PixelPolicy.of(task.images.crop, demo.size, task.images.windows)
    asked = ExtractConfig(config.backbone, pixels, workers=config.workers)
    store = extract(cohort, out / "store", asked, progress).store
    weights = demo.weigh(cohort, data, new, config.workers)
    weights.to_csv(out / "weights.csv", index=False)
    boost = BoostConfig(
        learners=demo.learners,
        weights=dict(zip(weights["unit"], weights["weight"], strict=True)),
        seed=config.seed,
        components=demo.components,
        workers=config.workers,
    )
    return cohort, fit_boost(cohort, [store], boost, progress).save(out / "run")


def _rows(
    run: Run, blends: Mapping[str, BlendResult], new: Mapping[str, tuple[ExternalScore, ...]], headline: str
) -> tuple[DemoRow, ...]:
    safe, risky = (_scored(blends[policy], headline) for policy in ("safe", "risky"))
    of_new = {(policy, name): _external(scores, name, headline) for policy, scores in new.items() for name in _NAMES}
    parts = {what: _part(run.predictions, f"/{block}") for what, block in _PARTS.items()}
    rows = [
        DemoRow("prior", *safe["prior"], *of_new["safe", "prior"]),
        *(DemoRow(what, *_scored(part, headline)["blend"]) for what, part in parts.items()),
        DemoRow("blend safe", *safe["blend"], *of_new["safe", "blend"]),
        # Judged under the target weights, so it has a prior of its own.
        DemoRow("prior, weighted", *risky["prior"]),
        DemoRow("blend risky, weighted", *risky["blend"], *of_new["risky", "blend"]),
    ]
    return tuple(rows)


_NAMES = ("prior", "blend")
_PARTS = {"metadata only": "metadata", "images only": "image"}


def _part(predictions: Predictions, ending: str) -> BlendResult:
    """Cross-fitted blend of some regular members."""
    chosen = predictions.table["member"].str.endswith(ending)
    return fit_blend(Predictions(predictions.table[chosen]), Policy.SAFE, Bootstrap())


def _scored(blend: BlendResult, headline: str) -> dict[str, tuple[Measured, Measured]]:
    """Log loss of all targets together and AUC of one, by the score's name."""
    one = next(target for target in blend.targets if target.target == headline)
    ranks = {score.name: _triple(score.auc) for score in one.scores}
    return {score.name: (_triple(score.loss), ranks[score.name]) for score in blend.joint or one.scores}


def _external(scores: tuple[ExternalScore, ...], name: str, headline: str) -> tuple[Measured, Measured]:
    """Log loss of all targets, or of the task's parts, together, and AUC of one target, on the new exams."""
    of = {score.target: score.values for score in scores if score.name == name}
    return _together(of, headline)["loss"], of[headline].get("auc", NOT_MEASURED)


def _together(of: Mapping[str, dict[str, Measured]], headline: str) -> dict[str, Measured]:
    return of.get(JOINT) or of.get(PARTS) or of[headline]


def _triple(found: Estimate) -> Measured:
    return found.value, found.low, found.high


def _notes(config: DemoConfig, cohort: Cohort, gain: Measured) -> tuple[str, ...]:
    units, demo = cohort.units, config.demo
    value, low, high = gain
    return (
        f"{units['group'].nunique()} synthetic patients, {len(units)} {demo.units}; {config.new_patients} new patients "
        f"from {demo.shift}. 95 % intervals by bootstrap over patients.",
        "Paired by patient, the safe blend is better than the prior on the new exams by "
        f"{value:.4f} [{low:.4f}, {high:.4f}] nats.",
        _network(config.backbone),
        "Weighted rows are judged out of fold under weights that simulate the new exams' "
        f"{demo.simulated} (weights.csv).",
    )


def _network(backbone: BackboneConfig) -> str:
    what = backbone.name if backbone.stage is None else f"stage {backbone.stage} of {backbone.name}"
    if backbone.random_init is not None:
        return f"The backbone, {what}, was never trained: its weights are random."
    if backbone.name in shipped_names():
        return f"The backbone is {what}, which has learnt from other synthetic images (docs/shipped.md)."
    return f"The backbone is {what}."


def _places(demo: Demo) -> tuple[tuple[str, str], ...]:
    return (
        ("data/", f"the cohort as DICOM, laid out as the {demo.layout} data"),
        ("new-exams/", f"exams of other patients, from {demo.shift}"),
        ("cohort/", "made by radboost index; private, holds ids and paths"),
        ("store/", "made by radboost extract; holds no identifiers"),
        ("run/", "made by radboost fit-boost: out-of-fold predictions and models"),
        ("blend-safe/", "made by radboost blend safe"),
        ("blend-risky/", "made by radboost blend risky"),
        ("blend-robust/", "made by radboost blend robust"),
        ("work/", "the new exams' cohort and store, made by radboost predict --work"),
        ("predictions-*.csv", "made by radboost predict, in the submission format"),
    )
