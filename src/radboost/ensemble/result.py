"""A blend as it is kept: weights, what they rest on, and scores."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from radboost.data.predictions import Predictions
from radboost.data.task import AnyOf
from radboost.ensemble.calibrate import METHODS, Calibrator
from radboost.ensemble.panel import MISSING
from radboost.ensemble.policy import Policy
from radboost.ensemble.score import Regret, Score, jsonable
from radboost.errors import UserError

__all__ = ["SHARING", "SPACES", "BlendConfig", "BlendResult", "Calibrated", "Sweep", "TargetBlend"]

SPACES = ("auto", "prob", "logit")
"""Where members are mixed: chosen by cross-fitting, the mean of probabilities, or the sum of logits."""

SHARING = ("shared", "own", "shrunk")
"""One weight vector for all targets, one a target, or each drawn towards the shared as far as cross-fitting says."""


@dataclass(frozen=True)
class BlendConfig:
    """How a blend is made.

    Attributes
    ----------
    space
        One of `SPACES`. ``auto`` chooses by cross-fitting, within the folds that each part of the score was fitted
        on. A blend that stands between two losses is made in probability space.
    per_target
        One of `SHARING`.
    keep_all
        Whether members are kept that help neither the plain nor the target-weighted loss.
    missing
        What is done about members that lack units: ``error``, or ``renormalise`` over those that are there.
    calibrate
        One of `radboost.ensemble.calibrate.METHODS`.
    constraints
        The task's, between targets; blended probabilities are moved to where they hold.
    any_part
        Where the task's metric is a mean over parts: the one that is asked for its worst class, or empty; None where
        it is none.
    sweep
        Whether the policies are compared in worlds other than the data, where there are target weights.
    """

    space: str = "auto"
    per_target: str = "shared"
    keep_all: bool = False
    missing: str = "error"
    calibrate: str = "none"
    constraints: tuple[AnyOf, ...] = ()
    sweep: bool = True
    any_part: str | None = None

    def __post_init__(self) -> None:
        options = (
            ("--space", self.space, SPACES),
            ("--per-target", self.per_target, SHARING),
            ("--missing", self.missing, MISSING),
            ("--calibrate", self.calibrate, METHODS),
        )
        for where, got, known in options:
            if got not in known:
                raise UserError("knows no such choice", where=where, got=got, do=f"Give one of {', '.join(known)}")


@dataclass(frozen=True)
class Calibrated:
    """What calibration did, cross-fitted.

    Attributes
    ----------
    calibrator
        The map fitted on all folds' out-of-fold blends.
    ece, brier
        Expected calibration error and Brier score of the cross-fitted blend: as blended, and calibrated.
    """

    calibrator: Calibrator
    ece: tuple[float, float]
    brier: tuple[float, float]

    def to_dict(self) -> dict[str, object]:
        """As JSON knows it."""
        return {**self.calibrator.to_dict(), "ece": jsonable(self.ece), "brier": jsonable(self.brier)}


@dataclass(frozen=True)
class TargetBlend:
    """The blend of one target.

    Attributes
    ----------
    target, classes
        Name, and class numbers in the order of the predictions' last axis.
    weights
        Weight by member name (:func:`radboost.data.predictions.member_name`), not negative, summing to one in
        probability space.
    weight_intervals
        95 % interval of each weight, see `radboost.ensemble.jackknife.jackknife`.
    space
        ``prob``: the weighted mean of probabilities; ``logit``: `radboost.ensemble.logit`.
    intercepts
        In logit space one a class, else empty.
    loss, gap, iterations
        In-sample log loss of `weights` in nats, before calibration and constraints; the certified bound on how far the
        objective is from the least possible, and the solver's steps.
    share
        Weight that the rows of the other targets had in this one's fit: 0 for weights of its own, 1 for shared ones.
    dropped
        Members that help neither loss by cross-fitting, and were left out before the weights were solved for.
    calibrated
        The map that comes after the weights, and what it did.
    threshold
        For two classes: probability from which on a unit is called positive, chosen on blends that did not see the
        rows; None when there is no positive.
    scores
        The cross-fitted blend first, which is the headline; then the blend in-sample, the uniform mean, the best
        member (chosen on the other folds), and the prior.
    units, groups
        Rows and groups that the scores rest on.
    notes
        What the reader should know.
    regret
        For a blend that stands between two losses, how it, the plain and the target optimum of the same members do
        under both, cross-fitted; else None.
    """

    target: str
    classes: tuple[int, ...]
    weights: dict[str, float]
    weight_intervals: dict[str, tuple[float, float]]
    space: str
    intercepts: tuple[float, ...]
    loss: float
    gap: float
    iterations: int
    share: float
    dropped: tuple[str, ...]
    calibrated: Calibrated
    threshold: float | None
    scores: tuple[Score, ...]
    units: int
    groups: int
    notes: tuple[str, ...]
    regret: Regret | None = None

    def to_dict(self) -> dict[str, object]:
        """Everything as JSON knows it; what is not defined is None."""
        content = {name: jsonable(value) for name, value in vars(self).items() if name != "calibrated"}
        return {**content, "calibration": self.calibrated.to_dict()}


@dataclass(frozen=True)
class Sweep:
    """How the policies do in worlds other than the data.

    Attributes
    ----------
    target
        Name of the target.
    axis
        ``strength``: power that the target weights are taken to, 0 for the data as they are, 1 for the target set as
        simulated. ``prevalence``: rate of the last class, under the task's weights.
    at
        Worlds along the axis, rising.
    losses
        Cross-fitted log loss in each world, by policy.
    intervals
        Of each of these, low and high at 95 %, patients drawn.
    above
        Low and high of what a policy loses to the best one of each world, paired by patient.
    units, groups
        Units of positive weight, and their groups.
    """

    target: str
    axis: str
    at: tuple[float, ...]
    losses: dict[str, tuple[float, ...]]
    intervals: dict[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    above: dict[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    units: int = 0
    groups: int = 0

    def best(self, k: int) -> str:
        """Policy of least loss in world k; of equals, the first."""
        return min(self.losses, key=lambda policy: self.losses[policy][k])

    def crossings(self) -> tuple[tuple[float, str, str], ...]:
        """Where one policy takes over as the best: place (by straight lines), the one before, the one after."""
        found = []
        here = self.best(0)
        for k, x in enumerate(self.at[:-1]):
            place = x
            # Between two worlds a third policy may be the best for a while.
            while meets := [m for other in self.losses if (m := self._meeting(k, here, other)) and m[0] >= place]:
                place, there = min(meets)
                found.append((place, here, there))
                here = there
        return tuple(found)

    def _meeting(self, k: int, first: str, second: str) -> tuple[float, str] | None:
        """Where the second policy's line falls below the first's between worlds k and k + 1, and its name."""
        left, right = (self.losses[first][i] - self.losses[second][i] for i in (k, k + 1))
        if not left <= 0 < right:
            return None
        return self.at[k] + (self.at[k + 1] - self.at[k]) * left / (left - right), second

    def to_dict(self) -> dict[str, object]:
        """As JSON knows it."""
        crossings = [{"at": x, "from": before, "to": after} for x, before, after in self.crossings()]
        return {
            "target": self.target,
            "axis": self.axis,
            "at": list(self.at),
            "losses": self.losses,
            "intervals": jsonable(self.intervals),
            "above": jsonable(self.above),
            "units": self.units,
            "groups": self.groups,
            "cross": crossings,
        }


@dataclass(frozen=True)
class BlendResult:
    """A blend of all targets.

    Attributes
    ----------
    policy, config
        The policy it was made under, and how.
    targets
        One blend a target, in the predictions' order.
    predictions
        The cross-fitted blend of every unit, as member ``blend/<policy>``; kind weighted if fitted under target
        weights, else regular.
    notes
        What the reader should know, of the blend as a whole.
    sweeps
        How this and the other policies do in other worlds, where that was asked for.
    joint
        Of several targets: scores on the rows of all of them together, the blend first; or of one target's parts.
    """

    policy: Policy
    config: BlendConfig
    targets: tuple[TargetBlend, ...]
    predictions: Predictions
    notes: tuple[str, ...]
    sweeps: tuple[Sweep, ...] = ()
    joint: tuple[Score, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Everything but the predictions, as JSON knows it."""
        targets = [target.to_dict() for target in self.targets]
        config = {name: value for name, value in vars(self.config).items() if name not in ("constraints", "sweep")}
        constraints = [asdict(each) for each in self.config.constraints]
        content = {"policy": self.policy.value, "config": config, "constraints": constraints}
        return {**content, "targets": targets, "joint": jsonable(self.joint), "notes": list(self.notes)}
