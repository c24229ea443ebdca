"""Matching how frequent the finding is: by a rate of the target, or by predictions of its units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from radboost.booster.rows import FloatArray, IntArray
from radboost.booster.weights.covariates import Sample
from radboost.data.cohort import Cohort
from radboost.data.predictions import Predictions
from radboost.data.table import read_table
from radboost.data.task import Task
from radboost.errors import TableError, UserError, offenders

__all__ = ["match_rate", "match_strata", "parse_prevalence", "target_rates", "weighted_rate"]

EDGE = 1e-6
"""Predicted rates of a stratum nearer to 0 or 1 than this are moved to it, so that no stratum loses a class."""


def parse_prevalence(text: str, task: Task, finding: str) -> float | dict[str, float]:
    """Read ``--match-prevalence``: a rate, or a file of predictions.

    Parameters
    ----------
    text
        A number, or a path: a table in the task's submission format, or a parquet file of `Predictions`.
    task
        The task that the predictions are of.
    finding
        Target whose prevalence is matched; with several classes, all but the first one count.

    Returns
    -------
    The rate; or the probability of the finding by unit, readable or hashed.

    Raises
    ------
    UserError
        It is neither, or the file lacks a column, holds several members, or no probabilities.
    """
    try:
        return float(text)
    except ValueError:
        path = Path(text)
    if not path.is_file():
        do = "Give a rate between 0 and 1, or a file of predictions of the target set"
        raise UserError("is neither a number nor a file", where="--match-prevalence", got=text, do=do)
    target = task.target(finding)
    if path.suffix == ".parquet":
        table = Predictions.read(path).table
        table = table[table["target"] == finding]
        if len(table[["member", "kind"]].drop_duplicates()) != 1:
            do = "Give the predictions of a blend on the target set, as `radboost predict` writes them"
            raise TableError(f"must hold one member's predictions of {finding}", where=path, do=do)
        found = table[table["class"] > 0].groupby("unit")["p"].sum()
        return {str(unit): float(p) for unit, p in found.items()}
    table = read_table(path)
    prefix = "" if len(task.targets) == 1 else f"{finding}_"
    columns = [finding] if target.binary else [prefix + name for name in target.classes[1:]]
    lacking = [c for c in (task.submission.id_column, *columns) if c not in table.columns]
    if lacking:
        do = f"Give a table in the submission format of task {task.name}"
        raise TableError("lacks columns", where=path, got=offenders(lacking), do=do)
    p = table[columns].apply(pd.to_numeric, errors="coerce").sum(axis=1, skipna=False).to_numpy(float)
    bad = table[task.submission.id_column][~((p >= 0) & (p <= 1 + EDGE))].tolist()
    if bad:
        raise TableError("holds no probabilities, for units", where=path, got=offenders(bad))
    return dict(zip(table[task.submission.id_column].astype(str), np.minimum(p, 1.0).tolist(), strict=True))


def target_rates(target: Cohort, prevalence: float | Mapping[str, float] | None) -> FloatArray:
    """Probability of the finding of each of the target's units, (units,): the rate for all, or the prediction.

    Raises
    ------
    UserError
        The rate is not between 0 and 1, a unit has no prediction, or the predictions are labels: all of them 0 or 1.
    """
    units = target.units
    if prevalence is None:
        return np.full(len(units), math.nan)
    if isinstance(prevalence, Mapping):
        by_name = [prevalence.get(u, prevalence.get(h)) for u, h in zip(units["unit"], units["unit_id"], strict=True)]
        lacking = [u for u, p in zip(units["unit"], by_name, strict=True) if p is None]
        if lacking:
            do = "Predict the whole target set"
            raise UserError("units have no prediction", where="--match-prevalence", got=offenders(lacking), do=do)
        p = np.array(by_name, dtype=np.float64)
        if np.isin(p, (0.0, 1.0)).all():
            do = "Give probabilities of a model; nothing may be matched to what a target set's labels say"
            raise UserError("holds nothing but 0 and 1, as labels do", where="--match-prevalence", do=do)
        return p
    if not 0 < prevalence < 1:
        raise UserError("is no rate between 0 and 1", where="--match-prevalence", got=prevalence)
    return np.full(len(units), prevalence)


def weighted_rate(source: Sample, weight: FloatArray) -> float:
    """Weighted share of the finding among labelled rows; NaN without one."""
    total = np.where(np.isnan(source.y), 0.0, source.weight * weight)
    return float(total @ np.nan_to_num(source.y) / total.sum()) if total.sum() > 0 else math.nan


def match_strata(
    source: Sample, weight: FloatArray, mine: IntArray, theirs: tuple[IntArray, FloatArray, FloatArray]
) -> tuple[FloatArray, int]:
    """In each stratum, scale rows with and without the finding to the target's predicted rate.

    Only their ratio differs from scaling rows without the finding alone: a stratum's share of all weight stays.

    Parameters
    ----------
    source
        Rows with labels; those without one keep their weight.
    weight, mine
        Shape (source rows,): weight so far, and stratum.
    theirs
        Stratum, predicted probability and weight of each target row.

    Returns
    -------
    weight : ndarray
        Shape (source rows,).
    left : int
        Strata that hold labels of one kind only, and keep their weights.
    """
    code, p, base = theirs
    out, left = weight.copy(), 0
    for stratum in np.unique(mine[weight > 0]):
        rows, there = (mine == stratum) & (weight > 0), code == stratum
        have = weighted_rate(source, np.where(rows, weight, 0.0))
        if not 0 < have < 1:
            left += 1
            continue
        want = float(np.clip(np.average(p[there], weights=base[there]), EDGE, 1 - EDGE))
        out[rows] *= _factor(source.y[rows], have, want)
    return out, left


def match_rate(source: Sample, weight: FloatArray, mine: IntArray, want: float) -> FloatArray:
    """Scale the odds of the finding by one factor in all strata so that the whole has a given rate.

    A rate alone says nothing about single strata; one factor on the odds keeps how they differ, and the share of each.

    Raises
    ------
    UserError
        The source has labels of one kind only.
    """
    strata = [(mine == s) & (weight > 0) for s in np.unique(mine[weight > 0])]
    have = np.array([weighted_rate(source, np.where(rows, weight, 0.0)) for rows in strata])
    labelled = ~np.isnan(source.y)
    share = np.array([float((source.weight * weight)[rows & labelled].sum()) for rows in strata])
    known = ~np.isnan(have)
    if not (0 < have[known] @ share[known] < share[known].sum()):
        do = "A prevalence can be matched where both kinds of labels are left"
        raise UserError("all labelled units are of one kind", where="--match-prevalence", do=do)

    def rates(log_odds: float) -> FloatArray:
        scaled = np.exp(log_odds) * have
        return np.asarray(scaled / (scaled + 1 - have), dtype=np.float64)

    low, high = -50.0, 50.0
    for _ in range(200):
        middle = (low + high) / 2
        below = float(rates(middle)[known] @ share[known] / share[known].sum()) < want
        low, high = (middle, high) if below else (low, middle)
    if abs(float(rates(low)[known] @ share[known] / share[known].sum()) - want) > EDGE:
        do = "Strata of one kind of labels only leave no room; name fewer columns with --on"
        raise UserError("the rate cannot be reached", where="--match-prevalence", got=want, do=do)
    out = weight.copy()
    for rows, before, after in zip(strata, have, rates(low), strict=True):
        if 0 < before < 1:
            out[rows] *= _factor(source.y[rows], before, after)
    return out


def _factor(y: FloatArray, have: float, want: float) -> FloatArray:
    """Factor of each row that turns one rate into another and keeps the sum; 1 for rows without a label."""
    return np.asarray(np.where(np.isnan(y), 1.0, np.where(y > 0.5, want / have, (1 - want) / (1 - have))))
