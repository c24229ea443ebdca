"""Augmented views as training rows: copies change nothing, noisy ones help, and predictions are their mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radboost.booster.crossfit import BoostConfig, fit_boost
from radboost.booster.design import build_design
from radboost.booster.design.stack import count_views, stack_views
from radboost.booster.run import Run
from radboost.errors import UserError

CONFIG = BoostConfig(learners=("logistic",), blocks=("image",), workers=1)


@dataclass(frozen=True)
class Viewed:
    """A store with augmented views of every crop, each off by its own noise."""

    store: Any
    views: int
    noise: float

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def rows_of(self, crop_ids: Any, view: int = 0) -> np.ndarray:
        rows = self.store.rows_of(crop_ids)
        return rows + len(self.store.ids) * view if view <= self.views else np.full(len(rows), -1)

    def read(self, pool: str, rows: np.ndarray) -> np.ndarray:
        view, row = np.divmod(rows, len(self.store.ids))
        off = np.random.default_rng(5).normal(size=(self.views + 1, *self.store.vectors.shape))
        off[0] = 0
        return (self.store.vectors[row] + self.noise * off[view, row]).astype(np.float32)


def test_views_that_are_copies_change_nothing(make) -> None:
    cohort, store = make(patients=40, signal=1.5, folds=2)
    plain = fit_boost(cohort, [store], CONFIG).predictions.table
    copies = fit_boost(cohort, [Viewed(store, 2, 0.0)], replace(CONFIG, views=True)).predictions.table
    assert plain["unit"].equals(copies["unit"])
    np.testing.assert_allclose(copies["p"], plain["p"], rtol=0, atol=1e-6)
    assert plain["task_weight"].equals(copies["task_weight"])


def test_predictions_are_the_mean_over_views(make, tmp_path: Path) -> None:
    cohort, store = make(patients=40, signal=1.5, folds=2)
    viewed = Viewed(store, 2, 0.5)
    run = fit_boost(cohort, [viewed], replace(CONFIG, views=True))
    assert run.save(tmp_path / "run").views == 2
    designs = [build_design(cohort, [viewed], view) for view in range(3)]
    loaded = Run.load(tmp_path / "run")
    member = ("logistic/image", "regular")
    apart = [loaded.predict(design)[member]["cancer"] for design in designs]
    assert np.abs(apart[0] - apart[1]).max() > 0.01
    np.testing.assert_allclose(loaded.predict(designs)[member]["cancer"], np.mean(apart, axis=0), atol=1e-12)
    table = run.predictions.table
    fold = table[table["fold"] == 0]
    rows = [list(designs[0].unit).index(unit) for unit in fold["unit"]]
    model = next(m for key, m in run.models.items() if key.fold == 0)
    by_hand = [model.predict_proba(run.prepared["regular", 0].transform(d))[rows, 1] for d in designs]
    np.testing.assert_allclose(fold["p"], np.mean(by_hand, axis=0), atol=1e-9)


def test_rows_of_views_stand_below_one_another(make) -> None:
    cohort, store = make(patients=20)
    viewed = Viewed(store, 1, 1.0)
    designs = [build_design(cohort, [viewed], view) for view in range(2)]
    both = stack_views(designs)
    n = len(designs[0])
    assert len(both) == 2 * n
    for number, block in enumerate(both.blocks):
        expected = np.vstack([np.asarray(d.blocks[number].x) for d in designs])
        np.testing.assert_array_equal(np.asarray(block.x), expected)
        picked = np.array([2 * n - 1, 0, n])
        np.testing.assert_array_equal(both.take(picked).blocks[number].x[0:3], expected[picked])
    assert (both.unit[:n] == both.unit[n:]).all()
    ordered = [replace(d, sequence=np.zeros(n, np.int64), position=np.arange(n)) for d in designs]
    assert set(stack_views(ordered).sequence[:n]) == {0}
    assert set(stack_views(ordered).sequence[n:]) == {1}, "a series of one view is no series of another"


def test_without_views_the_option_is_refused(make) -> None:
    cohort, store = make(patients=20, folds=2)
    assert count_views([Viewed(store, 3, 0.1)], cohort.manifest["crop_id"].tolist()) == 3
    with pytest.raises(UserError, match="no store has augmented views"):
        fit_boost(cohort, [Viewed(store, 0, 0.0)], replace(CONFIG, views=True))
