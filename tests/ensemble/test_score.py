"""Rows of the table of scores."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from radboost.ensemble.crossfit import crossfit, pool, uniform
from radboost.ensemble.panel import Panel
from radboost.ensemble.score import blend_lead, jsonable, score
from radboost.metrics import Bootstrap, auc, log_loss, pf1

FEW = Bootstrap(replicates=40)


@pytest.fixture
def panel(binary) -> Panel:
    (block,) = binary().blocks()
    return Panel.of(block, block.task_weight)


def test_scores_are_the_metrics_on_the_judged_rows_inside_their_intervals(panel):
    label = panel.label.copy()
    label[::5] = -1
    panel = replace(panel, label=label)
    outcome, rows = crossfit(panel, pool(panel)), panel.judged
    row = score("blend", panel, outcome, FEW)
    # Two columns are divided by their sum, one is not: the same to the last digit but one.
    assert row.loss.value == pytest.approx(log_loss(label[rows], outcome.p[rows], panel.weight[rows]), abs=1e-14)
    assert row.auc.value == auc(label[rows], outcome.p[rows, 1], panel.weight[rows])
    assert row.f1.value == pf1(label[rows], outcome.called[rows], panel.weight[rows])
    for estimate in (row.loss, row.auc, row.pf1, row.f1):
        assert estimate.low < estimate.value < estimate.high


def test_f1_is_not_defined_where_a_fold_has_no_threshold(panel):
    outcome = crossfit(panel, pool(panel))
    called = outcome.called.copy()
    called[0] = np.nan
    row = score("blend", panel, replace(outcome, called=called), FEW)
    assert math.isnan(row.f1.value)
    assert not math.isnan(row.pf1.value)


def test_several_classes_have_a_loss_only(multi):
    (block,) = multi().blocks()
    panel = Panel.of(block, block.task_weight)
    row = score("blend", panel, crossfit(panel, pool(panel)), FEW)
    assert row.loss.low < row.loss.value < row.loss.high
    assert all(math.isnan(e.value) for e in (row.auc, row.pf1, row.f1))


def test_lead_is_the_difference_of_the_two_losses(panel):
    blend, mean = crossfit(panel, pool(panel)), crossfit(panel, uniform(panel))
    lead = blend_lead(panel, blend, mean, FEW)
    expected = score("", panel, blend, FEW).loss.value - score("", panel, mean, FEW).loss.value
    assert lead.value == pytest.approx(expected, abs=1e-15)


def test_a_row_with_undefined_numbers_is_still_strict_json(multi):
    (block,) = multi().blocks()
    panel = Panel.of(block, block.task_weight)
    row = score("blend", panel, crossfit(panel, pool(panel)), FEW)
    back = json.loads(json.dumps(jsonable(row), allow_nan=False))
    assert back["auc"] == {"value": None, "low": None, "high": None}
    assert back["loss"]["value"] == row.loss.value
