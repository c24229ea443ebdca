"""Labels that are the any of others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from radboost.data.predictions import Predictions
from radboost.data.task import AnyOf
from radboost.ensemble.blend import fit_blend
from radboost.ensemble.constraints import any_of, project
from radboost.ensemble.policy import Policy
from radboost.ensemble.result import BlendConfig
from radboost.metrics import Bootstrap, joint_log_loss

FEW = Bootstrap(replicates=20)
UNIT = st.floats(0, 1)


@given(arrays(float, 6, elements=UNIT), arrays(float, (6, 3), elements=UNIT))
def test_any_lies_between_the_largest_part_and_their_sum(whole, parts):
    moved, ours = any_of(whole, parts)
    assert (moved >= ours.max(axis=1) - 1e-12).all()
    assert (moved <= ours.sum(axis=1) + 1e-12).all()
    assert ((ours >= 0) & (ours <= 1)).all()
    assert ((moved >= 0) & (moved <= 1)).all()
    again, parts_again = any_of(moved, ours)
    assert again == pytest.approx(moved, abs=1e-12)
    assert parts_again == pytest.approx(ours, abs=1e-12)
    # What is right already is left alone.
    fine = (whole >= parts.max(axis=1)) & (whole <= parts.sum(axis=1))
    assert (moved[fine] == whole[fine]).all()
    assert (ours[fine] == parts[fine]).all()


def test_any_without_a_part_is_halved_and_shared_evenly():
    whole, parts = any_of(np.array([0.4]), np.zeros((1, 2)))
    assert whole.tolist() == [0.2]
    assert parts.tolist() == [[0.1, 0.1]]


def test_units_are_met_by_name_and_others_stay_as_they_are():
    p = {"any": np.array([[0.9, 0.1], [0.8, 0.2]]), "sub": np.array([[0.4, 0.6], [0.7, 0.3], [0.5, 0.5]])}
    units = {"any": np.array(["b", "a"]), "sub": np.array(["a", "b", "c"])}
    moved = project([AnyOf("any", ("sub",))], p, units)
    assert moved["any"][:, 1] == pytest.approx([0.3, 0.6])
    assert moved["sub"].tolist() == p["sub"].tolist()
    assert project([AnyOf("any", ("other",))], p, units)["any"] is p["any"]


def test_cross_fitted_blends_and_rivals_keep_to_the_constraints(binary):
    parts = [binary(seed, target=name, prevalence=0.2).table for seed, name in ((0, "epidural"), (1, "subdural"))]
    fold = parts[0]["fold"].to_numpy()
    y = np.maximum(parts[0]["y"], parts[1]["y"])
    logit = 1.5 * (y - 0.4) + np.random.default_rng(0).normal(size=len(y))
    whole = parts[0].assign(target="any", y=y, p=1 / (1 + np.exp(-logit)))
    joined = Predictions(pd.concat([t.assign(fold=fold) for t in (whole, *parts)], ignore_index=True))
    constraints = (AnyOf("any", ("epidural", "subdural")),)
    free = fit_blend(joined, Policy.SAFE, FEW)
    for method in ("none", "platt"):
        bound = fit_blend(joined, Policy.SAFE, FEW, BlendConfig(constraints=constraints, calibrate=method))
        wide = bound.predictions.table.pivot(index="unit", columns="target", values="p")
        subs = wide[["epidural", "subdural"]]
        assert (wide["any"] >= subs.max(axis=1) - 1e-12).all()
        assert (wide["any"] <= subs.sum(axis=1) + 1e-12).all()
    loose = free.predictions.table.pivot(index="unit", columns="target", values="p")
    assert (loose["any"] > loose[["epidural", "subdural"]].sum(axis=1)).any()
    # The rivals are moved alike, so that a lead over them is the weights' and not the constraints'.
    rival = [next(s for s in t.scores if s.name == "uniform mean").loss.value for t in bound.targets]
    assert rival != [next(s for s in t.scores if s.name == "uniform mean").loss.value for t in free.targets]
    # What the targets come to together is one number, over the rows of all under the task's weights.
    rows, blend = bound.predictions.table, bound.joint[0]
    assert [row.name for row in bound.joint] == ["blend", "uniform mean", "best member", "prior"]
    by_target = [rows[rows["target"] == name] for name in ("any", "epidural", "subdural")]
    assert blend.loss.value == pytest.approx(joint_log_loss([t["y"] for t in by_target], [t["p"] for t in by_target]))
    assert blend.loss.low < blend.loss.value < blend.loss.high
    assert blend.lead is None
    assert bound.joint[-1].lead.value == pytest.approx(blend.loss.value - bound.joint[-1].loss.value)
    assert bound.to_dict()["joint"][0]["loss"]["value"] == blend.loss.value
    assert bound.to_dict()["constraints"] == [{"whole": "any", "parts": ("epidural", "subdural")}]
