"""How much more patients would help: a learner fitted anew on parts of them, judged on the same held-out units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.booster.fits import REGULAR, Done, Job, Work
from radboost.metrics import Bootstrap, Difference, Scored, auc, clustered_mean, log_loss

__all__ = ["SHARES", "deal_parts", "learning_curve"]

SHARES = (1 / 8, 1 / 4, 1 / 2)
"""Of the training patients of each outer fold; all of them is what the run itself learnt from."""
DEALT = 8
"""Parts that patients are dealt into; a share is one of them, or several."""
MOST_PARTS = 4
"""Fits of a share, on parts without a common patient: its score is the mean over them."""
FEWEST = 5
"""Patients of each of two classes that every fit of a share needs."""
REPLICATES = 500

Fit: TypeAlias = Callable[[Work, Sequence[Job], str], Mapping[Job, Done]]
"""Does jobs, under a name for what is kept of them."""
Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Level:
    """Fits on one share of the patients.

    Attributes
    ----------
    share
        Of the training patients.
    patients
        That a fit learns from, the mean over folds and parts.
    fitted
        For each part the outcome of every outer fold.
    """

    share: float
    patients: float
    fitted: tuple[tuple[Done, ...], ...]


def learning_curve(
    work: Work, jobs: Sequence[Job], done: Mapping[Job, Done], fit: Fit
) -> tuple[list[dict[str, Any]], list[str]]:
    """Fit on shares of the patients, and score each on all units out of fold.

    Parameters
    ----------
    work
        The run's.
    jobs
        Those of one learner, regular, one an outer fold.
    done
        What they came to with all patients.
    fit
        Does jobs of other work.

    Returns
    -------
    tuple
        A point a target, member and share, the smallest share first: `target`, `member`, `share`, `parts`, `patients`
        (that a fit learns from, on average), `units` and `groups` (judged), `loss` and `auc` (None for several
        classes), and `doubling`: the loss less that with twice the patients; each of these is [value, low, high]. And
        what the reader should know.
    """
    number = deal_parts(work)
    levels: list[_Level] = []
    notes = []
    for share in SHARES:
        size = round(DEALT * share)
        parts = [number // size == part for part in range(min(MOST_PARTS, DEALT // size))]
        if not all(_enough(work, part, job.fold) for part in parts for job in jobs):
            notes.append(
                f"The learning curve has no 1/{DEALT // size} of the patients: too few of each class for a fit."
            )
            continue
        fitted = [fit(_cut(work, part), jobs, f"{DEALT // size}-{place}") for place, part in enumerate(parts)]
        levels.append(_Level(share, _patients(work, parts, jobs), tuple(tuple(f[j] for j in jobs) for f in fitted)))
    everybody = np.ones(len(work.design), dtype=bool)
    levels.append(_Level(1.0, _patients(work, [everybody], jobs), (tuple(done[job] for job in jobs),)))
    points = []
    for target in range(len(work.design.task.targets)):
        for block in done[jobs[0]].p[target]:
            points += _points(work, jobs, levels, (target, block))
    return points, notes


def deal_parts(work: Work) -> npt.NDArray[np.int64]:
    """Deal patients into `DEALT` parts, each with its share of every fold and of patients with a finding.

    Returns
    -------
    ndarray
        Shape (rows of the design,): number of the part, the same for all rows of a patient.
    """
    design = work.design
    names, owner = np.unique(design.group, return_inverse=True)
    found, fold = np.zeros(len(names), dtype=np.int64), np.zeros(len(names), dtype=np.int64)
    np.maximum.at(found, owner, (design.label > 0).any(axis=1).astype(np.int64))
    fold[owner] = design.fold
    # In the order of the units: hashed names come from a random key, on which nothing may depend.
    first = np.full(len(names), len(design))
    np.minimum.at(first, owner, np.arange(len(design)))
    order = np.argsort(first)
    order = np.random.default_rng(work.recipe.seed).permutation(order)
    order = order[np.lexsort([found[order], fold[order]])]
    part = np.empty(len(names), dtype=np.int64)
    part[order] = np.arange(len(names)) % DEALT
    return part[owner]


def _cut(work: Work, part: Mask) -> Work:
    """Leave other patients out of all that is fitted; they are predicted all the same."""
    design = work.design
    return replace(work, design=replace(design, task_weight=np.where(part[:, None], design.task_weight, 0.0)))


def _enough(work: Work, part: Mask, fold: int) -> bool:
    design, weight = work.design, work.weight(REGULAR)
    for target in range(weight.shape[1]):
        rows = part & (design.fold != fold) & (weight[:, target] > 0)
        label = design.label[rows, target]
        groups = [len(np.unique(design.group[rows][label == number])) for number in np.unique(label)]
        if sum(count >= FEWEST for count in groups) < 2:
            return False
    return True


def _patients(work: Work, parts: Sequence[Mask], jobs: Sequence[Job]) -> float:
    design, learnt = work.design, (work.weight(REGULAR) > 0).any(axis=1)
    counts = [len(np.unique(design.group[part & learnt & (design.fold != j.fold)])) for part in parts for j in jobs]
    return float(np.mean(counts))


def _points(work: Work, jobs: Sequence[Job], levels: Sequence[_Level], what: tuple[int, str]) -> list[dict[str, Any]]:
    target, block = what
    binary = work.design.task.targets[target].binary
    how = Bootstrap(REPLICATES, work.recipe.seed)
    judged = {level.share: [_rows(work, jobs, part, what) for part in level.fitted] for level in levels}
    found = []
    for level in levels:
        own = judged[level.share]
        twice = judged.get(2 * level.share)
        found.append(
            {
                "target": work.design.task.targets[target].name,
                "member": f"{jobs[0].learner}/{block}",
                "share": level.share,
                "parts": len(own),
                "patients": level.patients,
                "units": len(own[0].y),
                "groups": len(np.unique(own[0].group)),
                "loss": _told(clustered_mean(log_loss, own, how=how)),
                "auc": _told(clustered_mean(auc, own, how=how)) if binary else None,
                "doubling": _told(clustered_mean(log_loss, own, twice, how)) if twice else None,
            }
        )
    return found


def _rows(work: Work, jobs: Sequence[Job], fitted: Sequence[Done], what: tuple[int, str]) -> Scored:
    """Put the folds' held-out units together, those that are labelled."""
    (target, block), design = what, work.clean
    p = np.full((len(design), len(design.task.targets[target].classes)), np.nan)
    for job, found in zip(jobs, fitted, strict=True):
        p[design.fold == job.fold] = found.p[target][block]
    kept = (design.label[:, target] >= 0) & (design.task_weight[:, target] > 0)
    told = p[kept, 1] if p.shape[1] == 2 else p[kept]
    return Scored(design.label[kept, target], told, design.task_weight[kept, target], design.group[kept])


def _told(found: Difference) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in (found.value, found.low, found.high)]
