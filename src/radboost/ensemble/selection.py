"""What a blend settles by cross-fitting within the folds it is fitted on: the space, sharing, and who takes part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.ensemble.panel import Panel
from radboost.ensemble.plan import Fit, Folds, Plan, fit_plan, predict_plan
from radboost.metrics import log_loss, true_class_probability

__all__ = ["SHARES", "Bench"]

FloatArray: TypeAlias = npt.NDArray[np.float64]
Losses: TypeAlias = tuple[float, float]

SHARES = (1.0, 0.3, 0.1, 0.03, 0.0)
"""Weights of the other targets' rows that shrinkage may choose from; both ends are among them."""

TIE = 1e-8
"""Losses in nats that differ by no more are equal."""


@dataclass
class Bench:
    """Panels that are fitted together, and what was fitted on them so far.

    Attributes
    ----------
    panels
        One a target, with the same members and folds.
    spaces, shares
        What may be chosen, the first where losses are equal.
    keep_all
        Whether members are kept that do not help.
    """

    panels: tuple[Panel, ...]
    spaces: Sequence[str]
    shares: Sequence[float]
    keep_all: bool = False
    _fits: dict[tuple[Plan, Folds], tuple[Fit, ...]] = field(default_factory=dict, repr=False)
    _plans: dict[Folds, Plan] = field(default_factory=dict, repr=False)

    @property
    def folds(self) -> Folds:
        """Folds with a judged row."""
        return frozenset(int(f) for panel in self.panels for f in np.unique(panel.fold[panel.judged]))

    def fit(self, plan: Plan, folds: Folds) -> tuple[Fit, ...]:
        """Fit a plan on folds, once."""
        key = plan, folds
        if key not in self._fits:
            self._fits[key] = fit_plan(self.panels, plan, folds)
        return self._fits[key]

    def predict(self, plan: Plan, folds: Folds) -> tuple[FloatArray, ...]:
        """Predict all rows by a plan fitted on folds; one array (n, classes) a target."""
        fits = self.fit(plan, folds)
        return tuple(predict_plan(panel, plan, fit) for panel, fit in zip(self.panels, fits, strict=True))

    def out_of_fold(self, plan: Plan, folds: Folds) -> tuple[FloatArray, ...]:
        """Predict each of the folds by a plan fitted on the others of them; rows of no such fold are NaN.

        A single fold has no others, and is predicted by what was fitted on it.
        """
        found = tuple(np.full((len(panel.label), panel.p.shape[2]), np.nan) for panel in self.panels)
        for fold in folds:
            fits = self.fit(plan, folds - {fold} if len(folds) > 1 else folds)
            for panel, fit, p in zip(self.panels, fits, found, strict=True):
                own = panel.fold == fold
                p[own] = predict_plan(panel, plan, fit, own)
        return found

    def choose(self, folds: Folds) -> Plan:
        """Settle the plan by the loss of each choice, cross-fitted over `folds`: space, then sharing, then members."""
        if folds not in self._plans:
            plan = Plan(self.spaces[0], self.shares[0], tuple(range(self.panels[0].members)))
            if len(folds) > 1:
                plan = self._best([replace(plan, space=space) for space in self.spaces], folds)
                plan = self._best([replace(plan, share=share) for share in self.shares], folds)
                plan = plan if self.keep_all else self._without_idlers(plan, folds)
            self._plans[folds] = plan
        return self._plans[folds]

    def losses(self, plan: Plan, folds: Folds) -> Losses:
        """Log losses cross-fitted over `folds`, of all targets' rows: the policy's, and the one that must agree."""
        sums = np.zeros((2, 2))
        for panel, p in zip(self.panels, self.out_of_fold(plan, folds), strict=True):
            rows = panel.judged & np.isin(panel.fold, sorted(folds))
            for k, weight in enumerate((panel.weight, panel.weight if panel.second is None else panel.second)):
                total = float(weight[rows].sum())
                if total > 0:
                    sums[k] += total * log_loss(panel.label[rows], p[rows], weight[rows]), total
        first, second = (sums[:, 0] / np.maximum(sums[:, 1], np.finfo(float).tiny)).tolist()
        # A blend between two losses is for both alike.
        hedged = any(panel.target is not None for panel in self.panels)
        return ((first + second) / 2 if hedged else first), second

    def _best(self, plans: Sequence[Plan], folds: Folds) -> Plan:
        """Take the plan of least loss, but the first one where what it gains over that may be luck.

        Of several noisy numbers the lowest looks better than it is, so a gain must be larger than its standard error.
        """
        if len(plans) == 1:
            return plans[0]
        losses = [self.losses(plan, folds)[0] for plan in plans]
        best = int(np.argmin(losses))
        return plans[best if losses[0] - losses[best] > self._error(plans[0], plans[best], folds) else 0]

    def _error(self, one: Plan, two: Plan, folds: Folds) -> float:
        """Standard error, clustered by group, of the difference between two plans' losses."""
        totals: list[tuple[npt.NDArray[np.generic], FloatArray, FloatArray]] = []
        pairs = zip(self.panels, self.out_of_fold(one, folds), self.out_of_fold(two, folds), strict=True)
        for panel, first, second in pairs:
            rows = panel.judged & np.isin(panel.fold, sorted(folds))
            weight, label = panel.weight[rows], panel.label[rows]
            if panel.target is not None and panel.target[rows].any():
                # A blend between two losses is for both alike.
                weight = weight + panel.target[rows] * (weight.sum() / panel.target[rows].sum())
            gain = np.log(true_class_probability(label, second[rows]) / true_class_probability(label, first[rows]))
            totals.append((panel.group[rows], weight, gain))
        group, weight, difference = (np.concatenate(part) for part in zip(*totals, strict=True))
        weight = weight / weight.sum()
        _, owner = np.unique(group, return_inverse=True)
        return float(np.sqrt((np.bincount(owner, weight * (difference - weight @ difference)) ** 2).sum()))

    def _without_idlers(self, plan: Plan, folds: Folds) -> Plan:
        """Drop members one by one as long as both losses agree that it helps, and by more than luck.

        Members that change nothing go first, so that a copy of a member, dropped, leaves all as it would have been
        without it. Of many trials the best looks better than it is, so the gain must be larger than its standard error;
        with few positives nearly all members stay, and the solver weighs them.
        """
        carrying = self._carrying(plan, folds)
        plan = replace(plan, members=tuple(m for m in plan.members if m in carrying) or plan.members[:1])
        now = self.losses(plan, folds)
        while len(plan.members) > 1:
            trials = [replace(plan, members=tuple(m for m in plan.members if m != k)) for k in plan.members]
            found = [(self.losses(trial, folds), trial) for trial in trials]
            found = [each for each in found if all(a <= b + TIE for a, b in zip(each[0], now, strict=True))]
            if not found:
                break
            same = [each for each in found if all(abs(a - b) <= TIE for a, b in zip(each[0], now, strict=True))]
            losses, trial = same[-1] if same else min(found, key=lambda each: each[0][0])
            if not same and now[0] - losses[0] <= self._error(plan, trial, folds):
                break
            now, plan = losses, trial
        return plan

    def _carrying(self, plan: Plan, folds: Folds) -> set[int]:
        """Members with weight in any fit: without the others, every number stays as it is."""
        used: set[int] = set()
        for part in (folds, *(folds - {fold} for fold in folds)):
            for fit in self.fit(plan, part):
                used |= set(np.flatnonzero(fit.weights).tolist())
        return used
