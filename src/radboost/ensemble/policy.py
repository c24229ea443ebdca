"""Policies: which members a blend may use, and under which weights it is fitted and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from radboost.data.predictions import member_name
from radboost.errors import MismatchError, offenders

__all__ = ["Choice", "Policy", "choose"]


class Policy(StrEnum):
    """What a blend is made for."""

    SAFE = "safe"
    """The data as they are: regular members, weighed by ``task_weight``."""

    RISKY = "risky"
    """The target set as the weights simulate it: weighted members with the regular others, weighed by
    ``task_weight * target_weight``. Better if the simulation is right, worse if it is not."""

    ROBUST = "robust"
    """Either may come: all members, regular and weighted, and the least worst regret between the two losses."""


@dataclass(frozen=True)
class Choice:
    """What a policy makes of the members at hand.

    Attributes
    ----------
    columns
        Positions of the members used, in their given order.
    weigh_target
        Whether rows are weighed by the target weight too.
    hedged
        Whether the blend stands between both losses.
    note
        What the reader should know when the policy could not do what it is named for.
    """

    columns: tuple[int, ...]
    weigh_target: bool
    note: str | None = None
    hedged: bool = False


def choose(policy: Policy, members: Sequence[tuple[str, str]], weighted_for_target: bool) -> Choice:
    """Choose the members and the weights of a policy.

    Parameters
    ----------
    policy
        The policy.
    members
        Pairs (member, kind); external predictions are never blended.
    weighted_for_target
        Whether the rows carry weights that simulate a target set.

    Returns
    -------
    The choice. ROBUST takes all members. RISKY leaves out a regular member whose weighted twin (same name, kind
    weighted) is there. Without target weights both equal SAFE and the note says so.

    Raises
    ------
    MismatchError
        When no member is left.

    >>> members = [("mlp", "regular"), ("mlp", "weighted"), ("xgboost", "regular")]
    >>> choose(Policy.SAFE, members, True).columns, choose(Policy.RISKY, members, True).columns
    ((0, 2), (1, 2))
    """
    regular = tuple(i for i, (_, kind) in enumerate(members) if kind == "regular")
    twins = {name for name, kind in members if kind == "weighted"}
    risky = tuple(
        i for i, (name, kind) in enumerate(members) if kind == "weighted" or (kind == "regular" and name not in twins)
    )
    if policy is Policy.SAFE:
        choice = Choice(regular, False)
    elif not weighted_for_target:
        choice = Choice(regular, False, f"No target weights are there, so {policy.value} equals safe.")
    elif policy is Policy.ROBUST:
        both = tuple(i for i, (_, kind) in enumerate(members) if kind in ("regular", "weighted"))
        choice = Choice(both, False, hedged=True)
    elif not twins:
        note = (
            "No member was fitted under the target weights: risky blends the regular members under the weighted loss."
        )
        choice = Choice(risky, True, note)
    else:
        choice = Choice(risky, True)
    if not choice.columns:
        got = offenders([member_name(*m) for m in members]) or "none"
        raise MismatchError(f"there is no member that {policy.value} may blend", got=got, do="Add a run that has one")
    return choice
