"""Cross-fitting: every unit is predicted by models that saw nothing of its group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from radboost.booster.config import BoostConfig
from radboost.booster.curve import Fit, learning_curve
from radboost.booster.design import Design, Store, build_design
from radboost.booster.design.stack import count_views, stack_views
from radboost.booster.fits import ALL_ROWS, REGULAR, WEIGHTED, Done, Job, Work
from radboost.booster.kept import Kept
from radboost.booster.leaks import check_leaks
from radboost.booster.learner import LEARNERS
from radboost.booster.member import BLOCKS, FUSED, IMAGE, METADATA, STORE
from radboost.booster.outcome import all_models, all_predictions, all_prepared, calibrated
from radboost.booster.run import Run
from radboost.booster.running import finish, is_spread
from radboost.booster.tune import SPACES, Search
from radboost.booster.weights import resolve_weights
from radboost.data.cohort import TRAIN, Cohort
from radboost.data.folder import digest, environment
from radboost.data.networks import fold_of
from radboost.data.pool import available_cores
from radboost.data.progress import Progress, Silent
from radboost.errors import MismatchError, UserError, offenders

__all__ = ["LEARNERS", "BoostConfig", "ConfiguredStore", "fit_boost"]


class ConfiguredStore(Store, Protocol):
    """A store that says how its embeddings can be made again."""

    @property
    def config(self) -> dict[str, Any]:
        """JSON-able."""


def fit_boost(
    cohort: Cohort,
    stores: Sequence[ConfiguredStore],
    config: BoostConfig | None = None,
    progress: Progress | None = None,
    keep: Path | None = None,
) -> Run:
    """Learn from embeddings and metadata; every prediction is out of fold.

    Parameters
    ----------
    cohort
        With a task, labels and folds.
    stores
        Of its crops; none leaves the metadata.
    config, progress
        How, and who listens.
    keep
        Folder of finished fits, made where it is absent: a call that was ended goes on there, with the same result. It
        is for the caller to delete once the run is saved. None keeps nothing.

    Returns
    -------
    Run
        In memory; `Run.save` writes it.

    Raises
    ------
    MismatchError
        A store holds none of the cohort's crops, or the cohort has no task.
    LeakError
        Out-of-fold scores would be too good; see `radboost.booster.leaks`.
    UserError
        There are no folds or labels, a training fold holds one class only, or the weights do not fit the cohort.
    """
    config, progress = config or BoostConfig(), progress or Silent()
    progress.start("building the design", None)
    everything = build_design(cohort, stores)
    leaks = check_leaks(cohort, everything, stores, config.allow_leak)
    outer = (everything.split == TRAIN) & (everything.fold >= 0) & (everything.label >= 0).any(axis=1)
    weights = np.ones(len(everything))
    if config.weights is not None:
        weights = resolve_weights(cohort.units, config.weights, outer)
    design = everything.take(outer)
    folds = _folds(design)
    _check_networks(design, stores, config, folds)
    blocks, notes = _blocks(design, config)
    notes += [str(leak) for leak in leaks]
    for note in notes:
        progress.say(note)
    views = _views(cohort, stores) if config.views else 0
    stacked = stack_views([design, *(build_design(cohort, stores, v).take(outer) for v in range(1, views + 1))])
    kinds = [REGULAR] if config.weights is None else [REGULAR, WEIGHTED]
    jobs = _jobs(config, kinds, folds)
    search = _search(config, jobs, keep)
    work = Work(stacked, weights[outer], blocks, config.recipe, config.components, config.share_bins, search)
    _need_classes(work, kinds, folds)
    spread = any(is_spread(work, job, config) for job in jobs)
    if spread:
        notes.append(f"Fits of more than {config.split_rows} rows were split: near those of one process, not equal.")
    kept = None if keep is None else Kept(keep, _fingerprint(work, config, stores, spread))
    done = finish(work, jobs, config, kept, progress)
    learning, told = _curve(work, done, config, _anew(config, kept, progress))
    done, calibration = calibrated(work, done) if design.networks else (done, {})
    content = {
        "task": design.task.as_dict(),
        "fold_hash": design.fold_hash,
        "inputs": {"cohort": design.cohort, "key_id": cohort.key_id, "stores": _inputs(stores), "views": views},
        "config": config.to_dict(),
        "members": [[f"{learner}/{b}", k] for k in kinds for learner in config.learners for b in blocks],
        "folds": folds,
        "notes": [*notes, *told],
        "leaks": [leak.to_dict() for leak in leaks],
        "calibration": calibration,
        "learning": learning,
        "tuning": [{"job": job.name, **found.search} for job, found in done.items() if found.trials],
        "environment": environment(),
    }
    return Run(content, all_prepared(work, done), all_models(work, done), fitted=all_predictions(work, done, config))


def _curve(
    work: Work, done: Mapping[Job, Done], config: BoostConfig, fit: Fit
) -> tuple[list[dict[str, Any]], list[str]]:
    """Give the points of the learning curve that was asked for, if any, and notes."""
    jobs = [job for job in done if (job.learner, job.kind) == (config.curve, REGULAR) and job.fold != ALL_ROWS]
    return learning_curve(work, jobs, done, fit) if jobs else ([], [])


def _anew(config: BoostConfig, kept: Kept | None, progress: Progress) -> Fit:
    """Give what fits on parts of the patients; what was finished is kept beside the run's own fits."""

    def fit(work: Work, jobs: Sequence[Job], name: str) -> Mapping[Job, Done]:
        own = None if kept is None else Kept(kept.folder / "curve" / name, kept.fingerprint)
        return finish(work, jobs, config, own, progress)

    return fit


def _check_networks(
    design: Design, stores: Sequence[ConfiguredStore], config: BoostConfig, folds: Sequence[int]
) -> None:
    """Refuse embeddings of fold networks that do not fit the folds, and what has no sense with them."""
    for store in stores:
        made = store.config.get("fold_hash", design.fold_hash)
        if made != design.fold_hash:
            do = "Train on this cohort, or fit on the one that the networks were trained on"
            raise MismatchError("a store's networks were trained on other folds", got=made[:12], do=do)
    for store in stores:
        own = {fold for pool in store.pools if (fold := fold_of(pool)) is not None}
        lost = sorted(set(folds) - own)
        if own and lost:
            do = "Train a network for every fold"
            raise MismatchError("a store lacks the networks of some folds", got=offenders(lost), do=do)
    if config.curve is not None and design.networks:
        do = "Leave it out, or take it of a frozen backbone"
        raise UserError("the networks learnt from all patients of the other folds", where="--curve", do=do)
    for option, asked in (("--refit", config.refit), ("--share-bins", config.share_bins)):
        if asked and design.networks:
            do = "Leave it out: each fold has columns of its own"
            raise UserError("cannot be had from networks of folds", where=option, do=do)


def _inputs(stores: Sequence[ConfiguredStore]) -> list[dict[str, Any]]:
    return [{"fingerprint_hash": store.fingerprint_hash, "config": store.config} for store in stores]


def _folds(design: Design) -> list[int]:
    folds = [int(f) for f in np.unique(design.fold)]
    if len(folds) < 2:
        do = "Index the data with --folds 2 or more, and labels"
        what = "cross-fitting needs labelled units in two folds or more"
        raise UserError(what, where="cohort", got=len(folds), do=do)
    return folds


def _jobs(config: BoostConfig, kinds: Sequence[str], folds: Sequence[int]) -> list[Job]:
    """Fold after fold, so that few folds' columns are held at a time."""
    places = [*folds, ALL_ROWS] if config.refit else folds
    return [Job(learner, kind, fold) for kind in kinds for fold in places for learner in config.learners]


def _views(cohort: Cohort, stores: Sequence[Store]) -> int:
    found = count_views(stores, cohort.manifest["crop_id"].tolist())
    if not found:
        do = "Extract with --views N, or leave --use-views out"
        raise UserError("no store has augmented views", where="--use-views", do=do)
    return found


def _search(config: BoostConfig, jobs: Sequence[Job], keep: Path | None) -> Search | None:
    """Share the budget out over the jobs that are tuned."""
    tuned = sum(job.learner in SPACES for job in jobs)
    if config.tune is None or not tuned:
        return None
    at_once = min(tuned, config.workers or available_cores())
    return Search(60 * config.tune * at_once / tuned, None if keep is None else keep / "studies")


def _fingerprint(work: Work, config: BoostConfig, stores: Sequence[ConfiguredStore], spread: bool) -> str:
    """Of all that shapes a fit: settings, rows, labels, weights, folds, embeddings, libraries."""
    design = work.design
    arrays = (design.unit, design.group, design.fold, design.label, design.task_weight, work.target_weight)
    content = sha256()
    for array in (*arrays, *(block.present for block in design.blocks)):
        content.update(np.ascontiguousarray(array).tobytes())
    shape = {
        "rows": content.hexdigest(),
        "cohort": design.cohort,
        "task": design.task.as_dict(),
        "stores": [store.fingerprint_hash for store in stores],
        "config": config.to_dict(),
        "blocks": list(work.blocks),
        "environment": environment(),
        **({"split": [config.split_rows, config.workers]} if spread else {}),
    }
    return digest(shape)


def _blocks(design: Design, config: BoostConfig) -> tuple[tuple[str, ...], list[str]]:
    image, metadata = bool(design.blocks), design.task.metadata.declared
    has = {IMAGE: image, METADATA: metadata, FUSED: image and metadata}
    notes = []
    if not metadata:
        notes.append("The task declares no metadata columns: members see embeddings only.")
    if not image:
        notes.append("No store was given: members see metadata only.")
    # Acquisition fields may carry the label: what metadata alone can do is always told beside what all can do.
    wanted = {*config.blocks, METADATA} if FUSED in config.blocks else set(config.blocks)
    blocks = tuple(b for b in BLOCKS if b in wanted and has[b])
    # By the names of their blocks: each store alone may do better than all together.
    stores = tuple(dict.fromkeys(STORE + block.name.partition("/")[0] for block in design.blocks))
    if IMAGE in blocks and len(stores) > 1:
        blocks += stores
    if not blocks:
        got = offenders(config.blocks)
        raise UserError("none of the asked-for blocks exists in this cohort", where="blocks", got=got)
    return blocks, notes


def _need_classes(work: Work, kinds: Sequence[str], folds: Sequence[int]) -> None:
    for kind in kinds:
        weight = work.weight(kind)
        for fold in folds:
            for number, target in enumerate(work.design.task.targets):
                rows = (work.design.fold != fold) & (weight[:, number] > 0)
                if len(np.unique(work.design.label[rows, number])) < 2:
                    do = "Use fewer folds, more patients, or weights that keep both"
                    got = f"{kind} rows outside fold {fold}"
                    raise UserError("training rows hold fewer than two classes", where=target.name, got=got, do=do)
