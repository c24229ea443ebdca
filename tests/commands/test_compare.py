"""`radboost compare`: paired, clustered, and the same whichever comes first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from radboost.data.predictions import Predictions
from radboost.errors import MismatchError
from radboost.metrics import Bootstrap, log_loss
from radboost.pipeline.compare import Side, compare

HOW = Bootstrap(replicates=200)


def side(run, name: str) -> Side:
    return Side.open(f"{run}:{name}")


def test_a_member_against_another_and_the_other_way_round(run):
    one, two = side(run, "logistic/fused"), side(run, "logistic/metadata")
    there, back = compare(one, two, HOW), compare(two, one, HOW)
    assert [c.metric for c in there] == ["log loss", "AUC", "pF1"]
    for a, b in zip(there, back, strict=True):
        assert a.difference.value == pytest.approx(-b.difference.value)
        assert (a.difference.low, a.difference.high) == pytest.approx((-b.difference.high, -b.difference.low))
        assert a.win == pytest.approx(1 - b.win)
    table = one.predictions.table
    seen = table[table["y"].notna()]
    assert there[0].first[0] == pytest.approx(log_loss(seen["y"].to_numpy(int), seen["p"], seen["task_weight"]))


def test_a_result_against_itself_is_even(run):
    for found in compare(side(run, "logistic/fused"), side(run, "logistic/fused"), HOW):
        assert (found.difference.value, found.difference.low, found.difference.high, found.win) == (0, 0, 0, 0.5)


def test_only_units_that_both_predicted_count(run):
    one = side(run, "logistic/fused")
    units = one.predictions.table["unit"].unique()
    less = Side("less", Predictions(one.predictions.table[one.predictions.table["unit"].isin(units[5:])]))
    found = compare(one, less, HOW)[0]
    assert found.left_out == 5
    assert found.units <= len(units) - 5


def test_other_labels_are_refused(run):
    one = side(run, "logistic/fused")
    turned = one.predictions.table.assign(y=1 - one.predictions.table["y"])
    with pytest.raises(MismatchError, match="disagree about the labels"):
        compare(one, Side("turned", Predictions(turned)), HOW)
    strangers = one.predictions.table.assign(unit=[f"x{k}" for k in np.arange(len(one.predictions.table))])
    with pytest.raises(MismatchError, match="share no labelled unit"):
        compare(one, Side("strangers", Predictions(pd.DataFrame(strangers))), HOW)


def test_the_command_compares_a_blend_with_a_member(radboost, run, blend):
    text = radboost("compare", blend, f"{run}:logistic/fused").output
    assert "first minus second" in text
    assert "AUC" in text


@pytest.mark.parametrize(("second", "says"), [("{run}", "has several members"), ("{run}:nobody", "has no such member")])
def test_a_member_that_is_not_named_or_not_there(radboost, run, blend, second, says):
    assert says in radboost("compare", blend, second.format(run=run), code=2).stderr
