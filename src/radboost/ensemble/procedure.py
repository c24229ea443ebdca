"""The whole way from members to probabilities, as one thing that can be fitted on some folds and judged on others.

Weights, what is settled before them, calibration, the projection to where labels may be, and thresholds: all of it
is fitted anew without each fold, so that the headline pays for every choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.data.task import AnyOf
from radboost.ensemble.calibrate import Calibrator, fit_calibrator
from radboost.ensemble.constraints import project
from radboost.ensemble.crossfit import Candidate, Outcome, called, threshold
from radboost.ensemble.panel import Panel
from radboost.ensemble.plan import Fit, Folds, Plan
from radboost.ensemble.selection import Bench

__all__ = ["Made", "Procedure", "crossfit_all"]

FloatArray: TypeAlias = npt.NDArray[np.float64]
Projection: TypeAlias = Callable[[Sequence[FloatArray]], list[FloatArray]]


@dataclass(frozen=True)
class Made:
    """What was fitted for one target on some folds.

    Attributes
    ----------
    plan, fit, calibrator
        What was settled, the weights, and the map that comes after them.
    raw, p
        Probabilities of all rows (n, classes): as blended, and as they leave.
    threshold
        For two classes: chosen on predictions that the folds made for one another; NaN where there is no positive.
    """

    plan: Plan
    fit: Fit
    calibrator: Calibrator
    raw: FloatArray
    p: FloatArray
    threshold: float


@dataclass(frozen=True)
class Procedure:
    """How all targets are blended.

    Attributes
    ----------
    benches
        Targets that are fitted together; in the order of the targets.
    names, units
        Name of each target, and its units (n,).
    calibrate
        One of `radboost.ensemble.calibrate.METHODS`.
    constraints
        Of the task.
    """

    benches: tuple[Bench, ...]
    names: tuple[str, ...]
    units: tuple[npt.NDArray[np.generic], ...]
    calibrate: str = "none"
    constraints: tuple[AnyOf, ...] = ()

    @property
    def panels(self) -> tuple[Panel, ...]:
        """One a target."""
        return tuple(panel for bench in self.benches for panel in bench.panels)

    @property
    def folds(self) -> Folds:
        """Folds with a judged row."""
        return frozenset(fold for bench in self.benches for fold in bench.folds)

    def project(self, p: Sequence[FloatArray]) -> list[FloatArray]:
        """Move the targets' probabilities to where the constraints hold."""
        if not self.constraints:
            return list(p)
        units = dict(zip(self.names, self.units, strict=True))
        moved = project(self.constraints, dict(zip(self.names, p, strict=True)), units)
        return [moved[name] for name in self.names]

    def fit(self, folds: Folds) -> tuple[Made, ...]:
        """Fit everything on the judged rows of `folds`."""
        plans: list[Plan] = []
        fits: list[Fit] = []
        raw: list[FloatArray] = []
        inner: list[FloatArray] = []
        for bench in self.benches:
            own = folds & bench.folds
            plan = bench.choose(own)
            plans += [plan] * len(bench.panels)
            fits += bench.fit(plan, own)
            raw += bench.predict(plan, own)
            inner += bench.out_of_fold(plan, own)
        rows = [panel.judged & np.isin(panel.fold, sorted(folds)) for panel in self.panels]
        maps = [
            fit_calibrator(self.calibrate, p[own], panel.label[own], panel.weight[own])
            for panel, p, own in zip(self.panels, inner, rows, strict=True)
        ]
        for p, all_rows in zip(inner, raw, strict=True):
            rest = np.isnan(p[:, 0])
            p[rest] = all_rows[rest]
        left = self.project([map_.apply(p) for map_, p in zip(maps, raw, strict=True)])
        held = self.project([map_.apply(p) for map_, p in zip(maps, inner, strict=True)])
        cuts = [
            threshold(panel, p, own) if p.shape[1] == 2 else np.nan
            for panel, p, own in zip(self.panels, held, rows, strict=True)
        ]
        return tuple(Made(*each) for each in zip(plans, fits, maps, raw, left, cuts, strict=True))

    def crossfit(self) -> tuple[list[Outcome], list[FloatArray], list[FloatArray], list[FloatArray]]:
        """Predict and call each fold by what was fitted on the others.

        Returns
        -------
        tuple
            Outcomes, the probabilities as blended, these calibrated but not yet moved to where constraints hold, and
            the weights without each fold (folds, members); each a list over targets.
        """
        shapes = [(len(panel.label), panel.p.shape[2]) for panel in self.panels]
        raw, calibrated = ([np.zeros(shape) for shape in shapes] for _ in range(2))
        weights: list[list[FloatArray]] = [[] for _ in shapes]

        def predict(fold: int) -> tuple[list[FloatArray], list[float]]:
            made = self.fit(self.folds - {fold})
            for k, (panel, each) in enumerate(zip(self.panels, made, strict=True)):
                own = panel.fold == fold
                raw[k][own] = each.raw[own]
                calibrated[k][own] = each.calibrator.apply(each.raw[own])
                weights[k].append(each.fit.weights)
            return [each.p for each in made], [each.threshold for each in made]

        outcomes = _assembled(self.panels, predict)
        return outcomes, raw, calibrated, [np.array(own) for own in weights]


def crossfit_all(panels: Sequence[Panel], candidates: Sequence[Candidate], move: Projection) -> list[Outcome]:
    """Predict and call each fold of all targets by candidates, moved to where the constraints hold.

    Parameters
    ----------
    panels, candidates
        One a target.
    move
        As `Procedure.project`.
    """

    def predict(fold: int) -> tuple[list[FloatArray], list[float]]:
        others = [panel.judged & (panel.fold != fold) for panel in panels]
        p = move([candidate(rows) for candidate, rows in zip(candidates, others, strict=True)])
        cuts = [
            threshold(panel, each, rows) if each.shape[1] == 2 else np.nan
            for panel, each, rows in zip(panels, p, others, strict=True)
        ]
        return p, cuts

    return _assembled(panels, predict)


def _assembled(
    panels: Sequence[Panel], predict: Callable[[int], tuple[list[FloatArray], list[float]]]
) -> list[Outcome]:
    p = [np.zeros((len(panel.label), panel.p.shape[2])) for panel in panels]
    calls = [np.zeros(len(panel.label)) for panel in panels]
    for fold in sorted({int(f) for panel in panels for f in np.unique(panel.fold)}):
        everywhere, cuts = predict(fold)
        for k, panel in enumerate(panels):
            own = panel.fold == fold
            p[k][own] = everywhere[k][own]
            if p[k].shape[1] == 2:
                calls[k][own] = called(everywhere[k][own], cuts[k])
    return [Outcome(each, call if each.shape[1] == 2 else None) for each, call in zip(p, calls, strict=True)]
