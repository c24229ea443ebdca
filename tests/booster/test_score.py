"""The table of scores: against a prior that is out of fold itself."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from radboost.booster.score import PRIOR, Score, joint_scores, macro_auc, prior_predictions, score_predictions
from radboost.data.predictions import COLUMNS, Predictions
from radboost.metrics import JOINT, Bootstrap, auc, joint_log_loss, log_loss


def predictions(target_weight: float = 1.0) -> Predictions:
    random = np.random.default_rng(0)
    y = (random.random(60) < 0.4).astype(float)
    rows = {
        "unit": [f"u{i:02d}" for i in range(60)],
        "target": "cancer",
        "class": 1,
        "y": y,
        "p": np.clip(0.4 + 0.3 * (y - 0.4) + 0.1 * random.normal(size=60), 0, 1),
        "member": "mlp/fused",
        "kind": "regular",
        "task_weight": random.integers(1, 3, 60).astype(float),
        "target_weight": np.where(np.arange(60) % 2, target_weight, 1.0),
        "group": [f"g{i // 2}" for i in range(60)],
        "fold": np.arange(60) // 2 % 3,
        "fold_hash": "h",
    }
    return Predictions(pd.DataFrame(rows).astype(COLUMNS))


def test_scores_are_the_metrics_of_the_table() -> None:
    table = predictions().table
    prior, member = score_predictions(predictions(), Bootstrap(replicates=50))
    assert (prior.member, member.member) == (PRIOR, "mlp/fused")
    assert member.loss[0] == pytest.approx(log_loss(table["y"], table["p"], table["task_weight"]))
    assert member.auc[0] == pytest.approx(auc(table["y"], table["p"], table["task_weight"]))
    assert member.gain[0] == pytest.approx(prior.loss[0] - member.loss[0])
    for low_to_high in (member.loss, member.auc, member.pf1, member.gain):
        assert low_to_high[1] <= low_to_high[0] <= low_to_high[2]
    assert math.isnan(member.weighted_loss[0]), "no target weights were given"
    assert (member.units, member.groups) == (60, 30)


def test_target_weights_get_a_loss_of_their_own() -> None:
    table = predictions(3.0).table
    both = table["task_weight"] * table["target_weight"]
    member = score_predictions(predictions(3.0), Bootstrap(replicates=20))[1]
    assert member.weighted_loss[0] == pytest.approx(log_loss(table["y"], table["p"], both))
    assert member.loss[0] == pytest.approx(log_loss(table["y"], table["p"], table["task_weight"]))


def test_the_prior_of_a_fold_knows_nothing_of_it() -> None:
    (block,) = predictions().blocks()
    p = prior_predictions(block, block.task_weight)
    for fold in range(3):
        others = block.fold != fold
        share = np.average(block.label[others] == 1, weights=block.task_weight[others])
        np.testing.assert_allclose(p[~others, 1], share)


def test_rows_go_through_json_with_their_gaps() -> None:
    for score in score_predictions(predictions(), Bootstrap(replicates=10)):
        text = json.dumps(score.to_dict(), allow_nan=False)
        np.testing.assert_equal(Score.from_dict(json.loads(text)).__dict__, score.__dict__)


def test_several_classes_are_ranked_one_against_the_rest() -> None:
    y = np.array([0, 1, 2, 0])
    assert macro_auc(y, np.eye(3)[y]) == 1.0
    assert math.isnan(macro_auc([0, 0], [[1.0, 0.0], [1.0, 0.0]]))


def test_all_targets_together_weigh_each_row_by_its_task() -> None:
    first = predictions(2.0).table
    second = first.assign(target="other", p=1 - first["p"], task_weight=2.0)
    other = predictions(2.0).table.assign(member="mlp/image")
    scores = joint_scores(Predictions(pd.concat([first, second, other], ignore_index=True)), Bootstrap(replicates=50))
    assert [(s.target, s.member) for s in scores] == [(JOINT, m) for m in (PRIOR, "mlp/fused", "mlp/image")]
    prior, member, lacking = scores
    y, p = [first["y"], second["y"]], [first["p"], second["p"]]
    assert member.loss[0] == pytest.approx(joint_log_loss(y, p, [first["task_weight"], 2.0]))
    both = [first["task_weight"] * first["target_weight"], 2 * first["target_weight"]]
    assert member.weighted_loss[0] == pytest.approx(joint_log_loss(y, p, both))
    assert member.gain[0] == pytest.approx(prior.loss[0] - member.loss[0])
    assert member.loss[1] < member.loss[0] < member.loss[2]
    assert (prior.units, member.units, lacking.units) == (120, 120, 60)
    assert math.isnan(member.auc[0])
