"""What a blend settles by cross-fitting, and that it settles nothing on rows it is judged on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from radboost.data.predictions import Predictions
from radboost.ensemble.blend import fit_blend
from radboost.ensemble.panel import Panel
from radboost.ensemble.plan import Plan
from radboost.ensemble.policy import Policy
from radboost.ensemble.procedure import Procedure
from radboost.ensemble.result import BlendConfig
from radboost.ensemble.selection import SHARES, Bench
from radboost.metrics import Bootstrap, log_loss

FEW = Bootstrap(replicates=20)
FOLDS = frozenset(range(5))


def bench(predictions: Predictions, second=None, **changes) -> Bench:
    (block,) = predictions.blocks()
    panel = replace(Panel.of(block, block.task_weight), second=second)
    return Bench((panel,), **{"spaces": ("prob",), "shares": (1.0,), **changes})


def test_a_member_of_noise_is_dropped_and_the_rest_is_certified(binary):
    skills = {("good", "regular"): 1.5, ("fair", "regular"): 1.2, ("noise", "regular"): 0.0}
    source = binary(0, skills, patients=400)
    dropped, kept = (
        fit_blend(source, Policy.SAFE, FEW, BlendConfig("logit", keep_all=keep)).targets[0] for keep in (False, True)
    )
    assert dropped.dropped == ("noise",)
    assert dropped.weights["noise"] == 0
    assert dropped.gap <= 1e-8
    assert kept.dropped == ()


def test_dropping_lowers_the_cross_fitted_loss_or_leaves_it(binary):
    for seed in range(4):
        ours = bench(binary(seed, {(f"m{k}", "regular"): 0.3 * k for k in range(5)}, patients=80))
        every = Plan("prob", 1.0, tuple(range(5)))
        plan = ours.choose(FOLDS)
        assert ours.losses(plan, FOLDS)[0] <= ours.losses(every, FOLDS)[0] + 1e-7


def test_both_losses_must_agree_before_a_member_goes(binary):
    # A poor member goes; it stays where the other loss, of the rows on which it happens to be right, needs it.
    source = binary(5, {("good", "regular"): 1.2, ("poor", "regular"): 0.2}, patients=150)
    alone = bench(source).choose(FOLDS)
    assert alone.members == (0,)
    (panel,) = bench(source).panels
    lucky = panel.q[:, 1] > panel.q[:, 0] + 0.2
    weights = np.where(lucky, 1.0, 1e-3)
    # The mixture must carry it at all, else nothing changes without it.
    assert bench(source).fit(Plan("prob", 1.0, (0, 1)), FOLDS)[0].weights[1] > 0
    assert bench(source, weights).choose(FOLDS).members == (0, 1)


def test_a_member_stays_where_the_gain_without_it_may_be_luck(binary):
    ours = bench(binary(1, {("good", "regular"): 1.2, ("poor", "regular"): 0.4}, patients=150))
    both, good = Plan("prob", 1.0, (0, 1)), Plan("prob", 1.0, (0,))
    gain = ours.losses(both, FOLDS)[0] - ours.losses(good, FOLDS)[0]
    assert 0 < gain < ours._error(both, good, FOLDS)
    assert ours.choose(FOLDS).members == (0, 1)


def test_a_copy_of_a_member_moves_no_blended_probability(binary):
    source = binary(5, {(f"m{k}", "regular"): 0.4 * k for k in range(4)}).table
    copy = source[source["member"] == "m3"].assign(member="again")
    for space in ("prob", "logit"):
        once, twice = (
            fit_blend(Predictions(table), Policy.SAFE, FEW, BlendConfig(space)).predictions.table["p"].to_numpy()
            for table in (source, pd.concat([source, copy], ignore_index=True))
        )
        assert np.abs(once - twice).max() < 1e-6


def everything(predictions: Predictions, flip: int | None = None) -> Procedure:
    """A procedure with every choice open, with the labels of one fold turned over."""
    panels = []
    for block in predictions.blocks():
        label = np.where(block.fold == flip, 1 - block.label, block.label)
        panels.append(replace(Panel.of(replace(block, label=label), block.task_weight)))
    ours = Bench(tuple(panels), ("prob", "logit"), SHARES)
    names = tuple(f"t{k}" for k in range(len(panels)))
    units = tuple(block.unit for block in predictions.blocks())
    return Procedure((ours,), names, units, "isotonic")


def test_nothing_is_settled_on_the_rows_that_are_judged(binary):
    first, second = binary(6).table, binary(7, target="biopsy").table
    joined = Predictions(pd.concat([first, second.assign(fold=first["fold"].to_numpy())], ignore_index=True))
    plain, flipped = everything(joined).crossfit()[0], everything(joined, flip=2).crossfit()[0]
    changed = 0
    for before, after, block in zip(plain, flipped, joined.blocks(), strict=True):
        own = block.fold == 2
        assert (before.p[own] == after.p[own]).all()
        assert (before.called[own] == after.called[own]).all()
        changed += (before.p[~own] != after.p[~own]).any()
    assert changed == 2


def test_out_of_fold_is_what_the_other_folds_say(binary):
    ours = bench(binary(8))
    plan = Plan("prob", 1.0, (0, 1, 2))
    (p,) = ours.out_of_fold(plan, frozenset({0, 1, 3}))
    (panel,) = ours.panels
    own = panel.fold == 1
    weights = ours.fit(plan, frozenset({0, 3}))[0].weights
    assert p[own, 1] == pytest.approx(panel.p[own, :, 1] @ weights)
    assert np.isnan(p[panel.fold == 4]).all()
    rows = np.isin(panel.fold, (0, 1, 3))
    loss = log_loss(panel.label[rows], p[rows], panel.weight[rows])
    assert ours.losses(plan, frozenset({0, 1, 3})) == pytest.approx((loss, loss))


def test_two_folds_leave_one_to_settle_on(binary):
    # Without each fold there is one left, which has no other to be judged by: the first choice it is, not a failure.
    table = binary(9).table
    target = fit_blend(Predictions(table.assign(fold=table["fold"] % 2)), Policy.SAFE, FEW).targets[0]
    assert target.scores[0].loss.value < target.scores[-1].loss.value
    assert 0 < target.threshold < 1


def test_the_first_choice_stays_where_a_gain_may_be_luck(binary):
    """Sharpening that some cohorts seem to want by chance does not change the space; one that all want does."""
    chosen = {}
    for sharp, patients in ((1.0, 60), (4.0, 400)):
        plans = []
        for seed in range(6):
            table = binary(seed=seed, patients=patients).table
            odds = sharp * np.log(table["p"] / (1 - table["p"]))
            own = bench(Predictions(table.assign(p=1 / (1 + np.exp(-odds)))), spaces=("prob", "logit"))
            prob, logit = (Plan(space, 1.0, tuple(range(3))) for space in ("prob", "logit"))
            plan = own._best([prob, logit], FOLDS)
            gain = own.losses(prob, FOLDS)[0] - own.losses(logit, FOLDS)[0]
            assert (plan is logit) == (gain > own._error(prob, logit, FOLDS))
            plans.append((plan.space, gain > 0))
        chosen[sharp] = plans
    assert ("prob", True) in chosen[1.0], "the lower number alone would have been taken"
    assert chosen[4.0] == [("logit", True)] * 6


def test_the_error_of_a_difference_is_clustered(binary):
    """Each patient's rows twice, as rows of their own, tell no more than once."""
    table = binary(patients=60).table
    again = pd.concat([table, table.assign(unit=table["unit"] + "b")], ignore_index=True)
    prob, logit = (Plan(space, 1.0, tuple(range(3))) for space in ("prob", "logit"))
    errors = [bench(Predictions(t), spaces=("prob",))._error(prob, logit, FOLDS) for t in (table, again)]
    assert errors[1] == pytest.approx(errors[0], rel=1e-6)
