"""The recipe holds as it stands for data as large as the source's; small cohorts get more passes, and noise."""

from __future__ import annotations

from itertools import pairwise

import pytest

from radboost.booster.recipe import Recipe
from radboost.booster.sequence.heads import HEADS
from radboost.booster.sequence.plan import RATES, make_plan

each_head = pytest.mark.parametrize("head", HEADS)


@each_head
def test_the_recipe_holds_for_as_many_series_as_it_was_made_for(head: str) -> None:
    plan = make_plan(head, 21_000, 750_000, Recipe())
    assert plan.rates == RATES[head]
    assert (plan.steps, plan.channels) == (1313, 64)
    assert plan.noise < 0.01, "columns have a deviation of about .1: next to no noise"


@each_head
def test_fewer_series_are_seen_more_often_with_more_noise(head: str) -> None:
    plans = [make_plan(head, n, 34 * n, Recipe()) for n in (30, 60, 300, 3000, 20_000)]
    for small, large in pairwise(plans):
        assert small.noise > large.noise
        assert small.rates[0] >= large.rates[0]
        assert small.steps <= large.steps
    assert max(p.rates[0] for p in plans) < 10 * RATES[head][0]
    assert sum(len(p.rates) * p.steps for p in plans[:1]) >= 480


def test_settings_replace_the_rule() -> None:
    plan = make_plan("residual", 30, 1000, Recipe(settings={"noise": 0.0, "steps": 3, "rate": 2.0, "channels": 5}))
    assert (plan.noise, plan.steps, plan.channels) == (0.0, 3, 5)
    assert plan.rates[0] == 2 * RATES["residual"][0]
