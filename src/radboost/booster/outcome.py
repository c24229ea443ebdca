"""What finished fits amount to: models by their keys, and predictions out of fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from radboost.booster.config import BoostConfig
from radboost.booster.design import Design
from radboost.booster.fits import ALL_ROWS, REGULAR, SHARED, WEIGHTED, Done, Job, Work
from radboost.booster.member import METADATA, MemberModel
from radboost.booster.prepare import Prepared
from radboost.booster.raw import RawColumns
from radboost.booster.rows import FloatArray, IntArray
from radboost.booster.run import Key
from radboost.data.predictions import PART, Predictions, class_rows
from radboost.metrics.platt import Platt, fit_platt

__all__ = ["all_models", "all_predictions", "all_prepared", "calibrated"]


def all_prepared(work: Work, done: Mapping[Job, Done]) -> dict[tuple[str, int], Prepared | RawColumns]:
    """Prepared columns by kind and fold; those of one kind that all folds share stand there once, as `SHARED`."""
    return {(j.kind, SHARED if work.place(j).shared else j.fold): found.prepared for j, found in done.items()}


def all_models(work: Work, done: Mapping[Job, Done]) -> dict[Key, MemberModel]:
    """Models by their keys."""
    targets = work.design.task.targets
    return {
        Key(f"{job.learner}/{block}", job.kind, target.name, job.fold): model
        for job, found in done.items()
        for target, own in zip(targets, found.models, strict=True)
        for block, model in own.items()
    }


def all_predictions(work: Work, done: Mapping[Job, Done], config: BoostConfig) -> Predictions:
    """Out-of-fold predictions of the labelled units, members in the order of the run's header."""
    parts, design = [], work.clean
    for job, found in done.items():
        for number, own in enumerate(found.p if job.fold != ALL_ROWS else ()):
            name = work.design.task.targets[number].name
            for block, p in own.items():
                parts.append(
                    _table(
                        design, work.target_weight, Key(f"{job.learner}/{block}", job.kind, name, job.fold), number, p
                    )
                )
    return Predictions(_ordered(pd.concat(parts, ignore_index=True), work, config))


def _table(design: Design, target_weight: FloatArray, key: Key, target: int, p: FloatArray) -> pd.DataFrame:
    """Predictions of one fold's labelled units, in the long form."""
    rows = np.flatnonzero(design.fold == key.fold)
    kept = design.label[rows, target] >= 0
    rows, p = rows[kept], p[kept]
    part = design.part
    others = {
        "unit": design.unit[rows],
        "task_weight": design.task_weight[rows, target],
        "target_weight": target_weight[rows],
        "group": design.group[rows],
        "fold_hash": design.fold_hash,
        "member": key.member,
        "kind": key.kind,
        "fold": key.fold,
        PART: None if part is None else part[rows],
    }
    return class_rows(design.task.targets[target], design.label[rows, target], p, others)


def _ordered(table: pd.DataFrame, work: Work, config: BoostConfig) -> pd.DataFrame:
    """Members in the order of the header, whatever order they were fitted in."""
    members = [f"{learner}/{b}" for learner in config.learners for b in work.blocks]
    targets = [t.name for t in work.design.task.targets]
    place = {
        "kind": table["kind"].map({REGULAR: 0, WEIGHTED: 1}),
        "member": table["member"].map({m: i for i, m in enumerate(members)}),
        "target": table["target"].map({t: i for i, t in enumerate(targets)}),
    }
    order = np.lexsort([table["class"], table["unit"], place["member"], place["kind"], place["target"]])
    return table.iloc[order].reset_index(drop=True)


def calibrated(work: Work, done: Mapping[Job, Done]) -> tuple[dict[Job, Done], dict[str, dict[str, Any]]]:
    """Calibrate all members that see embeddings.

    Returns
    -------
    tuple
        The fits with calibrated out-of-fold probabilities; and the maps for new exams, under
        ``<learner>/<block>|<kind>|<target>``.
    """
    changed = dict(done)
    maps: dict[str, dict[str, Any]] = {}
    for learner, kind in dict.fromkeys((job.learner, job.kind) for job in done):
        jobs = [job for job in done if (job.learner, job.kind) == (learner, kind) and job.fold != ALL_ROWS]
        for number, target in enumerate(work.design.task.targets):
            for block in done[jobs[0]].p[number]:
                if block == METADATA:
                    continue
                parts = {job: _rows(work, job, number, done[job].p[number][block]) for job in jobs}
                for job in jobs:
                    others = [part for other, part in parts.items() if other != job]
                    own = _fit(others).apply(done[job].p[number][block])
                    p = list(changed[job].p)
                    p[number] = {**p[number], block: own}
                    changed[job] = replace(changed[job], p=tuple(p))
                maps[f"{learner}/{block}|{kind}|{target.name}"] = _fit(list(parts.values())).to_dict()
    return changed, maps


def _rows(work: Work, job: Job, target: int, p: FloatArray) -> tuple[FloatArray, IntArray, FloatArray]:
    """Held-out rows of a job that have a label and weight: probabilities, classes, weights."""
    held = work.clean.fold == job.fold
    label = work.clean.label[held, target]
    weight = work.weight(job.kind)[: len(held)][held, target]
    kept = (label >= 0) & (weight > 0)
    return p[kept], label[kept], weight[kept]


def _fit(parts: list[tuple[FloatArray, IntArray, FloatArray]]) -> Platt:
    p, y, weight = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return fit_platt(p, y, weight)
