"""What the blend of one target is made from, aligned by unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.data.predictions import Block
from radboost.ensemble.logit import log_probabilities
from radboost.errors import LeakError, TableError, offenders
from radboost.metrics import true_class_probability

__all__ = ["MISSING", "Mask", "Panel", "deal", "fill"]

FloatArray: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]

FOLDS = 5
"""Parts that groups are dealt into where the predictions bring one fold only, as a hold-out does."""

MISSING = ("error", "renormalise")
"""What is done about members that lack units: refused, or their weight goes to the members that are there."""


@dataclass(frozen=True)
class Panel:
    """What a blend of one target is made from, aligned by unit.

    Attributes
    ----------
    p
        Probabilities (n, members, classes), none missing: where a member lacks a unit, the mean of those that do not.
    label
        True class (n,), -1 where unlabelled.
    weight
        Weight of the loss (n,), not negative.
    group, fold
        Group and fold (n,); no group is in two folds.
    q
        Probability that each member gives to the true class (n, members); 1 where `judged` is false.
    target
        Weight of the other loss (n,), not negative, where the blend stands between two.
    second
        Weight of the loss (n,) that must agree before a member is dropped; None where there is one loss only.
    present
        Which members predicted which units (n, members); None where all predicted all.
    """

    p: FloatArray
    label: npt.NDArray[np.int64]
    weight: FloatArray
    group: npt.NDArray[np.generic]
    fold: npt.NDArray[np.int64]
    q: FloatArray
    target: FloatArray | None = None
    second: FloatArray | None = None
    present: Mask | None = None

    @classmethod
    def of(cls, block: Block, weight: FloatArray, target: FloatArray | None = None, missing: str = "error") -> Panel:
        """Check a block whose members are all to be used, and align it with the policy's row weights.

        Raises
        ------
        LeakError
            A group is in two folds.
        TableError
            A member lacks units and `missing` is ``error``, no member has a unit, or fewer than two groups are
            labelled.
        """
        present = ~np.isnan(block.p).any(axis=2)
        if not present.all() and missing == "error":
            got = offenders(
                [
                    f"{m} ({k}) lacks {n} of {len(block)}"
                    for (m, k), n in zip(block.members, (~present).sum(axis=0), strict=True)
                    if n
                ]
            )
            raise TableError(
                f"members lack units of target {block.target}",
                got=got,
                do="Blend runs that predict the same units, leave the member out, or give --missing renormalise",
            )
        _refuse_straddling(block.target, block.group, block.fold)
        judged = (block.label >= 0) & (weight > 0)
        groups = np.unique(block.group[judged]).size
        if groups < 2:
            do = "A blend is fitted on some groups and judged on others"
            raise TableError(f"target {block.target} has too few labelled groups of any weight", got=groups, do=do)
        p = block.p if block.p.shape[2] == 2 else block.p / block.p.sum(axis=2, keepdims=True)
        if not present.all():
            p = fill(p, present, np.ones(present.shape[1]))
        q = np.ones(p.shape[:2])
        for m in range(p.shape[1]):
            q[judged, m] = true_class_probability(block.label[judged], p[judged, m])
        known = None if present.all() else present
        return cls(p, block.label, weight, block.group, block.fold, q, target, present=known)

    @property
    def judged(self) -> Mask:
        """Rows that count: labelled, of positive weight."""
        return (self.label >= 0) & (self.weight > 0)

    @property
    def one_fold(self) -> bool:
        """Whether all judged rows lie in one fold, so that there is no other to fit on."""
        return np.unique(self.fold[self.judged]).size < 2

    @property
    def members(self) -> int:
        """How many there are."""
        return int(self.p.shape[1])

    @cached_property
    def logs(self) -> FloatArray:
        """Log probabilities (n, members, classes)."""
        return log_probabilities(self.p)

    def dealt(self) -> Panel:
        """Deal the groups into `FOLDS` new folds: see `deal`."""
        return deal([self])[0]


def deal(panels: Sequence[Panel]) -> list[Panel]:
    """Deal groups into `FOLDS` new folds, the same for all panels, judged groups evenly.

    Ids are hashed, so their order is no order.
    """
    judged = np.unique(np.concatenate([panel.group[panel.judged] for panel in panels]))
    every = np.unique(np.concatenate([panel.group for panel in panels]))
    rest = every[~np.isin(every, judged)]
    fold = {str(g): i % FOLDS for part in (judged, rest) for i, g in enumerate(part)}
    return [replace(p, fold=np.array([fold[str(g)] for g in p.group], dtype=np.int64)) for p in panels]


def fill(values: FloatArray, present: Mask, weights: FloatArray) -> FloatArray:
    """Give each absent member the weighted mean of those that are there, so that weights need not be rescaled.

    A blend by `weights` of what comes back is the blend of the members that are there by their weights, renormalised.

    Parameters
    ----------
    values
        Shape (n, members) or (n, members, classes); what stands where a member is absent does not matter.
    present
        Shape (n, members), at least one in each row.
    weights
        Shape (members,), not negative. Where none of the members that are there carries weight, they count alike.
    """
    lacking = ~present.all(axis=1)
    filled = np.array(values, np.float64)
    there, part = present[lacking], filled[lacking]
    share = there * weights
    share = np.where(share.sum(axis=1, keepdims=True) > 0, share, there)
    share /= share.sum(axis=1, keepdims=True)
    if part.ndim == 3:
        part[~there] = 0
        mean = np.einsum("nmc,nm->nc", part, share)
    else:
        part = np.where(there, part, 0)
        mean = np.einsum("nm,nm->n", part, share)
    shape = there if part.ndim == 2 else there[:, :, None]
    filled[lacking] = np.where(shape, part, mean[:, None])
    return filled


def _refuse_straddling(where: str, group: npt.NDArray[np.generic], fold: npt.NDArray[np.int64]) -> None:
    names, code = np.unique(group, return_inverse=True)
    straddling = np.unique(np.stack([code, fold]), axis=1).shape[1] - names.size
    if straddling:
        raise LeakError("groups are in more than one fold", where=where, got=straddling)
