"""What a unit's probability owes to each block, over all members of a blend, in the space where the blend mixes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radboost.booster.contributions import SAMPLED
from radboost.booster.design import Design
from radboost.booster.run import Run
from radboost.booster.shares import through_each, through_margin
from radboost.booster.why import Block, MemberShares, member_shares
from radboost.data.predictions import member_name
from radboost.metrics import CLIP
from radboost.pipeline.explain.system import Asked, FloatArray, log_odds

__all__ = ["MemberTold", "Why", "explain_why"]


@dataclass(frozen=True)
class MemberTold:
    """One member of the blend.

    Attributes
    ----------
    name
        As the blend has it.
    weight
        In the blend.
    p
        Its probability of the class.
    how
        See `radboost.booster.contributions.model_shares`.
    """

    name: str
    weight: float
    p: float
    how: str


@dataclass(frozen=True, eq=False)
class Why:
    """A unit's probability taken apart.

    ``base + sum(shares) + after`` is the probability that is predicted, or its log odds.

    Attributes
    ----------
    space
        ``prob``: all is in probability; ``logit``: in log odds (nats).
    base
        What the system says of a unit of which nothing is known.
    blocks, shares
        What is told apart, and its shares, largest first.
    after
        What calibration and the task's constraints between targets, which come after the mixing, change.
    p
        The predicted probability.
    members
        Those that carry weight.
    """

    space: str
    base: float
    blocks: tuple[Block, ...]
    shares: tuple[float, ...]
    after: float
    p: float
    members: tuple[MemberTold, ...]

    @property
    def sampled(self) -> bool:
        """Whether some member was asked by hiding blocks, see `radboost.booster.contributions`."""
        return any(member.how == SAMPLED for member in self.members)


def explain_why(asked: Asked, design: Design, row: int) -> Why:
    """Take one unit's probability apart.

    Each member's models are asked for shares of their probabilities, which add up (`radboost.booster.why`). A blend in
    probability space is a weighted sum of those, so that the same sums of shares are its own, exactly. A blend in logit
    space sums logarithms: each member's shares are taken to the logarithm by `radboost.booster.shares` first.

    Parameters
    ----------
    asked
        Which probability.
    design
        The unit, with the units that its members look at.
    row
        Its number.
    """
    system, question = asked.system, asked.question
    weights, space, intercepts = system.mixing(question.target)
    found = [
        (prefix + member_name(*each.member), each)
        for prefix, run in system.runs
        for each in _shares(asked, run, design, (row, system.carrying(prefix, run, question.target)))
    ]
    blocks = list(dict.fromkeys(block for _, each in found for block in each.blocks))
    base, parts = _mixed(found, blocks, weights, space, intercepts)
    if space == "logit":
        start, shares = through_margin(*_margins(base, parts))
        start, shares = through_each(log_odds, start, shares)
    else:
        start, shares = base, parts
    own = shares[0, :, question.number]
    order = np.argsort(-np.abs(own), kind="stable")
    mixed = float(start[0, question.number] + own.sum())
    p = float(asked.probability(design)[row])
    reached = float(log_odds(p)) if space == "logit" else p
    return Why(
        space=space,
        base=float(start[0, question.number]),
        blocks=tuple(blocks[k] for k in order),
        shares=tuple(float(own[k]) for k in order),
        after=reached - mixed,
        p=p,
        members=tuple(MemberTold(n, weights[n], float(m.p[0, question.number]), m.how) for n, m in found),
    )


def _shares(asked: Asked, run: Run, design: Design, which: tuple[int, list[tuple[str, str]]]) -> list[MemberShares]:
    row, members = which
    folds = run.folds if asked.folds is None else asked.folds
    return member_shares(run, design, np.array([row]), members, (asked.question.target, folds)) if members else []


def _mixed(
    found: list[tuple[str, MemberShares]],
    blocks: list[Block],
    weights: dict[str, float],
    space: str,
    intercepts: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Base (1, classes) and shares (1, blocks, classes), of probabilities or of the blend's logits."""
    place = {block: number for number, block in enumerate(blocks)}
    classes = found[0][1].base.shape[1] if found else len(intercepts)
    base = np.zeros((1, classes)) + (intercepts if space == "logit" else 0.0)
    parts = np.zeros((1, len(blocks), classes))
    for name, member in found:
        start, own = member.base, member.parts
        if space == "logit":
            start, own = through_each(_log, start, own)
        base = base + weights[name] * start
        for number, block in enumerate(member.blocks):
            parts[:, place[block]] += weights[name] * own[:, number]
    return base, parts


def _log(p: FloatArray) -> FloatArray:
    return np.log(np.clip(p, CLIP, 1 - CLIP))


def _margins(logits: FloatArray, parts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Of two classes the difference is the margin; it is one number, as `through_margin` takes it."""
    if logits.shape[1] == 2:
        return logits[:, 1:] - logits[:, :1], parts[:, :, 1:] - parts[:, :, :1]
    return logits, parts
