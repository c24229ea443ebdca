"""What the members of a run owe to each view's embedding, each difference and each metadata field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from radboost.booster.contributions import Asked, model_shares
from radboost.booster.design import Design
from radboost.booster.learner import IN_ORDER
from radboost.booster.member import MemberModel
from radboost.booster.prepare import METADATA_BLOCK, MISSING_BLOCK, Prepared
from radboost.booster.raw import RawColumns
from radboost.booster.rows import FloatArray, IntArray, Matrix, Order, Span
from radboost.booster.run import Key, Run
from radboost.booster.shares import through_each, through_margin
from radboost.data.metadata import Categorical, Numeric
from radboost.metrics import CLIP
from radboost.metrics.platt import Platt

__all__ = ["Block", "MemberShares", "member_shares"]


class Block(NamedTuple):
    """What is told apart.

    Attributes
    ----------
    kind
        ``metadata``, ``missing`` (which views are there), or of embeddings: ``own``, ``difference``, ``neighbours``,
        ``neighbour-difference``.
    source
        Of embeddings: store, pooling and statistic. Else empty.
    name
        Slot, or metadata field; several slots of one block joined by `` + `` where they cannot be told apart.
    """

    kind: str
    source: str
    name: str


@dataclass(frozen=True)
class MemberShares:
    """One member's probability taken apart.

    Attributes
    ----------
    member
        (name, kind).
    blocks
        What is told apart.
    base
        Shape (n, classes): probability that its models give to a unit of which nothing is known, mean over folds.
    parts
        Shape (n, blocks, classes): shares, which sum to `p` minus `base`.
    p
        Shape (n, classes): what the member predicts.
    how
        See `radboost.booster.contributions.model_shares`.
    """

    member: tuple[str, str]
    blocks: tuple[Block, ...]
    base: FloatArray
    parts: FloatArray
    p: FloatArray
    how: str


def member_shares(
    run: Run, design: Design, rows: IntArray, members: Sequence[tuple[str, str]], which: tuple[str, Sequence[int]]
) -> list[MemberShares]:
    """Take members' probabilities apart.

    A block of embeddings holds all its slots, as one set of principal components: its share is exact, as
    `radboost.booster.contributions` says. Within the block, slots are told apart by putting them at their training mean
    one after the other, in both orders; what these steps leave over of the block's share is dealt evenly.

    Parameters
    ----------
    run
        Whose members.
    design
        Units, with the neighbours of those that are explained where learners look at them.
    rows
        Numbers of the units to explain.
    members
        Pairs (member, kind).
    which
        Target, and the outer folds whose models are asked.
    """
    target, folds = which
    order = Order(design.sequence, design.position)
    cut = design.take(rows)
    out = []
    for member, kind in members:
        bases, tables, hows = [], [], []
        for fold in folds:
            key = Key(member, kind, target, fold)
            prepared = run.prepared[kind, run.place(member, fold)]
            blocks, group = _blocks(prepared)
            asked = Asked(prepared.transform(design), rows, group, len(blocks), order)
            model = run.models[key]
            base, parts, how = model_shares(model, asked)
            if isinstance(prepared, Prepared) and member.partition("/")[0] not in IN_ORDER:
                blocks, parts = _by_slot(prepared, cut, (model, asked.x[rows]), (blocks, parts))
            base, parts = _calibrated(run.calibration(key), base, parts)
            bases.append(base)
            tables.append(dict(zip(blocks, parts.transpose(1, 0, 2), strict=True)))
            hows.append(how)
        names = list(dict.fromkeys(block for table in tables for block in table))
        nothing = np.zeros_like(bases[0])
        mean = np.stack([np.mean([t.get(name, nothing) for t in tables], axis=0) for name in names], axis=1)
        start = np.mean(bases, axis=0)
        whole = start + mean.sum(axis=1)
        out.append(MemberShares((member, kind), tuple(names), start, mean, whole, max(hows)))
    return out


def _calibrated(found: Platt | None, base: FloatArray, parts: FloatArray) -> tuple[FloatArray, FloatArray]:
    if found is None:
        return base, parts
    logs, shares = through_each(lambda p: found.slope * np.log(np.clip(p, CLIP, 1.0)), base, parts)
    logs = logs + np.asarray(found.intercepts)
    if logs.shape[1] == 2:
        return through_margin(logs[:, 1:] - logs[:, :1], shares[:, :, 1:] - shares[:, :, :1])
    return through_margin(logs, shares)


def _blocks(prepared: Prepared | RawColumns) -> tuple[list[Block], IntArray]:
    """Tell the blocks of prepared columns, and for each column, (d,), which it belongs to."""
    blocks: dict[Block, int] = {}
    group = []
    parts = {b.name: b.parts for b in prepared.blocks} if isinstance(prepared, Prepared) else {}
    raw = {} if isinstance(prepared, Prepared) else {name: slots for name, slots, _ in prepared.blocks}
    for span in prepared.spans:
        width = span.stop - span.start
        if span.name == METADATA_BLOCK:
            found = [Block("metadata", "", c.name) for c in _fields(prepared) for _ in c.features]
        elif span.name == MISSING_BLOCK:
            found = [Block("missing", "", "")] * width
        elif span.name in raw:
            slots = raw[span.name]
            found = [_of_slots(span.name, (slot,)) for slot in slots for _ in range(width // len(slots))]
        else:
            found = [_of_slots(span.name, parts[span.name])] * width
        group += [blocks.setdefault(block, len(blocks)) for block in found]
    return list(blocks), np.asarray(group, dtype=np.int64)


def _fields(prepared: Prepared | RawColumns) -> list[Numeric | Categorical]:
    return [*prepared.encoder.numeric, *prepared.encoder.categorical]


def _of_slots(name: str, slots: Sequence[str]) -> Block:
    source, _, kind = name.rpartition("/")
    # Networks of folds give the same block, each to its own fold's models.
    return Block(kind, "/".join(part.partition("@fold")[0] for part in source.split("/")), " + ".join(slots))


def _by_slot(
    prepared: Prepared,
    design: Design,
    asked: tuple[MemberModel, Matrix],
    shares: tuple[list[Block], FloatArray],
) -> tuple[list[Block], FloatArray]:
    """Deal each block's share to its slots."""
    model, x = asked
    blocks, parts = shares
    given = {b.name: b for b in design.blocks}
    read = set(np.concatenate([columns for _, columns in model.parts]).tolist())
    names: list[Block] = []
    tables: list[FloatArray] = []
    spans = {span.name: span for span in prepared.spans}
    several = {_of_slots(b.name, b.parts): b for b in prepared.blocks if len(b.parts) > 1}
    for number, block in enumerate(blocks):
        fitted = several.get(block)
        if fitted is None:
            names.append(block)
            tables.append(parts[:, number])
            continue
        span, own = spans[fitted.name], given[fitted.name]
        steps = np.zeros((len(fitted.parts), *parts[:, number].shape))
        if not read.isdisjoint(range(span.start, span.stop)):
            for order in (range(len(fitted.parts)), range(len(fitted.parts) - 1, -1, -1)):
                shown = np.zeros(len(fitted.parts), dtype=bool)
                before = _with(model, x, span, fitted.transform(replace(own, present=own.present & shown)))
                for slot in order:
                    shown[slot] = True
                    after = _with(model, x, span, fitted.transform(replace(own, present=own.present & shown)))
                    steps[slot] += (after - before) / 2
                    before = after
            steps += (parts[:, number] - steps.sum(axis=0)) / len(fitted.parts)
        names += [_of_slots(fitted.name, (slot,)) for slot in fitted.parts]
        tables += list(steps)
    return names, np.stack(tables, axis=1)


def _with(model: MemberModel, x: Matrix, span: Span, columns: Matrix) -> FloatArray:
    changed = x.copy()
    changed[:, span.start : span.stop] = columns
    return model.predict_proba(changed)
