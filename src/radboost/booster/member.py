"""Members: one learner on the embeddings, on the metadata, and on both without letting either drown the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from radboost.booster.learner import ONE_BY_ONE, Fitted, best_round, fit_targets, load_fitted, predict, row_loss
from radboost.booster.recipe import Recipe
from radboost.booster.rows import FloatArray, Inner, IntArray, Matrix, Order, Rows, Span, cut_spans
from radboost.data.folder import read_json, write_json
from radboost.errors import FormatError

__all__ = ["BLOCKS", "FUSED", "IMAGE", "METADATA", "STORE", "MemberModel", "Parts", "fit_members"]

FUSED, IMAGE, METADATA = "fused", "image", "metadata"
BLOCKS = (FUSED, IMAGE, METADATA)
STORE = "store-"
"""Start of the block of one store's embeddings."""


@dataclass(frozen=True)
class MemberModel:
    """One model, or two whose evidence is added up.

    Attributes
    ----------
    parts
        Fitted learners with the columns (positions) that each reads.
    rates
        Base rates (classes,). Several parts are combined as independent evidence: their probabilities, each divided
        by the base rate, are multiplied with it.
    """

    parts: tuple[tuple[Fitted, IntArray], ...]
    rates: FloatArray

    def predict_proba(self, x: Matrix, order: Order | None = None) -> FloatArray:
        """Probabilities, (n, classes), from all prepared columns; `order` is for what learns along series."""
        return _combined([predict(fitted, x[:, columns], order) for fitted, columns in self.parts], self.rates)

    def save(self, folder: Path) -> None:
        """Write ``member.json`` and one folder a part."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, (fitted, _) in enumerate(self.parts):
            fitted.save(folder / f"part{number}")
        content = {"columns": [columns.tolist() for _, columns in self.parts], "rates": self.rates.tolist()}
        write_json(folder / "member.json", content)

    @classmethod
    def load(cls, folder: Path) -> MemberModel:
        """Read what `save` wrote; raises FormatError where it is damaged."""
        content = read_json(folder / "member.json")
        try:
            columns = [np.asarray(c, dtype=np.int64) for c in content["columns"]]
            rates = np.asarray(content["rates"], dtype=np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError("does not describe a member", where=folder / "member.json", got=str(error)) from error
        return cls(tuple((load_fitted(folder / f"part{i}"), c) for i, c in enumerate(columns)), rates)


class Parts(Protocol):
    """Where single fits of a job are kept until all of it is done."""

    def find(self, name: str) -> Fitted | None:
        """Give what was added under this name, with its inner probabilities; None where there is nothing whole."""

    def add(self, name: str, fitted: Fitted) -> None:
        """Keep a fit."""


def fit_members(
    learner: str,
    jobs: Sequence[tuple[Rows, Inner]],
    recipe: Recipe,
    blocks: Sequence[str] = BLOCKS,
    parts: Parts | None = None,
) -> list[dict[str, MemberModel]]:
    """Fit one learner on each asked-for block of columns, for each target.

    The fused member is whichever inner groups prefer: the embeddings' model, the metadata's model, the two added up, or
    one model on all columns; one of the last two only where its gain over the better single block is no luck. Weak
    embeddings beside strong metadata then cost little, and the other way round.

    Parameters
    ----------
    learner
        Name of a learner.
    jobs
        For each target, training rows with all prepared columns, and their inner folds.
    recipe
        How to learn.
    blocks
        Some of `BLOCKS`, and ``store-<start of a fingerprint>`` for the embeddings of one store.
    parts
        Keeps the single fits of learners in `radboost.booster.learner.ONE_BY_ONE`. None keeps nothing.

    Returns
    -------
    list
        For each target, the model of each block.
    """
    spans = jobs[0][0].spans
    fits: list[dict[str, tuple[Fitted, IntArray]]] = [{} for _ in jobs]
    # The fused member chooses between the blocks, so it needs a fit of each.
    for block in dict.fromkeys((*BLOCKS, *blocks) if FUSED in blocks else blocks):
        names = _names(spans, block)
        columns = cut_spans(spans, names)[1]
        # Nothing varies in these columns: the logistic without coefficients is the base rate.
        cut = _only(jobs, names, columns)
        if not len(columns):
            found = fit_targets("logistic", cut, recipe)
        elif parts is None or learner not in ONE_BY_ONE:
            found = fit_targets(learner, cut, recipe)
        else:
            found = [_kept(learner, job, recipe, parts, f"{block}-{number}") for number, job in enumerate(cut)]
        for own, fitted in zip(fits, found, strict=True):
            own[block] = fitted, columns
    return [_members(rows, inner, own, blocks) for (rows, inner), own in zip(jobs, fits, strict=True)]


def _kept(learner: str, job: tuple[Rows, Inner], recipe: Recipe, parts: Parts, name: str) -> Fitted:
    """Fit one target, unless that was done before."""
    found = parts.find(name)
    if found is None:
        found = fit_targets(learner, [job], recipe)[0]
        parts.add(name, found)
    return found


def _names(spans: Sequence[Span], block: str) -> list[str]:
    """Spans that a block is made of; what flags missing slots goes with every kind of embeddings."""
    if block.startswith(STORE):
        own = block.removeprefix(STORE) + "/"
        return [s.name for s in spans if s.image and ("/" not in s.name or s.name.startswith(own))]
    return [s.name for s in spans if block == FUSED or s.image == (block == IMAGE)]


def _only(jobs: Sequence[tuple[Rows, Inner]], names: Sequence[str], columns: IntArray) -> list[tuple[Rows, Inner]]:
    """Cut the jobs to some blocks; those that shared a matrix share the smaller one."""
    out = []
    for rows, inner in jobs:
        key = "blocks", tuple(names)
        if key not in rows.memo:
            whole = len(columns) == rows.x.shape[1]
            rows.memo[key] = (replace(rows, memo={}), inner) if whole else (rows.only(names), inner.only(columns))
        first, split = rows.memo[key]
        small = replace(rows, x=first.x, spans=first.spans, memo=first.memo, whole=first.whole)
        out.append((small, replace(inner, x=split.x)))
    return out


def _members(
    rows: Rows, inner: Inner, fits: Mapping[str, tuple[Fitted, IntArray]], blocks: Sequence[str]
) -> dict[str, MemberModel]:
    out = {b: MemberModel((fits[b],), rows.rates) for b in blocks}
    if FUSED in blocks:
        out[FUSED] = _choose(rows, inner, fits)
    return out


def _choose(rows: Rows, inner: Inner, fits: Mapping[str, tuple[Fitted, IntArray]]) -> MemberModel:
    image, metadata, direct = fits[IMAGE], fits[METADATA], fits[FUSED]
    candidates = [(image,), (metadata,), (image, metadata), (direct,)]
    inside = [_combined([fitted.inner for fitted, _ in c], rows.rates) for c in candidates]
    held = [mask for _, mask in inner]
    weights = [float(rows.weight[mask].sum()) for mask in held]
    losses = [[float(np.average(row_loss(rows.y[m], p[m]), weights=rows.weight[m])) for p in inside] for m in held]
    means = np.round(np.average(losses, axis=0, weights=weights), 10)
    single, best = int(means[:2].argmin()), int(means.argmin())
    # One block is the base that a combination must beat by more than luck.
    pairs = [[split[single], split[best]] for split in losses]
    return MemberModel(candidates[best if best_round(pairs, weights) else single], rows.rates)


def _combined(parts: Sequence[FloatArray], rates: FloatArray) -> FloatArray:
    if len(parts) == 1:
        return parts[0]
    log = np.log(rates) + sum(np.log(np.maximum(p, np.finfo(np.float64).tiny)) - np.log(rates) for p in parts)
    odds = np.exp(log - log.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float64)
