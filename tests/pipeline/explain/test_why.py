"""Shares add up to what is predicted, in either space; and exams that are alike are those of other patients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radboost.booster.design import build_design
from radboost.data.store import EmbeddingStore
from radboost.errors import LeakError, MismatchError, UserError
from radboost.pipeline.blending import Blend
from radboost.pipeline.explain.alike import Trained
from radboost.pipeline.explain.exams import Exams
from radboost.pipeline.explain.explain import ExplainConfig, chosen_units
from radboost.pipeline.explain.system import Asked, Question, System, log_odds
from radboost.pipeline.explain.why import explain_why

MEMBERS = ("logistic/image", "logistic/metadata", "lightgbm/image")


@pytest.fixture(scope="module")
def trained(squares, cohort):
    return build_design(cohort, [EmbeddingStore.open(squares / "store")])


@pytest.fixture(scope="module")
def exams(new):
    return Exams(new[0], (new[1],), ())


def mixed(squares, space):
    """The run's members blended by weights of ours, in a space of ours, calibrated."""
    run = System.load(squares / "run").runs[0][1]
    blend = Blend.load(squares / "blend")
    logit = space == "logit"
    (target,) = blend.header["targets"]
    target = {
        **target,
        "weights": dict.fromkeys(MEMBERS, 0.7 if logit else 1 / 3),
        "space": space,
        "intercepts": [0.0, -0.3] if logit else [],
        "calibration": {"method": "platt", "weights": [0.8], "intercepts": [0.0, 0.2], "steps": []},
    }
    changed = Blend(blend.folder, {**blend.header, "targets": [target]})
    return System(squares / "blend", blend.task, (("", run),), changed)


@pytest.mark.parametrize("space", ["prob", "logit"])
def test_base_shares_and_calibration_add_up_to_the_prediction(squares, exams, space):
    system = mixed(squares, space)
    asked = Asked(system, Question.of(system.task))
    p = asked.probability(exams.design)
    for row in range(3):
        why = explain_why(asked, exams.design, row)
        assert why.p == pytest.approx(p[row], rel=1e-5)
        reached = log_odds(p[row]) if space == "logit" else p[row]
        assert why.base + sum(why.shares) + why.after == pytest.approx(reached, abs=1e-4)
        # What comes after the mixing is the calibration and nothing else: shares reach the mixture itself.
        plain = {**system.blend.header["targets"][0], "calibration": {**NONE}}
        bare = replace(system, blend=Blend(system.folder, {**system.blend.header, "targets": [plain]}))
        alone = explain_why(Asked(bare, asked.question), exams.design, row)
        assert alone.after == pytest.approx(0, abs=2e-5)
        assert alone.shares == pytest.approx(why.shares)
        assert {b.kind for b in why.blocks} == {"own", "difference", "metadata"}
        assert [m.name for m in why.members] == sorted(MEMBERS, key=[m[0] for m in ORDER].index)


NONE = {"method": "none", "weights": [], "intercepts": [], "steps": []}
ORDER = [("logistic/image",), ("logistic/metadata",), ("lightgbm/image",)]


def test_both_classes_shares_are_each_others_mirror(squares, exams):
    system = mixed(squares, "prob")
    one, other = (explain_why(Asked(system, Question("cancer", k, str(k))), exams.design, 0) for k in (1, 0))
    there = dict(zip(other.blocks, other.shares, strict=True))
    assert [there[b] for b in one.blocks] == pytest.approx([-s for s in one.shares])


def test_a_run_is_the_mean_of_its_regular_members(squares, exams):
    system = System.load(squares / "run")
    asked = Asked(system, Question.of(system.task))
    parts = system.runs[0][1].predict(exams.design)
    wanted = np.mean([p["cancer"][:, 1] for p in parts.values()], axis=0)
    np.testing.assert_allclose(asked.probability(exams.design), wanted)
    why = explain_why(asked, exams.design, 1)
    assert why.base + sum(why.shares) == pytest.approx(wanted[1], abs=2e-5)


def test_units_that_were_learnt_from_are_explained_by_their_own_folds_models(squares, blend, cohort, trained):
    exams = Exams(cohort, (EmbeddingStore.open(squares / "store"),), ())
    folds = exams.folds(blend)
    units = cohort.units.set_index("unit")
    assert all(fold == (units["fold"][unit],) for unit, fold in folds.items())
    other = replace(cohort, folds=cohort.folds.assign(fold=1 - cohort.folds["fold"]))
    with pytest.raises(LeakError, match="other folds"):
        Exams(other, exams.stores, ()).folds(blend)


def test_alike_are_training_units_of_other_patients_and_other_folds(blend, trained):
    known = Trained(blend.runs[0][1], trained)
    row = 5
    fold = int(trained.fold[row])
    near = known.nearest(Asked(blend, Question.of(blend.task), (fold,)), trained, row, 100)
    place = {unit: k for k, unit in enumerate(trained.unit.tolist())}
    at = np.array([place[each.unit] for each in near])
    assert set(trained.fold[at]) == {1 - fold}
    assert trained.group[row] not in set(trained.group[at])
    distances = [each.distance for each in near]
    assert distances == sorted(distances)
    assert 0 < distances[0] < 1.2 < distances[-1] * 1.3
    assert {each.label for each in near} == {"0", "1"}
    # Of an unknown patient every fold's models speak; the very same features are at no distance.
    stranger = replace(trained, group=np.char.add("x", trained.group))
    near = known.nearest(Asked(blend, Question.of(blend.task)), stranger, row, 3)
    assert near[0].unit == trained.unit[row]
    assert near[0].distance == pytest.approx(0, abs=1e-6)


def test_units_go_by_name_by_hash_or_by_probability(blend, exams, new, asked):
    units = exams.cohort.units
    name, hashed = units["unit"].iloc[2], units["unit_id"].iloc[3]
    chosen = chosen_units(blend, exams, asked.question, ExplainConfig(units=(name, hashed, hashed[:10])))
    assert chosen == [name, units["unit"].iloc[3], units["unit"].iloc[3]]
    ranked = chosen_units(blend, exams, asked.question, ExplainConfig(most=2))
    assert ranked == sorted(new[2], key=lambda unit: -new[2][unit])[:2]
    with pytest.raises(MismatchError, match="nobody"):
        chosen_units(blend, exams, asked.question, ExplainConfig(units=("nobody",)))


def test_what_cannot_be_asked_is_named(blend, tmp_path):
    with pytest.raises(UserError, match="Known: cancer"):
        Question.of(blend.task, "death")
    with pytest.raises(UserError, match="Known: 0, 1"):
        Question.of(blend.task, None, "maybe")
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(UserError, match="is a training"):
        System.load(tmp_path)
