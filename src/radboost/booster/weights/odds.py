"""Density-ratio weights: the odds that a row of metadata comes from the target, by a regularised logistic of degree 2.

A row's odds come from a model that saw neither its own group nor, where patients are in both cohorts, that group's
rows of the target. How strongly the model is held back is chosen on groups left out once more; where none beats
knowing nothing by more than two standard errors, the odds are constant and all weights equal.

Odds alone are noisy where the cohorts lie far apart. They are then the base weights of a calibration (Deville and
Särndal 1992; with base weights Hainmueller 2012; penalised, Guggemos and Tillé 2010): weights as near to them as can be
under which columns and squares have means near those of the target, each held back as it was in the odds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from radboost.booster.newton import fit_newton
from radboost.booster.rows import FloatArray, IntArray
from radboost.booster.weights.balance import penalised_weights
from radboost.booster.weights.covariates import Column, Sample, kinds
from radboost.data.metadata import MISSING, Categorical, MetadataEncoder, Numeric
from radboost.errors import UserError

__all__ = ["FOLDS", "Odds", "deal_groups", "odds"]

FOLDS = 10
INNER = 3
GRID = tuple(10.0 ** (1 - k / 2) for k in range(11))
"""Strengths tried, strong first: mean log loss plus half the strength times the squared coefficients."""

FIRST_ORDER = 0.01
"""Of the strength, for terms of first order: shrinking the shift of a column itself biases what is estimated, and there
are few of them; squares and products are many, and mostly nothing."""

PATIENCE = 2
LEAST_GROUPS = 10
MOST_TERMS = 800
SEARCH, FINAL = 1e-5, 1e-9
"""Largest gradient left when strengths are compared, and in the model that is kept."""

LEAN = 4.0
"""Curvature of the calibration's dual over that of the mean logistic loss of two cohorts of one size. Strengths times
this hold a term back in the calibration as much as in the odds."""

MARGIN = 30.0
"""Log odds beyond this, either way, are as certain as arithmetic allows."""


@dataclass(frozen=True)
class Odds:
    """Density ratio of each source row, and how it was found.

    Attributes
    ----------
    ratio
        Shape (source rows,), positive.
    fold
        Shape (source rows,): the model of fold k saw none of the groups of fold k.
    strengths
        Chosen strength of each fold's model, infinite where it knows nothing.
    terms
        Most terms a model has.
    """

    ratio: FloatArray
    fold: IntArray
    strengths: tuple[float, ...]
    terms: int


@dataclass(frozen=True)
class _Terms:
    """Encoded columns, squares of numbers and products of different columns, standardised on training rows.

    Those of first order are larger by the root of what they are penalised less.
    """

    encoder: MetadataEncoder
    pairs: IntArray
    mean: FloatArray
    scale: FloatArray

    @classmethod
    def fit(cls, table: pd.DataFrame, columns: Sequence[Column], weight: FloatArray) -> _Terms:
        numeric, categorical = kinds(columns)
        encoder = MetadataEncoder.fit(table, numeric, categorical, weight)
        made: list[Numeric | Categorical] = [*encoder.numeric, *encoder.categorical]
        owner = [c.name for c in made for _ in c.features]
        flags = {f"{c.name}={MISSING}" for c in encoder.numeric}
        features = encoder.features
        # Two categories of one column never meet, the square of a 0/1 column is itself, and an empty cell has no value.
        values = [i < sum(len(c.features) for c in encoder.numeric) and f not in flags for i, f in enumerate(features)]
        pairs = [
            (i, j)
            for i in range(len(owner))
            for j in range(i, len(owner))
            if owner[i] != owner[j] or (i == j and values[i])
        ]
        if len(owner) + len(pairs) > MOST_TERMS:
            do = "Name fewer columns with --on"
            got = f"{len(owner) + len(pairs)} terms of {len(columns)} columns"
            raise UserError(f"odds of degree 2 take at most {MOST_TERMS} terms", where="--on", got=got, do=do)
        raw = cls(encoder, np.array(pairs, dtype=np.int64).reshape(-1, 2), np.zeros(0), np.zeros(0))
        x = raw._expanded(table)
        mean = np.average(x, axis=0, weights=weight)
        scale = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
        # A product that never occurs in training says nothing; divided by infinity it stays 0.
        scale = np.where(scale > 1e-6, scale, math.inf)
        scale[: len(owner)] *= math.sqrt(FIRST_ORDER)
        return cls(encoder, raw.pairs, mean, scale)

    def transform(self, table: pd.DataFrame) -> FloatArray:
        """Terms of rows, (rows, terms)."""
        return np.asarray((self._expanded(table) - self.mean) / self.scale, dtype=np.float64)

    def _expanded(self, table: pd.DataFrame) -> FloatArray:
        x = self.encoder.transform(table).astype(np.float64)
        return np.hstack([x, x[:, self.pairs[:, 0]] * x[:, self.pairs[:, 1]]])


def odds(source: Sample, target: Sample, columns: Sequence[Column], seed: int) -> Odds:
    """Estimate target density over source density at each source row, cross-fitted by group.

    Parameters
    ----------
    source, target
        Rows with common support.
    columns
        What to compare.
    seed
        Deals groups into folds.

    Raises
    ------
    UserError
        Either cohort has fewer than `LEAST_GROUPS` groups, so that none can be left out twice, or there are too many
        terms.
    """
    both = _stack(source, target)
    least = min(len(np.unique(sample.group)) for sample in (source, target))
    if least < LEAST_GROUPS:
        do = "Give more patients, or use --method strata or balance"
        raise UserError(f"odds need {LEAST_GROUPS} patients in each cohort", where="--target", got=least, do=do)
    fold = deal_groups(both.group, both.y, FOLDS, seed)
    mine = both.y == 0
    overlap = np.isin(both.group, both.group[mine])
    ratio, strengths, terms = np.ones(len(both)), [], 0
    for number in np.unique(fold[mine]):
        # A patient of the target alone is nobody's own group: every model may learn from her.
        train, held = (fold != number) | ~overlap, (fold == number) & mine
        rows = both.take(train)
        strength = _choose(rows, columns, seed)
        strengths.append(strength)
        if math.isinf(strength):
            continue
        made = _Terms.fit(rows.table, columns, rows.weight)
        model = _fit(made.transform(rows.table), rows, strength, FINAL)
        margin = np.clip(_margin(model, made.transform(both.table[held])), -MARGIN, MARGIN)
        ratio[held] = np.exp(margin) * rows.weight[rows.y == 0].sum() / rows.weight[rows.y == 1].sum()
        terms = max(terms, len(made.mean))
    held_back = float(np.median(strengths))
    if not math.isinf(held_back):
        ratio[mine] *= _correction(both, ratio[mine], columns, LEAN * held_back)
    return Odds(ratio[mine], fold[mine], tuple(strengths), terms)


def _correction(both: Sample, ratio: FloatArray, columns: Sequence[Column], penalty: float) -> FloatArray:
    """Factors of the source's weights that bring its moments near the target's, (source rows,)."""
    made = _Terms.fit(both.table, columns, both.weight)
    # Without products of different columns, of which few rows tell each.
    first, squares = len(made.mean) - len(made.pairs), made.pairs[:, 0] == made.pairs[:, 1]
    x = made.transform(both.table)[:, np.concatenate([np.ones(first, dtype=bool), squares])]
    mine = both.y == 0
    goal = np.average(x[~mine], axis=0, weights=both.weight[~mine])
    return penalised_weights(x[mine], goal, both.weight[mine] * ratio, penalty)


def deal_groups(group: IntArray, cohort: FloatArray, folds: int, seed: int) -> IntArray:
    """Deal groups into folds of equal numbers: those of the source, of the target, and of both each by themselves.

    Parameters
    ----------
    group, cohort
        Shape (n,): group, and whether the row is of the target (1) or the source (0).
    folds
        How many.
    seed
        Of the draw. The order of the rows does not matter, nor how many a group has.
    """
    mine, theirs = (np.unique(group[cohort == kind]) for kind in (0, 1))
    random = np.random.default_rng(seed)
    place: dict[int, int] = {}
    for names in (np.setdiff1d(mine, theirs), np.intersect1d(mine, theirs), np.setdiff1d(theirs, mine)):
        place |= dict(zip(names.tolist(), (random.permutation(len(names)) % folds).tolist(), strict=True))
    return np.array([place[g] for g in group.tolist()], dtype=np.int64)


def _stack(source: Sample, target: Sample) -> Sample:
    """Source above target; y says which."""
    return Sample(
        pd.concat([source.table, target.table], ignore_index=True),
        np.concatenate([source.group, target.group]),
        np.concatenate([source.weight, target.weight]),
        np.repeat([0.0, 1.0], [len(source), len(target)]),
    )


def _choose(rows: Sample, columns: Sequence[Column], seed: int) -> float:
    """Strength of least loss on held-out groups; infinite where its gain over the base rate may be luck."""
    splits = list(_splits(rows, columns, seed))
    order = np.concatenate([place for place, *_ in splits])
    group = np.unique(rows.group[order], return_inverse=True)[1]
    weight = rows.weight[order]
    mass = np.bincount(group, weight)

    def by_group(margins: Sequence[FloatArray]) -> FloatArray:
        margin = np.concatenate(margins)
        loss = np.logaddexp(0.0, margin) - rows.y[order] * margin
        return np.asarray(np.bincount(group, weight * loss), dtype=np.float64)

    nothing = by_group([np.full(len(place), _base(train)) for place, train, _, _ in splits])
    tried: list[FloatArray] = []
    for strength in GRID:
        tried.append(by_group([_margin(_fit(x, train, strength, SEARCH), held) for _, train, x, held in splits]))
        best = int(np.argmin([each.sum() for each in tried]))
        if best < len(tried) - PATIENCE:
            break
    gain = nothing - tried[best]
    # By group: of three splits alone, chance would often make the error far too large or too small. Two of them, since
    # the best of several strengths beats nothing by luck more often than one would.
    spread = gain - gain.sum() / mass.sum() * mass
    error = math.sqrt(len(mass) / (len(mass) - 1) * math.fsum(spread**2))
    return GRID[best] if float(gain.sum()) > 2 * error else math.inf


def _splits(
    rows: Sample, columns: Sequence[Column], seed: int
) -> Iterator[tuple[IntArray, Sample, FloatArray, FloatArray]]:
    """Positions of held-out rows, training rows, and the terms of the latter and of the former."""
    fold = deal_groups(rows.group, rows.y, INNER, seed + 1)
    for number in range(int(fold.max()) + 1):
        train, held = rows.take(fold != number), rows.take(fold == number)
        made = _Terms.fit(train.table, columns, train.weight)
        yield np.flatnonzero(fold == number), train, made.transform(train.table), made.transform(held.table)


def _fit(x: FloatArray, rows: Sample, strength: float, tolerance: float) -> LogisticRegression:
    model = LogisticRegression(C=1.0 / strength, solver="newton-cholesky", tol=tolerance, max_iter=100)
    # Weights that sum to 1 make the library's sum of losses the mean that strengths refer to.
    fit_newton(model, x, rows.y > 0.5, rows.weight / rows.weight.sum())
    return model


def _margin(model: LogisticRegression, x: FloatArray) -> FloatArray:
    return np.asarray(x @ model.coef_[0] + model.intercept_[0], dtype=np.float64)


def _base(rows: Sample) -> float:
    rate = float(np.average(rows.y, weights=rows.weight))
    return math.log(rate / (1 - rate))
