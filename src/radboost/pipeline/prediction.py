"""A blend on exams it never saw: from a data folder, or from stored features."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.booster.design import Design, build_design
from radboost.booster.run import Run
from radboost.data.cohort import Cohort
from radboost.data.folder import write_text
from radboost.data.identity import keyed_hash, read_key
from radboost.data.index import IndexConfig, index
from radboost.data.predictions import Predictions
from radboost.data.progress import Progress, Silent
from radboost.data.store import EmbeddingStore
from radboost.data.submission import check_submission, decide, in_order_of, parse_threshold, read_submission, submission
from radboost.data.task import Task
from radboost.errors import ExistsError, LeakError, MismatchError, UserError, offenders
from radboost.extractor.backbone import checkpoint_sha256
from radboost.extractor.config import ExtractConfig
from radboost.extractor.extract import extract
from radboost.extractor.train.training import Training
from radboost.pipeline.blending import Blend
from radboost.pipeline.external import ExternalScore, external_predictions, external_scores
from radboost.pipeline.members import Exams, member_probabilities

__all__ = [
    "PredictConfig",
    "Prediction",
    "predict_exams",
    "predict_stored",
    "recipe_of",
    "refuse_written",
    "write_prediction",
]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PredictConfig:
    """How a blend predicts.

    Attributes
    ----------
    threshold
        ``none`` for probabilities, ``auto`` for decisions at the threshold chosen out of fold, or a number.
    key
        Key file of the training cohort, so that exams that were trained on are recognised and refused.
    work
        Folder that keeps the exams' cohort and stores, so that an interrupted prediction goes on where it was, and a
        second blend finds the embeddings made; None keeps nothing.
    checkpoints
        Weights of backbones, where they came from files.
    refit
        By the models of all rows, where the runs have them, in place of the fold models.
    device, batch_size, workers
        As for `extract`.
    split
        Of a cohort: only units of this split, such as ``holdout``; None for all.
    """

    threshold: str = "none"
    key: Path | None = None
    work: Path | None = None
    checkpoints: tuple[Path, ...] = ()
    refit: bool = False
    device: str = "auto"
    batch_size: int | None = None
    workers: int | None = None
    split: str | None = None


@dataclass(frozen=True)
class Prediction:
    """What `predict` made.

    Attributes
    ----------
    submission
        In the task's format.
    units
        How many were predicted.
    external
        Predictions of kind external, where any unit is labelled; else None.
    scores
        Of the labelled units.
    quarantined
        Images that could not be used.
    notes
        What the reader should know.
    """

    submission: pd.DataFrame
    units: int
    external: Predictions | None
    scores: tuple[ExternalScore, ...]
    quarantined: int
    notes: tuple[str, ...]


def predict_exams(
    blend_folder: Path, data_dir: Path, config: PredictConfig | None = None, progress: Progress | None = None
) -> Prediction:
    """Index, embed and predict new exams.

    Raises
    ------
    UserError
        The folder is not laid out as the task's data, or weights of the backbone are missing (the error names them).
    LeakError
        With `config.key`: exams of patients that the blend was trained on.
    """
    config, progress = config or PredictConfig(), progress or Silent()
    parse_threshold(config.threshold)
    blend = Blend.load(blend_folder)
    # A training that is a member has the networks for features of its own.
    own = tuple(run.folder for _, run in blend.runs if isinstance(run, Training))
    known = replace(config, checkpoints=(*config.checkpoints, *own))
    recipes = [recipe_of(s["config"], known) for s in blend.header["stores"]]
    key = None if config.key is None else read_key(config.key)
    with ExitStack() as stack:
        work = config.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="radboost-")))
        cohort = _exams(blend, data_dir, work, config, progress)
        stores = []
        for recipe, made in zip(recipes, blend.header["stores"], strict=True):
            place = work / f"store-{made['fingerprint_hash'][:12]}"
            stores.append(extract(cohort, place, recipe, progress).store)
        prediction = _predict(blend, _Given(cohort, stores), config, work, progress)
        bad = len(_quarantined(cohort))
    notes = list(prediction.notes)
    if prediction.external is not None and key is None:
        notes.append(
            "Whether these patients were trained on cannot be told without the training cohort's --key: "
            "if they were, these scores are not external."
        )
    return replace(prediction, quarantined=bad, notes=tuple(notes))


def predict_stored(
    blend_folder: Path,
    cohort_folder: Path,
    store_folders: Sequence[Path],
    config: PredictConfig | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Predict a cohort's units from stored features; images are read for the networks of trainings only.

    Parameters
    ----------
    blend_folder, cohort_folder, store_folders
        The blend, the cohort, and a store of it for each fingerprint that the blend needs.
    config, progress
        How, and who listens.

    Raises
    ------
    MismatchError
        A store that the blend needs is not among those given, or the split does not exist.
    LeakError
        Units of patients that the blend was trained on.
    """
    config = config or PredictConfig()
    parse_threshold(config.threshold)
    blend, cohort = Blend.load(blend_folder), Cohort.load(cohort_folder)
    stores = [EmbeddingStore.open(folder) for folder in store_folders]
    needed = [s["fingerprint_hash"] for s in blend.header["stores"]]
    by_hash = {store.fingerprint_hash: store for store in stores}
    absent = [h[:12] for h in needed if h not in by_hash]
    if absent:
        do = "Give each with --store; `store.json` names its fingerprint_hash"
        raise MismatchError("the blend needs stores that were not given", got=offenders(absent), do=do)
    given = _Given(cohort, [by_hash[h] for h in needed], config.split)
    with ExitStack() as stack:
        work = config.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="radboost-")))
        return _predict(blend, given, config, work, progress or Silent())


def write_prediction(prediction: Prediction, out: Path, *, overwrite: bool = False) -> list[Path]:
    """Write the submission, and the external predictions beside it where there are labels; return the paths."""
    refuse_written(out, overwrite)
    beside = _beside(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, prediction.submission.to_csv(index=False))
        if prediction.external is None:
            beside.unlink(missing_ok=True)
            return [out]
        prediction.external.write(beside)
    except OSError as error:
        raise UserError("cannot be written", where=out, got=error.strerror, do="Choose another --out") from error
    return [out, beside]


def refuse_written(out: Path, overwrite: bool) -> None:
    """Raise ExistsError where a result is there already, before any work is done."""
    there = [path for path in (out, _beside(out)) if path.exists()]
    if there and not overwrite:
        raise ExistsError("already exists", where=there[0], do="Choose another --out, or give --overwrite")


def _beside(out: Path) -> Path:
    return out.with_name(f"{out.stem}.predictions.parquet")


def recipe_of(made: Mapping[str, Any], config: PredictConfig) -> ExtractConfig:
    """Ask for the features that the blend was fitted on, with the weights file that made them, if one did."""
    file = None
    if made["weights"]["kind"] in ("checkpoint", "training"):
        wanted = made["weights"]["file_sha256"]
        matching = [path for path in config.checkpoints if path.exists() and checkpoint_sha256(path) == wanted]
        file = (*matching, *config.checkpoints, None)[0]
    recipe = ExtractConfig.from_config(made, file)
    return replace(recipe, device=config.device, batch_size=config.batch_size, workers=config.workers)


def _exams(blend: Blend, data_dir: Path, work: Path, config: PredictConfig, progress: Progress) -> Cohort:
    """Index the exams; under the key of a cohort that an earlier call left, so that its embeddings are found again."""
    key = None if config.key is None else read_key(config.key)
    if key is not None and keyed_hash(key, "key") != blend.header["key_id"]:
        do = "Give the `key` file of the cohort that the blend was made from"
        raise MismatchError("is not the training cohort's key", where=config.key, do=do)
    if key is None and (work / "cohort" / "key").is_file():
        key = read_key(work / "cohort" / "key")
    made = IndexConfig(key=key, new_exams=True, workers=config.workers)
    return index(data_dir, blend.task, made, progress).cohort.save(work / "cohort", overwrite=True)


def _quarantined(cohort: Cohort) -> set[str]:
    """Files set aside by index and extract, from the cohort's quarantine folder."""
    if cohort.folder is None:
        return set()
    tables = [pd.read_csv(path, dtype=str) for path in sorted((cohort.folder / "quarantine").glob("*.csv"))]
    return {str(p) for table in tables for p in table["path"]}


@dataclass(frozen=True)
class _Given:
    """A cohort to be predicted, its stores in the order that the blend names them, and one split of it or all."""

    cohort: Cohort
    stores: Sequence[EmbeddingStore]
    split: str | None = None


def _predict(blend: Blend, given: _Given, config: PredictConfig, work: Path, progress: Progress) -> Prediction:
    cohort, stores, split = given.cohort, given.stores, given.split
    if cohort.need_task().targets != blend.task.targets:
        do = "Index the data with the task that the blend was made for"
        raise MismatchError("the cohort has other targets than the blend", where=cohort.folder, do=do)
    views = max((run.views for _, run in blend.runs if isinstance(run, Run)), default=0)
    designs = [build_design(cohort, stores, view, bare=True) for view in range(1 + views)]
    if split is not None:
        known = sorted(set(designs[0].split.tolist()))
        if split not in known:
            raise MismatchError("the cohort has no such split", got=split, do=f"It has {', '.join(known)}")
        designs = [each.take(each.split == split) for each in designs]
    design = designs[0]
    _refuse_trained(blend, design)
    settings = config.refit, config.device, config.batch_size, config.workers
    members, told = member_probabilities(blend, Exams(cohort, designs, work, progress, *settings))
    p = blend.apply(members, len(design))
    named = cohort.units.set_index("unit_id")["unit"].reindex(design.unit)
    threshold = parse_threshold(config.threshold)
    out = {name: _decided(blend, name, values, threshold) for name, values in p.items()}
    labelled = bool((design.label >= 0).any())
    external = external_predictions(design, p) if labelled else None
    scores = tuple(external_scores(blend, design, p)) if labelled else ()
    rows, notes = submission(blend.task, named.tolist(), out), told
    if split is None:
        rows, more = _as_sample(rows, cohort, blend.task, decided=threshold is not None)
        notes = (*notes, *more)
    return Prediction(rows, len(named), external, scores, 0, notes)


def _as_sample(
    rows: pd.DataFrame, cohort: Cohort, task: Task, *, decided: bool
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Bring a submission into the order of the sample that lies beside the exams, and hold it against that."""
    path = cohort.root / task.submission.sample
    if not task.submission.sample or not path.is_file():
        return rows, ()
    sample = read_submission(path, task)
    try:
        rows = in_order_of(rows, sample, task)
    except MismatchError as error:
        # Of use all the same: a user may well predict other exams than those that a competition asks for.
        return rows, (f"The rows are not those of {task.submission.sample}: {error}.",)
    # Decisions were each made for one target, so that constraints between probabilities say nothing of them.
    check_submission(rows, sample, replace(task, constraints=()) if decided else task)
    return rows, (f"The rows are those of {task.submission.sample}, in its order.",)


def _refuse_trained(blend: Blend, design: Design) -> None:
    """Groups carry keyed hashes, so this sees through renamed units as long as the key is the training cohort's."""
    again = sorted(blend.learnt.intersection(design.group.tolist()))
    if again:
        raise LeakError(
            "these patients were trained on, so this is no prediction of new exams",
            got=f"{len(again)} of {len(set(design.group.tolist()))} groups",
            do="Name a held-out split with --split; out-of-fold predictions of training units lie in the blend",
        )


def _decided(blend: Blend, target: str, p: FloatArray, threshold: float | str | None) -> npt.NDArray[np.generic]:
    if threshold is None or not blend.task.target(target).binary:
        return p
    if threshold == "auto":
        threshold = blend.thresholds[target]
        if threshold is None:
            raise UserError("the blend has no threshold: no positive was seen", where=target, do="Use --threshold none")
    return decide(p, float(threshold))
