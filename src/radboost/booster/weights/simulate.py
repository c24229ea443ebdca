"""Make the weights under which a cohort looks like another one, and say what they cost and what they bring."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.booster.rows import FloatArray, IntArray
from radboost.booster.weights.balance import balance
from radboost.booster.weights.covariates import Column, Sample, choose_columns, unit_table
from radboost.booster.weights.measures import ColumnBalance, column_balance, ess_share, flattening
from radboost.booster.weights.odds import odds
from radboost.booster.weights.prevalence import match_rate, match_strata, target_rates, weighted_rate
from radboost.booster.weights.strata import cells, strata
from radboost.booster.weights.support import common_support
from radboost.data.cohort import TRAIN, Cohort
from radboost.errors import UserError

__all__ = ["LEAST_SHARE", "METHODS", "WeightConfig", "Weighting", "simulate"]

METHODS = ("odds", "strata", "balance")
LEAST_SHARE = 0.2
"""Weights of a smaller effective sample share are flattened or refused: a few units would decide everything."""


@dataclass(frozen=True)
class WeightConfig:
    """How weights are made.

    Attributes
    ----------
    method
        ``odds``: cross-fitted logistic odds of degree 2. ``strata``: the target's share of each crossed category over
        the source's. ``balance``: entropy balancing of moments.
    on
        Metadata columns and header features, each a category with the ending ``:category``; none for the task's
        metadata, of which ``strata`` takes the categorical ones.
    prevalence
        How frequent the finding is in the target: a rate, or its probability by unit (readable or hashed). None leaves
        it as it comes.
    finding
        Target that this is about; None for the task's first. With several classes, all but the first one count.
    flatten
        Whether weights below `LEAST_SHARE` are raised to a power under 1 that reaches it; otherwise they are refused.
    seed
        Deals groups into the folds of ``odds``.
    """

    method: str = "odds"
    on: tuple[str, ...] = ()
    prevalence: float | Mapping[str, float] | None = None
    finding: str | None = None
    flatten: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            do = f"Known: {', '.join(METHODS)}"
            raise UserError("there is no such method", where="--method", got=self.method, do=do)
        if self.finding is not None and self.prevalence is None:
            do = "Give --match-prevalence too"
            raise UserError("names a target and no prevalence", where="--finding", got=self.finding, do=do)
        if self.seed < 0:
            raise UserError("must be 0 or more", where="--seed", got=self.seed)


@dataclass(frozen=True)
class Weighting:
    """Weights of a cohort's training units, and how good they are.

    Attributes
    ----------
    unit
        Shape (n,): hashed names of the units of the training split, sorted as in the cohort.
    weight
        Shape (n,), not negative; mean 1 over those that are not 0.
    method, columns
        How they were made, and on what.
    share, raw_share
        Kish's effective sample size as a share of all n units, and what it was before flattening.
    power
        Power that weights were flattened by; 1 where they were not.
    removed
        Units of weight 0 by the column whose category the target lacks; ``a combination of columns`` for strata.
    unmatched
        Share of the target's units whose categories the source lacks: no weights can stand for them.
    target_units
        Units of the target.
    balance
        Distance to the whole target before and after, column by column.
    prevalence
        Share of the finding among labelled units, before and after, and the one asked for; NaN where not known.
    gap
        Certificate of ``balance``: largest difference of a moment before flattening; NaN for the other methods.
    notes
        What else there is to know, one line each.
    """

    unit: npt.NDArray[np.str_]
    weight: FloatArray
    method: str
    columns: tuple[str, ...]
    share: float
    raw_share: float
    power: float
    removed: Mapping[str, int]
    unmatched: float
    target_units: int
    balance: tuple[ColumnBalance, ...]
    prevalence: tuple[float, float, float]
    gap: float
    notes: tuple[str, ...]

    @property
    def largest(self) -> float:
        """Largest weight."""
        return float(self.weight.max())


@dataclass(frozen=True)
class _Made:
    """Weights of the rows with common support, before flattening."""

    weight: FloatArray
    gap: float = math.nan
    notes: tuple[str, ...] = ()


def simulate(cohort: Cohort, target: Cohort, config: WeightConfig | None = None) -> Weighting:
    """Weigh a cohort's training units so that their metadata is distributed as the target's.

    Labels of the target are not looked at, and no model of the finding is involved. Both cohorts may be shared ones. A
    patient is recognised in both where they have one key, or readable names.

    Parameters
    ----------
    cohort
        Whose units of split ``train`` are weighed.
    target
        What they are to look like: all its units, labelled or not.
    config
        The method and what it looks at; the default is ``odds`` on the task's metadata.

    Returns
    -------
    Weighting
        The same for the same cohorts and settings.

    Raises
    ------
    UserError
        A column is unknown, forbidden, or not in both cohorts; the cohorts have no common categories; there are too few
        patients; the prevalence cannot be matched; or the effective sample share is below `LEAST_SHARE` and flattening
        is off or does not help.
    SolverError
        ``balance`` found no weights that reach the moments.
    """
    config = config or WeightConfig()
    columns, notes = _columns(cohort, config)
    source, wanted = _samples(cohort, target, columns, config)
    support = common_support(source.table, wanted.table, columns)
    mine, theirs = source.take(support.source), wanted.take(support.target)
    made = _weigh(mine, theirs, columns, config)
    raw = np.zeros(len(source))
    raw[support.source] = made.weight
    removed = dict(support.removed)
    empty = int((made.weight == 0).sum())
    if empty:
        removed["a combination of columns"] = empty
    raw_share = ess_share(raw, source.weight)
    power = _power(raw, source.weight, config)
    weight = np.where(raw > 0, np.power(raw, power, where=raw > 0, out=np.zeros_like(raw)), 0.0)
    weight /= np.average(weight[weight > 0], weights=source.weight[weight > 0])
    units = cohort.units
    return Weighting(
        unit=units["unit_id"].to_numpy(str)[(units["split"] == TRAIN).to_numpy()],
        weight=weight,
        method=config.method,
        columns=tuple(c.name for c in columns),
        share=ess_share(weight, source.weight),
        raw_share=raw_share,
        power=power,
        removed=removed,
        unmatched=float(1 - support.target.mean()),
        target_units=len(wanted),
        balance=column_balance(source, wanted, weight, columns),
        prevalence=(
            weighted_rate(source, np.ones(len(source))),
            weighted_rate(source, weight),
            float(np.average(theirs.y, weights=theirs.weight)),
        ),
        gap=made.gap,
        notes=(*notes, *made.notes),
    )


def _columns(cohort: Cohort, config: WeightConfig) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    columns = choose_columns(cohort, config.on)
    if config.method != "strata" or config.on:
        return columns, ()
    kept = tuple(c for c in columns if c.categorical)
    if not kept:
        do = "Make categories of a column's values: --on NAME:category"
        raise UserError("the task has no categorical metadata to make strata of", where="--method", do=do)
    left = [c.name for c in columns if not c.categorical]
    return kept, (f"strata leave out numeric columns: {', '.join(left)}",) if left else ()


def _samples(
    cohort: Cohort, target: Cohort, columns: tuple[Column, ...], config: WeightConfig
) -> tuple[Sample, Sample]:
    train = (cohort.units["split"] == TRAIN).to_numpy()
    if not train.any() or not len(target.units):
        raise UserError("one of the cohorts has no units", where=target.folder if train.any() else cohort.folder)
    group, other = _groups(cohort, target)
    y = np.full(len(train), math.nan) if config.prevalence is None else _finding(cohort, config.finding)
    p = target_rates(target, config.prevalence)
    source = Sample(unit_table(cohort, columns), group, np.ones(len(train)), y).take(train)
    return source, Sample(unit_table(target, columns), other, np.ones(len(p)), p)


def _groups(cohort: Cohort, target: Cohort) -> tuple[IntArray, IntArray]:
    """Number the groups in the order of the units, which no key changes; one person has one number in both cohorts."""
    readable = cohort.shared is None and target.shared is None
    name = "group" if readable and cohort.key_id != target.key_id else "group_id"
    both = pd.concat([cohort.units[name], target.units[name]], ignore_index=True)
    code = pd.factorize(both)[0].astype(np.int64)
    return code[: len(cohort.units)], code[len(cohort.units) :]


def _finding(cohort: Cohort, name: str | None) -> FloatArray:
    """Whether each unit has the finding: 1, 0, or NaN where it is not labelled."""
    task = cohort.need_task()
    chosen = task.targets[0] if name is None else task.target(name)
    rows = cohort.targets[cohort.targets["target"] == chosen.name].set_index("unit")["label"]
    label = rows.reindex(cohort.units["unit"]).fillna(-1).to_numpy(np.int64)
    return np.where(label >= 0, (label > 0).astype(float), math.nan)


def _weigh(source: Sample, target: Sample, columns: tuple[Column, ...], config: WeightConfig) -> _Made:
    matched = config.prevalence is not None
    rate = float(np.average(target.y, weights=target.weight)) if matched else None
    if config.method == "balance":
        if rate is not None and not 0 < weighted_rate(source, np.ones(len(source))) < 1:
            raise UserError("all labelled units are of one kind", where="--match-prevalence")
        return _Made(*balance(source, target, columns, rate))
    if config.method == "strata":
        mine, theirs = cells(source, target, columns)
        weight = strata(source, target, mine, theirs)
        if not weight.any():
            do = "Name fewer columns with --on"
            raise UserError("no combination of categories is in both cohorts", where="--on", do=do)
        if rate is None:
            return _Made(weight)
        if not isinstance(config.prevalence, Mapping):
            return _Made(match_rate(source, weight, mine, rate))
        weight, left = match_strata(source, weight, mine, (theirs, target.y, target.weight))
        note = f"{left} strata hold one kind of labels only and keep theirs"
        return _Made(weight, notes=(note,) if left else ())
    found = odds(source, target, columns, config.seed)
    blank = sum(math.isinf(s) for s in found.strengths)
    note = f"odds by {len(found.strengths)} models of up to {found.terms} terms, each on other patients"
    if blank:
        note += f"; {blank} of them found nothing that tells the cohorts apart"
    whole = np.zeros(len(source), dtype=np.int64)
    weight = found.ratio if rate is None else match_rate(source, found.ratio, whole, rate)
    return _Made(weight, notes=(note,))


def _power(weight: FloatArray, base: FloatArray, config: WeightConfig) -> float:
    share = ess_share(weight, base)
    if share >= LEAST_SHARE:
        return 1.0
    far = f"{share:.3f}, with {int((weight == 0).sum())} of {len(weight)} units at weight 0"
    what = f"the effective sample share is below {LEAST_SHARE:g}"
    if not config.flatten:
        do = "The cohorts differ too much: compare on fewer columns with --on, or let weights be flattened"
        raise UserError(what, where="--no-flatten", got=far, do=do)
    power = flattening(weight, base, LEAST_SHARE)
    if power <= 0:
        do = "Flattening cannot help, since most units have no counterpart: compare on fewer columns with --on"
        raise UserError(what, where="--target", got=far, do=do)
    return power
