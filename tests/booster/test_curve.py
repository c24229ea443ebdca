"""The learning curve: fits on parts of the patients, judged on the units that all fits are judged on."""

from __future__ import annotations

import numpy as np
import pytest

from radboost.booster.config import BoostConfig
from radboost.booster.crossfit import fit_boost
from radboost.booster.curve import DEALT, deal_parts, learning_curve
from radboost.booster.design import build_design
from radboost.booster.fits import REGULAR, Done, Job, Shelf, Work
from radboost.booster.recipe import Recipe
from radboost.booster.score import score_predictions
from radboost.errors import UserError

CURVE = BoostConfig(learners=("logistic",), blocks=("metadata",), workers=1, curve="logistic")


@pytest.fixture(scope="module")
def run(make, tmp_path_factory):
    cohort, store = make(patients=160, age=1.5, rate=0.7, folds=2, width=2)
    kept = tmp_path_factory.mktemp("fits") / "kept"
    found = fit_boost(cohort, [store], CURVE, keep=kept)
    again = fit_boost(cohort, [store], CURVE, keep=kept)
    assert again.content["learning"] == found.content["learning"], "what was finished before is what would be fitted"
    return found


def test_it_ends_at_the_run_itself_and_more_patients_help(run):
    points = {point["share"]: point for point in run.content["learning"]}
    assert list(points) == [1 / 8, 1 / 4, 1 / 2, 1.0]
    assert [point["parts"] for point in points.values()] == [4, 4, 2, 1]
    assert [point["patients"] for point in points.values()] == pytest.approx([10, 20, 40, 80], abs=0.6)
    assert {(point["units"], point["groups"]) for point in points.values()} == {(320, 160)}, "all are judged on all"
    own = next(s for s in score_predictions(run.predictions) if s.member == "logistic/metadata")
    assert points[1.0]["loss"][0] == pytest.approx(own.loss[0], abs=1e-12)
    assert points[1.0]["auc"][0] == pytest.approx(own.auc[0], abs=1e-12)
    gain = points[1 / 8]["loss"][0] - points[1.0]["loss"][0]
    assert gain > 0.005, "of a clear signal more is learnt from more patients"
    steps = [points[share]["doubling"][0] for share in (1 / 8, 1 / 4, 1 / 2)]
    assert sum(steps) == pytest.approx(gain, abs=1e-12)
    assert points[1.0]["doubling"] is None
    for point in points.values():
        assert point["loss"][1] < point["loss"][0] < point["loss"][2]


@pytest.fixture(scope="module")
def work(make) -> Work:
    cohort, store = make(patients=160, rate=0.7, folds=2, width=2)
    design = build_design(cohort, [store])
    return Work(design, np.ones(len(design)), ("metadata",), Recipe(), 8)


def test_parts_hold_whole_patients_and_their_share_of_every_fold_and_of_findings(work):
    part, design = deal_parts(work), work.design
    for group in np.unique(design.group):
        assert len(set(part[design.group == group])) == 1
    sick = np.isin(design.group, design.group[design.label[:, 0] > 0])
    for fold in (0, 1):
        for here in (sick, ~sick):
            groups = [len(np.unique(design.group[(part == k) & here & (design.fold == fold)])) for k in range(DEALT)]
            assert max(groups) - min(groups) <= 1


def test_a_fit_of_a_part_learns_from_no_other_patient(work):
    """Weight 0 is no row (tests of the learners): the weights tell who was learnt from."""
    seen: dict[str, set[str]] = {}
    jobs = [Job("logistic", REGULAR, fold) for fold in (0, 1)]

    def fit(cut: Work, asked: list[Job], name: str) -> dict[Job, Done]:
        learnt = (cut.weight(REGULAR) > 0).any(axis=1)
        seen[name] = set(cut.design.group[learnt])
        assert (cut.design.label == work.design.label).all(), "all are judged as before"
        return done

    shelf = Shelf(work, jobs)
    done = {job: shelf.fit(job) for job in jobs}
    points, notes = learning_curve(work, jobs, done, fit)
    assert notes == []
    assert sorted(seen) == [f"{size}-{k}" for size, count in ((2, 2), (4, 4), (8, 4)) for k in range(count)]
    for size in ("2", "4", "8"):
        parts = [groups for name, groups in seen.items() if name.startswith(size)]
        assert len(set().union(*parts)) == sum(map(len, parts)), "no patient is in two parts of a share"
        assert {len(groups) for groups in parts} == {160 // int(size)}
    # The same predictions at every share have the same loss, and doubling gains nothing at all.
    assert {point["loss"][0] for point in points} == {points[0]["loss"][0]}
    assert points[0]["doubling"] == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)


def test_shares_with_too_few_of_a_class_are_left_out_with_a_word(make):
    cohort, store = make(patients=40, rate=0.5, folds=2, width=2)
    run = fit_boost(cohort, [store], CURVE)
    assert min(point["share"] for point in run.content["learning"]) > 1 / 8
    assert any("no 1/8 of the patients" in note for note in run.notes)


def test_what_has_no_curve_is_refused():
    with pytest.raises(UserError, match="--curve"):
        BoostConfig(learners=("logistic",), curve="mlp")
    with pytest.raises(UserError, match="--curve"):
        BoostConfig(learners=("lightgbm",), curve="lightgbm", tune=1.0)
