"""Which members a policy uses, and under which weights."""

from __future__ import annotations

import pytest

from radboost.ensemble.policy import Policy, choose
from radboost.errors import MismatchError

MEMBERS = [("mlp", "regular"), ("logistic", "regular"), ("mlp", "weighted"), ("radiologist", "external")]


def test_safe_takes_regular_members_under_the_plain_loss():
    for weighted in (False, True):
        choice = choose(Policy.SAFE, MEMBERS, weighted)
        assert (choice.columns, choice.weigh_target, choice.note) == ((0, 1), False, None)


def test_risky_takes_the_weighted_twin_for_the_regular_one_and_keeps_the_others():
    choice = choose(Policy.RISKY, MEMBERS, True)
    assert (choice.columns, choice.weigh_target, choice.note) == ((1, 2), True, None)


def test_risky_without_target_weights_is_safe_and_says_so():
    choice = choose(Policy.RISKY, MEMBERS, False)
    assert choice.columns == choose(Policy.SAFE, MEMBERS, False).columns
    assert not choice.weigh_target
    assert choice.note is not None
    assert "risky equals safe" in choice.note


def test_risky_without_weighted_members_still_weighs_the_loss_and_says_so():
    choice = choose(Policy.RISKY, MEMBERS[:2], True)
    assert (choice.columns, choice.weigh_target) == ((0, 1), True)
    assert choice.note is not None
    assert "No member was fitted" in choice.note


@pytest.mark.parametrize(("policy", "members"), [(Policy.SAFE, MEMBERS[2:]), (Policy.RISKY, MEMBERS[3:])])
def test_no_member_left_is_refused(policy, members):
    with pytest.raises(MismatchError, match=policy.value):
        choose(policy, members, True)


def test_robust_takes_every_member_that_was_not_made_elsewhere():
    choice = choose(Policy.ROBUST, MEMBERS, True)
    assert (choice.columns, choice.weigh_target, choice.hedged) == ((0, 1, 2), False, True)
    without = choose(Policy.ROBUST, MEMBERS, False)
    assert (without.columns, without.hedged) == ((0, 1), False)
    assert without.note is not None
    assert "robust equals safe" in without.note
