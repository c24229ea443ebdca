"""Members: their scores, their weights in the blend, and how alike they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from radboost.data.predictions import Block, member_name
from radboost.metrics import (
    Band,
    Estimate,
    Metric,
    Scored,
    auc,
    clustered_estimates,
    clustered_sums,
    divided,
    log_loss,
)
from radboost.metrics.inputs import FloatArray
from radboost.report.evaluation.numbers import number
from radboost.report.evaluation.subject import Settings, Subject
from radboost.report.page import Cell, Figure, Item, Number, Section, Table, colour, draw, isolate, plain

__all__ = ["blend_weights", "members_section", "told"]

MOST = 20
"""Members in the figure of correlations."""
CLIP = 1e-6
PAIRS = 15
"""Pairs listed, the least alike."""


def blend_weights(subject: Subject) -> dict[str, dict[str, float]]:
    """Weight by member, by target; empty where the subject is no blend."""
    if subject.header.get("kind") != "blend":
        return {}
    return {t["target"]: {str(k): float(v) for k, v in t["weights"].items()} for t in subject.header["targets"]}


def members_section(subject: Subject, settings: Settings, place: int = 0) -> Section | None:
    """Compare the members of a run or a blend, and list a blend's weights; None where there is nothing to list.

    Parameters
    ----------
    subject, settings
        Whose members, and the bootstrap.
    place
        Of the subject on the page, from 0: tables and figures of the first have plain names.
    """
    weights = blend_weights(subject)
    blocks = [block for block in subject.members if len(block.members) > 1]
    if not blocks and not weights:
        return None
    mark = f"-{place + 1}" if place else ""
    items: list[Item] = [_weights(f"weights{mark}", weights, subject.header["targets"])] if weights else []
    for block in blocks:
        items += [_scores(f"members{mark}-{block.target}", block, settings)]
        items += _correlations(f"correlations{mark}-{block.target}", block, settings)
    name = isolate(subject.name.partition(":")[0])
    lead = "What carries the blend, and w" if weights else "W"
    return Section(f"Members of {name}", tuple(items), f"{lead}hat each member says of the same units, out of fold.")


def told(subject: Subject, first: Subject) -> bool:
    """Whether the first subject's members say all that another's do, as those of a blend do of its one run."""
    shown = {block.target: block for block in first.members}
    if subject is first or not subject.members or blend_weights(subject):
        return False
    for block in subject.members:
        there = shown.get(block.target)
        names = [] if there is None else [member_name(*member) for member in there.members]
        if there is None or not np.array_equal(there.unit, block.unit):
            return False
        for place, member in enumerate(block.members):
            name = member_name(*member)
            # A blend keeps single precision.
            if name not in names or not np.allclose(
                there.p[:, names.index(name)], block.p[:, place], rtol=1e-4, atol=1e-12, equal_nan=True
            ):
                return False
    return True


def _weights(table: str, weights: Mapping[str, Mapping[str, float]], targets: Sequence[Mapping[str, Any]]) -> Table:
    names = sorted(
        {name for own in weights.values() for name in own}, key=lambda n: -max(w.get(n, 0) for w in weights.values())
    )
    spread = {target["target"]: target.get("weight_intervals", {}) for target in targets}
    rows: list[tuple[Cell, ...]] = [
        (name, *(_weight(own.get(name, 0.0), spread[target].get(name)) for target, own in weights.items()))
        for name in names
    ]
    counts = "; ".join(f"{isolate(t['target'])}: {t['units']:,} units of {t['groups']:,} patients" for t in targets[:9])
    note = (
        f"{counts}. Intervals by the delete-a-group jackknife: everything was fitted anew without each fold in turn. "
        "With few folds they are wide, and alike members may carry each other's weight."
    )
    first = names[0] if names else ""
    carrying = sum(any(own.get(name, 0) > 0 for own in weights.values()) for name in names)
    said = f"{carrying} of {len(names)} members carry weight; the most has {isolate(first)}."
    caption = f"Weights by target. {said if carrying else 'No member carries any: the blend predicts the prior.'}"
    return Table(table, caption, ("member", *weights), rows, (note,))


def _weight(value: float, interval: Sequence[float | None] | None) -> Number:
    low, high = interval or (math.nan, math.nan)
    # JSON has no infinity: a weight of log odds has no upper end.
    return Number(value, math.nan if low is None else low, math.nan if high is None else high)


def _scores(name: str, block: Block, settings: Settings) -> Table:
    binary = len(block.classes) == 2
    metrics: dict[str, Metric] = {"log loss": log_loss}
    if binary:
        metrics["AUC"] = auc
    rows: list[tuple[Cell, ...]] = []
    best = ("", Estimate())
    for place, (member, kind) in enumerate(block.members):
        p = block.p[:, place]
        known = (block.label >= 0) & ~np.isnan(p).any(axis=1) & (block.task_weight > 0)
        scored = Scored(
            block.label[known], p[known, 1] if binary else p[known], block.task_weight[known], block.group[known]
        )
        found = clustered_estimates(metrics, scored, settings.how)
        rows.append(
            (
                member_name(member, kind),
                int(known.sum()),
                *(number(each, 4 if n == "log loss" else 3) for n, each in found.items()),
            )
        )
        if not best[0] or found["log loss"].value < best[1].value:
            best = (member_name(member, kind), found["log loss"])
    caption = (
        f"Members for {isolate(block.target)}. The least log loss has {isolate(best[0])}, {number(best[1], 4).text}."
    )
    return Table(name, caption, ("member", "units", *metrics), rows)


def _correlations(name: str, block: Block, settings: Settings) -> list[Item]:
    p = np.clip(block.p[..., -1], CLIP, 1 - CLIP)
    known = ~np.isnan(p).any(axis=1) & (block.task_weight > 0)
    logit = np.log(p[known] / (1 - p[known]))
    keep = [k for k in range(logit.shape[1]) if len(logit) > 2 and logit[:, k].std() > 1e-9][:MOST]
    if len(keep) < 2:
        return []
    names = [member_name(*block.members[k]) for k in keep]
    first, second = np.triu_indices(len(keep), 1)
    band = _paired(logit[:, keep], block.task_weight[known], block.group[known], settings)
    found = np.eye(len(keep))
    found[first, second] = found[second, first] = band.value
    order = np.argsort(band.value, kind="stable")
    rows: list[tuple[Cell, ...]] = [
        (names[first[k]], names[second[k]], Number(float(band.value[k]), float(band.low[k]), float(band.high[k]), 2))
        for k in order[:PAIRS]
    ]
    least = f"{isolate(names[first[order[0]]])} and {isolate(names[second[order[0]]])}, {found.min():.2f}"
    said = f"Over {len(logit):,} units of {len(np.unique(block.group[known])):,} patients the least alike are {least}"
    table = Table(
        f"{name}-pairs",
        f"Correlation of the members' logits for {isolate(block.target)}, the least alike first: they gain by a blend.",
        ("member", "and", "correlation"),
        rows,
    )

    def paint(axes: Axes) -> None:
        axes.grid(visible=False)
        for y, line in enumerate(found):
            for x, value in enumerate(line):
                shade = colour(0) if value >= 0 else colour(1)
                depth = 0.6 * abs(float(value))
                axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=shade, alpha=depth, linewidth=0))
                if len(keep) <= 12:
                    axes.text(x, y, f"{value:.2f}".replace("0.", "."), ha="center", va="center", fontsize=7)
        axes.set_xticks(range(len(keep)), [plain(n) for n in names], rotation=90, fontsize=7)
        axes.set_yticks(range(len(keep)), [plain(n) for n in names], fontsize=7)
        axes.set(xlim=(-0.5, len(keep) - 0.5), ylim=(len(keep) - 0.5, -0.5), aspect="equal")

    figure = Figure(
        name,
        f"Correlation of the members' logits for {isolate(block.target)}. {said}.",
        f"A square of {len(keep)} by {len(keep)} correlations. {said}.",
        draw(paint, width=5.2, height=4.6),
    )
    return [figure, table]


def _paired(x: FloatArray, weight: FloatArray, group: npt.NDArray[np.generic], settings: Settings) -> Band:
    """Weighted correlation of every pair of columns, in the order of `numpy.triu_indices`, with its interval."""
    m = x.shape[1]
    a, b = np.triu_indices(m)
    # About its mean, so that the products' sums keep their digits.
    x = x - np.average(x, axis=0, weights=weight)
    columns = np.concatenate([weight[:, None], weight[:, None] * x, weight[:, None] * x[:, a] * x[:, b]], axis=1)
    own = np.flatnonzero(a == b)
    one, two = a[a != b], b[a != b]

    def correlation(sums: FloatArray) -> FloatArray:
        mean, product = sums[1 : m + 1] / sums[0], sums[m + 1 :] / sums[0]
        covariance = product - mean[a] * mean[b]
        size = np.sqrt(np.maximum(covariance[own], 0))
        return divided(covariance[a != b], size[one] * size[two])

    return clustered_sums(columns, group, correlation, settings.how)
