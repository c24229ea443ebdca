"""What chooses settings is judged on patients that had no say in scaling, imputation or components."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radboost.booster import columns as module
from radboost.booster.columns import prepare_columns
from radboost.booster.crossfit import BoostConfig, fit_boost
from radboost.booster.design import Design, build_design
from radboost.booster.prepare import Prepared
from radboost.data.task import Target
from radboost.errors import UserError


@pytest.fixture
def design(make) -> Design:
    cohort, store = make(
        patients=40, signal=1.0, width=48, targets=(Target("cancer", "cancer"), Target("mass", "mass"))
    )
    return build_design(cohort, [store])


def prepared(design: Design, components: int = 8) -> module.Columns:
    return prepare_columns(design, np.ones(design.label.shape), design.fold != 0, components)


def test_nothing_is_fitted_on_rows_that_judge_it(make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spy on every fit of a whole run: outer fits know the outer training groups, inner ones the inner ones."""
    cohort, store = make(patients=24, folds=2)
    fits: list[tuple[set[str], Prepared]] = []
    made: list[tuple[Design, module.Columns]] = []
    fit, prepare = Prepared.fit.__func__, module.prepare_columns

    def spy(cls, design, weight, components):
        fits.append((set(design.group[weight > 0]), fit(cls, design, weight, components)))
        return fits[-1][1]

    def watch(design, *others):
        made.append((design, prepare(design, *others)))
        return made[-1][1]

    monkeypatch.setattr(Prepared, "fit", classmethod(spy))
    monkeypatch.setattr("radboost.booster.fits.prepare_columns", watch)
    run = fit_boost(cohort, [store], BoostConfig(learners=("logistic",), workers=1))
    of = {id(p): groups for groups, p in fits}
    at = 0
    for fold, (design, own) in enumerate(made):
        held_out = set(design.group[design.fold == fold])
        assert not of[id(run.prepared["regular", fold])] & held_out
        assert own.inner.splits == len(own.inner.x) == 5
        at += 1
        for number in range(own.inner.splits):
            groups, used = fits[at]
            at += 1
            held = own.train[own.inner.fold == number]
            assert len(held)
            assert not groups & (set(design.group[held]) | held_out)
            x = used.transform(design)[own.train]
            both = [f for f in own.prepared.features if f in used.features]
            here, there = ([names.index(f) for f in both] for names in (own.prepared.features, used.features))
            given = own.inner.x[number][:, here]
            np.testing.assert_array_equal(given, x[:, there], err_msg="learners are given these columns")
    assert at == len(fits), "and nothing else is fitted"


def test_a_held_patient_cannot_move_inner_training_columns(design: Design) -> None:
    """The counter-check needs no spy: make one inner fold's images enormous, and see which columns notice."""
    before = prepared(design)
    held = before.train[before.inner.fold == 0]
    blocks = []
    for block in design.blocks:
        x = block.x.copy()
        x[held] = 1e3 * np.roll(x[held], 1, axis=1)
        blocks.append(replace(block, x=x))
    after = prepared(replace(design, blocks=tuple(blocks)))
    rest = before.inner.fold != 0
    np.testing.assert_array_equal(after.inner.x[0][rest], before.inner.x[0][rest])
    assert not np.allclose(after.inner.x[1][rest], before.inner.x[1][rest]), "other splits are fitted on them"
    assert not np.allclose(after.x[before.train[rest]], before.x[before.train[rest]]), "and so is the final model"


def test_targets_share_inner_folds_and_columns(design: Design) -> None:
    own = prepared(design)
    one, two = (own.rows(design, t, np.ones(len(design))) for t in (0, 1))
    np.testing.assert_array_equal(one[1].fold, two[1].fold)
    np.testing.assert_array_equal(one[1].x[0], two[1].x[0])
    for train, held, mask in one[1].cut(one[0]):
        assert not set(train.group) & set(held.group)
        np.testing.assert_array_equal(held.y, one[0].y[mask])
        assert train.x.shape[1] == one[0].x.shape[1], "the same blocks in every split"


def test_a_category_that_inner_rows_lack_leaves_an_empty_column(make) -> None:
    cohort, store = make(patients=30)
    design = build_design(cohort, [store])
    column = design.metadata["site"].where(design.group != design.group[design.fold != 0][0], "Z")
    wide = replace(design, metadata=design.metadata.assign(site=column))
    own = prepare_columns(wide, np.full(wide.label.shape, 3.0), wide.fold != 0, 4)
    at = own.prepared.features.index("site=Z")
    number = int(own.inner.fold[(column == "Z").to_numpy()[own.train]][0])
    assert not own.inner.x[number][:, at].any()
    assert own.inner.x[(number + 1) % 5][:, at].any()


def test_a_target_of_which_no_split_can_be_judged_is_named(design: Design) -> None:
    own = prepared(design)
    weight = np.zeros(len(design))
    weight[own.train[own.inner.fold == 0]] = 1.0
    with pytest.raises(UserError, match=r"mass.*too few patients"):
        own.rows(design, 1, weight)


def test_all_components_or_the_first_few_are_the_same(design: Design) -> None:
    few, many = prepared(design, 3), prepared(design, 60)
    at = [many.prepared.features.index(f) for f in few.prepared.features[:3]]
    ratio = few.x[:, :3] / many.x[:, at]
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=2e-2)
