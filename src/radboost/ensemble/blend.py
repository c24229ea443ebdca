"""Blend out-of-fold predictions: certified weights, and the score that a stranger would measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.predictions import COLUMNS, PART, Block, Predictions, member_name
from radboost.ensemble.crossfit import Outcome, best_member, called, least_loss, prior, threshold, uniform
from radboost.ensemble.jackknife import jackknife
from radboost.ensemble.panel import Panel, deal
from radboost.ensemble.policy import Choice, Policy, choose
from radboost.ensemble.procedure import Made, Procedure, crossfit_all
from radboost.ensemble.result import BlendConfig, BlendResult, Calibrated, TargetBlend
from radboost.ensemble.score import Regret, Score, blend_lead, joint_scores, parts_scores, regret, score
from radboost.ensemble.selection import SHARES, Bench
from radboost.errors import MismatchError, TableError, UserError, offenders
from radboost.metrics import Bootstrap, brier, ece, log_loss

__all__ = ["crossfit_blend", "fit_blend"]

FloatArray: TypeAlias = npt.NDArray[np.float64]

DEALT = "The predictions are of one fold, so the blend was cross-fitted over groups dealt anew."


def fit_blend(
    predictions: Predictions, policy: Policy, how: Bootstrap | None = None, config: BlendConfig | None = None
) -> BlendResult:
    """Fit the blend of a policy and score it honestly.

    Parameters
    ----------
    predictions
        Out-of-fold predictions of one run, or of several joined (:meth:`Predictions.join`). External predictions and
        rows in no fold are left aside.
    policy
        Which members, and which weights.
    how
        How the intervals are drawn; the defaults of :class:`Bootstrap` when absent.
    config
        How it is made; the defaults of :class:`BlendConfig` when absent.

    Returns
    -------
    Weights fitted on all rows, with scores from weights fitted on the other folds.

    Raises
    ------
    UserError
        A space or a calibration that does not go with the policy or the classes.
    MismatchError
        Predictions from different folds, or no member that the policy may blend.
    TableError
        No usable row, fewer than two labelled groups, or members that lack units.
    LeakError
        A group in two folds.
    SolverError
        An optimum that could not be certified.
    """
    setup = _Setup.of(predictions, policy, config or BlendConfig())
    blends, raw, calibrated, left_out = setup.procedure.crossfit()
    made = setup.procedure.fit(setup.procedure.folds)
    scores, joint = _scores(setup, blends, made, how or Bootstrap())
    regrets = _regrets(setup, blends)
    targets = []
    for k, panel in enumerate(setup.procedure.panels):
        rows, fit = panel.judged, made[k].fit
        names = setup.members(k)
        notes = list(setup.notes)
        if np.unique(panel.label[rows]).size < 2:
            notes.append("Only one class is labelled: no score tells a good member from a bad one.")
        targets.append(
            TargetBlend(
                target=setup.blocks[k].target,
                classes=setup.blocks[k].classes,
                weights=dict(zip(names, fit.weights.tolist(), strict=True)),
                weight_intervals=dict(zip(names, _intervals(made[k], left_out[k]), strict=True)),
                space="logit" if made[k].plan.space == "logit" else "prob",
                intercepts=fit.intercepts,
                loss=log_loss(panel.label[rows], made[k].raw[rows], panel.weight[rows]),
                gap=fit.gap,
                iterations=fit.iterations,
                share=0.0 if setup.config.per_target == "own" else made[k].plan.share,
                dropped=tuple(name for m, name in enumerate(names) if m not in made[k].plan.members),
                calibrated=_calibrated(panel, made[k], raw[k], calibrated[k]),
                threshold=None if np.isnan(made[k].threshold) else made[k].threshold,
                scores=tuple(scores[k]),
                units=int(rows.sum()),
                groups=int(np.unique(panel.group[rows]).size),
                notes=tuple(notes),
                regret=regrets[k],
            )
        )
    return BlendResult(policy, setup.config, tuple(targets), setup.predictions(blends), setup.choice_notes, joint=joint)


def crossfit_blend(predictions: Predictions, policy: Policy, config: BlendConfig | None = None) -> Predictions:
    """Give the cross-fitted predictions of `fit_blend` alone, without scores."""
    setup = _Setup.of(predictions, policy, config or BlendConfig())
    return setup.predictions(setup.procedure.crossfit()[0])


@dataclass(frozen=True)
class _Setup:
    """What there is to blend, in the order of the targets."""

    policy: Policy
    config: BlendConfig
    blocks: tuple[Block, ...]
    choices: tuple[Choice, ...]
    procedure: Procedure
    notes: tuple[str, ...]
    fold_hash: str

    @classmethod
    def of(cls, predictions: Predictions, policy: Policy, config: BlendConfig) -> _Setup:
        if policy is Policy.ROBUST and config.space == "logit":
            raise UserError("robust blends in probability space", where="--space", got="logit", do="Give auto or prob")
        used = _usable(predictions.table)
        weighted = bool((used["target_weight"] != 1).any())
        blocks = list(Predictions(used).blocks())
        choices = tuple(choose(policy, block.members, weighted) for block in blocks)
        members = [[block.members[i] for i in choice.columns] for block, choice in zip(blocks, choices, strict=True)]
        if config.per_target != "own":
            every = list(dict.fromkeys(member for own in members for member in own))
            members = [every] * len(blocks)
        cut = tuple(_cut(block, own, config.missing) for block, own in zip(blocks, members, strict=True))
        panels = [
            _panel(block, choice, weighted=weighted, missing=config.missing)
            for block, choice in zip(cut, choices, strict=True)
        ]
        notes: tuple[str, ...] = ()
        if any(panel.one_fold for panel in panels):
            panels, notes = deal(panels), (DEALT,)
        hedged = choices[0].hedged
        spaces = ("hedge",) if hedged else ("prob", "logit") if config.space == "auto" else (config.space,)
        procedure = Procedure(
            _benches(panels, spaces, config),
            tuple(block.target for block in cut),
            tuple(block.unit for block in cut),
            config.calibrate,
            config.constraints,
        )
        return cls(policy, config, cut, choices, procedure, notes, str(used["fold_hash"].iat[0]))

    def members(self, k: int) -> list[str]:
        return [member_name(*member) for member in self.blocks[k].members]

    @property
    def choice_notes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(choice.note for choice in self.choices if choice.note))

    def predictions(self, blends: Sequence[Outcome]) -> Predictions:
        """Cross-fitted blends as a table."""
        tables = []
        for block, choice, blend in zip(self.blocks, self.choices, blends, strict=True):
            kind = "weighted" if choice.weigh_target or choice.hedged else "regular"
            name = f"blend/{self.policy.value}"
            tables += [rows.assign(member=name, kind=kind) for rows in _rows(block, blend.p)]
        long = pd.concat(tables, ignore_index=True).assign(fold_hash=self.fold_hash)
        columns = [*COLUMNS, *([PART] if self.config.any_part is not None else [])]
        return Predictions(long[columns].astype(COLUMNS))


def _usable(table: pd.DataFrame) -> pd.DataFrame:
    used = table[(table["kind"] != "external") & (table["fold"] >= 0)]
    if used.empty:
        raise TableError("no out-of-fold predictions to blend", got=f"{len(table)} rows", do="Blend runs of fit-boost")
    hashes = used["fold_hash"].unique()
    if len(hashes) > 1:
        do = "Blend runs of one cohort with one fold assignment only"
        raise MismatchError("the predictions are from different folds", got=offenders([h[:12] for h in hashes]), do=do)
    return used


def _cut(block: Block, members: Sequence[tuple[str, str]], missing: str) -> Block:
    """Keep these members in this order, absent ones as NaN; and, where members may be missing, units that any has."""
    place = {member: m for m, member in enumerate(block.members)}
    p = np.full((len(block), len(members), block.p.shape[2]), np.nan)
    for m, member in enumerate(members):
        if member in place:
            p[:, m] = block.p[:, place[member]]
    cut = replace(block, p=p, members=tuple(members))
    return cut.take(~np.isnan(p).any(axis=2).all(axis=1)) if missing == "renormalise" else cut


def _panel(block: Block, choice: Choice, *, weighted: bool, missing: str) -> Panel:
    plain, both = block.task_weight, block.task_weight * block.target_weight
    panel = Panel.of(block, both if choice.weigh_target else plain, both if choice.hedged else None, missing)
    if not weighted:
        return panel
    return replace(panel, second=plain if choice.weigh_target else both)


def _benches(panels: Sequence[Panel], spaces: Sequence[str], config: BlendConfig) -> tuple[Bench, ...]:
    if config.per_target == "own":
        return tuple(Bench((panel,), spaces, (1.0,), config.keep_all) for panel in panels)
    shares = SHARES if config.per_target == "shrunk" and len(panels) > 1 else (1.0,)
    return (Bench(tuple(panels), spaces, shares, config.keep_all),)


def _intervals(made: Made, left_out: FloatArray) -> list[tuple[float, float]]:
    """Give the interval of each weight, where weights may lie."""
    low, high = jackknife(made.fit.weights, left_out)
    most = np.inf if made.plan.space == "logit" else 1.0
    return list(zip(np.clip(low, 0, most).tolist(), np.clip(high, 0, most).tolist(), strict=True))


def _calibrated(panel: Panel, made: Made, raw: FloatArray, calibrated: FloatArray) -> Calibrated:
    rows = panel.judged
    shown = [p[rows, 1] if p.shape[1] == 2 else p[rows] for p in (raw, calibrated)]
    label, weight = panel.label[rows], panel.weight[rows]
    errors, scores = ([metric(label, p, weight) for p in shown] for metric in (ece, brier))
    return Calibrated(made.calibrator, (errors[0], errors[1]), (scores[0], scores[1]))


def _scores(
    setup: _Setup, blends: Sequence[Outcome], made: Sequence[Made], how: Bootstrap
) -> tuple[list[list[Score]], tuple[Score, ...]]:
    """Score the blend and its rivals: a table a target, and of several targets one of all together."""
    panels, move = setup.procedure.panels, setup.procedure.project
    rivals = {"uniform mean": uniform, "best member": best_member, "prior": prior}
    outcomes = {name: crossfit_all(panels, [rival(p) for p in panels], move) for name, rival in rivals.items()}
    tables = []
    for k, panel in enumerate(panels):
        table = [
            score("blend", panel, blends[k], how),
            score("blend, in-sample", panel, _in_sample(panel, made[k]), how),
        ]
        best = setup.members(k)[least_loss(panel, panel.judged)]
        for name, found in outcomes.items():
            row = score(name, panel, found[k], how)
            lead = blend_lead(panel, blends[k], found[k], how)
            table.append(replace(row, lead=lead, detail=best if name == "best member" else ""))
        tables.append(table)
    rows = {"blend": blends, **outcomes}
    part = setup.blocks[0].part
    if setup.config.any_part is not None and part is not None:
        own = {name: found[0] for name, found in rows.items()}
        return tables, tuple(parts_scores(panels[0], part, setup.config.any_part, own, how))
    return tables, tuple(joint_scores(panels, rows if len(panels) > 1 else {}, how))


def _in_sample(panel: Panel, made: Made) -> Outcome:
    if made.p.shape[1] != 2:
        return Outcome(made.p, None)
    cut = threshold(panel, made.p, panel.judged)
    return Outcome(made.p, called(made.p, cut), cut)


def _regrets(setup: _Setup, blends: Sequence[Outcome]) -> list[Regret | None]:
    """For blends that stand between two losses: what those do that are fitted to one of them."""
    panels = setup.procedure.panels
    if any(panel.target is None for panel in panels):
        return [None] * len(panels)
    aims = []
    for aim in ("weight", "target"):
        aimed = [replace(panel, weight=getattr(panel, aim), target=None, second=None) for panel in panels]
        benches = _benches(aimed, ("prob",), replace(setup.config, keep_all=True))
        aims.append(replace(setup.procedure, benches=benches).crossfit()[0])
    found: list[Regret | None] = []
    for k, panel in enumerate(panels):
        target = panel.weight if panel.target is None else panel.target
        found.append(regret(panel, target, (aims[0][k], aims[1][k], blends[k])))
    return found


def _rows(block: Block, p: FloatArray) -> Iterator[pd.DataFrame]:
    labelled = block.label >= 0
    # A binary target has one row a unit, for class 1.
    first = 1 if block.classes == (0, 1) else 0
    for position, number in list(enumerate(block.classes))[first:]:
        yield pd.DataFrame(
            {
                "unit": block.unit,
                "target": block.target,
                "class": number,
                "y": np.where(labelled, (block.label == position).astype(np.float64), np.nan),
                "p": p[:, position],
                "task_weight": block.task_weight,
                "target_weight": block.target_weight,
                "group": block.group,
                "fold": block.fold,
                PART: "" if block.part is None else block.part,
            }
        )
