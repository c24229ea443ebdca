"""Nothing is fitted where it is judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radboost.ensemble.crossfit import best_member, crossfit, in_sample, pool, prior
from radboost.ensemble.panel import Panel
from radboost.errors import LeakError, TableError


@pytest.fixture
def panel(binary) -> Panel:
    (block,) = binary().blocks()
    return Panel.of(block, block.task_weight)


def test_a_fold_is_predicted_without_its_own_labels(panel):
    # Flip one fold's labels: its own predictions and decisions stay, those of the others change.
    own = panel.fold == 0
    label = np.where(own, 1 - panel.label, panel.label)
    flipped = replace(panel, label=label, q=np.where(own[:, None], 1 - panel.q, panel.q))
    for candidate in (pool, best_member, prior):
        before, after = crossfit(panel, candidate(panel)), crossfit(flipped, candidate(flipped))
        assert (before.p[own] == after.p[own]).all()
        assert (before.called[own] == after.called[own]).all()
    assert (crossfit(panel, prior(panel)).p[~own] != crossfit(flipped, prior(flipped)).p[~own]).all()


def test_prior_is_the_frequency_in_the_other_folds(panel):
    p = crossfit(panel, prior(panel)).p
    others = panel.label[panel.fold != 2]
    assert p[panel.fold == 2, 1] == pytest.approx((others.sum() + 0.5) / (others.size + 1))


def test_rows_of_no_weight_and_no_label_shape_nothing_but_are_predicted(panel):
    weight, label = panel.weight.copy(), panel.label.copy()
    weight[::7], label[3::7] = 0, -1
    less = replace(panel, weight=weight, label=label)
    nonsense = replace(less, label=np.where(weight == 0, 1 - label, label))
    assert (crossfit(less, pool(less)).p == crossfit(nonsense, pool(nonsense)).p).all()
    assert not np.isnan(crossfit(less, pool(less)).p).any()
    assert less.judged.sum() < panel.judged.sum()


def test_one_threshold_in_sample_and_none_without_a_positive(panel):
    assert 0 < in_sample(panel, pool(panel)).threshold < 1
    nobody = replace(panel, label=np.zeros_like(panel.label))
    assert np.isnan(in_sample(nobody, prior(nobody)).threshold)
    assert np.isnan(in_sample(nobody, prior(nobody)).called).all()


def test_dealing_anew_keeps_groups_whole_and_fills_every_fold(panel):
    hold_out = replace(panel, fold=np.zeros_like(panel.fold))
    assert hold_out.one_fold
    dealt = hold_out.dealt()
    pairs = set(zip(dealt.group.tolist(), dealt.fold.tolist(), strict=True))
    assert len(pairs) == np.unique(dealt.group).size
    assert np.unique(dealt.fold[dealt.judged]).size == 5


def test_a_group_in_two_folds_is_a_leak(binary):
    (block,) = binary().blocks()
    fold = block.fold.copy()
    fold[0] = (fold[0] + 1) % 5
    with pytest.raises(LeakError, match="more than one fold"):
        Panel.of(replace(block, fold=fold), block.task_weight)


def test_members_that_lack_units_are_named_with_how_many(binary):
    (block,) = binary().blocks()
    p = block.p.copy()
    p[:3, 1] = np.nan
    with pytest.raises(TableError, match=r"fair \(regular\) lacks 3 of 300"):
        Panel.of(replace(block, p=p), block.task_weight)


def test_too_few_labelled_groups_are_refused(binary):
    (block,) = binary().blocks()
    with pytest.raises(TableError, match="too few labelled groups"):
        Panel.of(replace(block, label=np.full(len(block), -1)), block.task_weight)
