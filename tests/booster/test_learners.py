"""What every learner promises: honest weights, the prior as a fall-back, the same model back from disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from radboost.booster.learner import (
    DEFAULT_LEARNERS,
    best_round,
    fit_learner,
    load_fitted,
    lowest_round,
    row_loss,
    softmax,
    to_classes,
)
from radboost.booster.recipe import Recipe
from radboost.booster.rows import Inner, Rows, Span, make_inner
from radboost.errors import FormatError, UserError


def rows(n: int = 240, classes: int = 2, signal: float = 2.0, seed: int = 0) -> Rows:
    """Two rows a group; the first columns of the second, narrow block carry the signal."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 20)).astype(np.float32)
    x[:, :16] /= 4
    x[:, 16:] /= 2
    margin = signal * 2 * x[:, 16 : 15 + classes].astype(float) - 1
    p = to_classes(margin) if classes == 2 else softmax(np.hstack([np.zeros((n, 1)), margin]))
    y = (random.random((n, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
    group = np.repeat([f"g{i}" for i in range(n // 2)], 2)
    spans = (Span("wide", 0, 16, True), Span("narrow", 16, 20, False))
    return Rows(x, y.astype(np.int64), np.ones(n), group, classes, spans)


def loss(fitted, at: Rows) -> float:
    return float(row_loss(at.y, fitted.predict_proba(at.x)).mean())


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", DEFAULT_LEARNERS)
def test_beats_the_prior_on_a_signal_and_comes_back_from_disk(name: str, classes: int, tmp_path: Path) -> None:
    train, test = rows(classes=classes), rows(600, classes=classes, seed=1)
    fitted = fit_learner(name, train, make_inner(train, 0))
    p = fitted.predict_proba(test.x)
    assert p.shape == (600, classes)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-9)
    prior = row_loss(test.y, np.tile(train.rates, (600, 1))).mean()
    assert loss(fitted, test) < prior - 0.05
    assert not np.isnan(fitted.inner).any(), "with few groups every row is judged once"
    fitted.save(tmp_path)
    assert {f.suffix for f in tmp_path.iterdir()} <= {".json", ".safetensors", ".txt", ".ubj"}
    np.testing.assert_allclose(load_fitted(tmp_path).predict_proba(test.x), p, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", DEFAULT_LEARNERS)
def test_on_noise_it_stays_near_the_prior(name: str, tmp_path: Path) -> None:
    losses = []
    for seed in range(3):
        train, test = rows(signal=0.0, seed=seed), rows(1000, signal=0.0, seed=10)
        fitted = fit_learner(name, train, make_inner(train, 0))
        losses.append(loss(fitted, test) - row_loss(test.y, np.tile(train.rates, (1000, 1))).mean())
    assert np.mean(losses) < 0.03
    fitted.save(tmp_path)
    np.testing.assert_allclose(load_fitted(tmp_path).predict_proba(test.x), fitted.predict_proba(test.x), atol=1e-12)


# LightGBM counts rows in a leaf, so it is alike within noise only.
@pytest.mark.parametrize("name", [n for n in DEFAULT_LEARNERS if n != "lightgbm"])
def test_weight_two_is_the_row_twice(name: str) -> None:
    train, test = rows(160), rows(50, seed=1)
    weight = np.random.default_rng(3).integers(1, 3, len(train))
    weighted = replace(train, weight=weight.astype(float))
    twice = train.take(np.repeat(np.arange(len(train)), weight))
    inner, inner_twice = make_inner(weighted, 0), make_inner(twice, 0)
    np.testing.assert_array_equal(np.repeat(inner.fold, weight), inner_twice.fold)
    one, two = fit_learner(name, weighted, inner), fit_learner(name, twice, inner_twice)
    np.testing.assert_allclose(one.predict_proba(test.x), two.predict_proba(test.x), rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", DEFAULT_LEARNERS)
def test_two_fits_are_equal(name: str) -> None:
    train = rows(120)
    inner = make_inner(train, 0)
    one, two = (fit_learner(name, train, inner, Recipe(5)).predict_proba(train.x) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_strengths_are_chosen_block_by_block() -> None:
    train = rows(600, signal=1.5)
    wide, narrow = fit_learner("logistic", train, make_inner(train, 0)).strengths
    assert wide > 10 * narrow, "the block of noise is penalised harder, or dropped"


@pytest.mark.parametrize("name", DEFAULT_LEARNERS)
def test_constant_columns_leave_the_base_rate(name: str) -> None:
    train = rows(80)
    train = replace(train, x=np.zeros_like(train.x))
    p = fit_learner(name, train, make_inner(train, 0)).predict_proba(train.x)
    np.testing.assert_allclose(p, np.tile(train.rates, (80, 1)), atol=5e-3)


def test_rows_of_weight_zero_are_refused() -> None:
    train = rows(40)
    with pytest.raises(UserError, match="weight 0"):
        replace(train, weight=np.zeros(40))


def test_inner_folds_never_cut_a_group() -> None:
    train = rows(90)
    inner = make_inner(train, 3)
    for fitted, held in inner:
        assert not set(train.group[fitted]) & set(train.group[held])
    with pytest.raises(UserError, match="one group"):
        make_inner(train.take(np.array([0, 1])), 0)


def test_many_groups_are_judged_by_one_split() -> None:
    train = replace(rows(3200), group=np.arange(3200).astype(str))
    inner = make_inner(train, 0)
    assert inner.splits == 1
    p = fit_learner("logistic", train, inner).inner
    assert (np.isnan(p[:, 0]) == ~inner.judged).all()


def test_columns_of_blocks_are_cut_together() -> None:
    train = rows(10)
    narrow = train.only(["narrow"])
    np.testing.assert_array_equal(narrow.x, train.x[:, 16:])
    assert narrow.spans == (Span("narrow", 0, 4, False),)


def test_lowest_round_is_the_earliest_of_the_best() -> None:
    assert lowest_round([[0.5, 0.4, 0.4, 0.4], [0.5, 0.4, 0.4, 0.4]], [1, 1]) == 1
    assert lowest_round([[0.5, 0.6], [0.5, 0.45]], [9, 1]) == 0, "splits count by their weight"


def test_a_gain_that_may_be_luck_leaves_the_base_rate() -> None:
    alike = [[0.5, 0.45], [0.5, 0.46], [0.5, 0.44]]
    lucky = [[0.5, 0.30], [0.5, 0.55], [0.5, 0.56]]
    assert lowest_round(alike, [1, 1, 1]) == lowest_round(lucky, [1, 1, 1]) == 1
    assert best_round(alike, [1, 1, 1]) == 1
    assert best_round(lucky, [1, 1, 1]) == 0
    assert best_round([[0.5, 0.49]], [1]) == 1, "one split has no spread to tell"


def test_unknown_learner_and_damaged_model_are_named(tmp_path: Path) -> None:
    train = rows(20)
    with pytest.raises(UserError, match=r"no such learner.*forest.*logistic"):
        fit_learner("forest", train, Inner(np.zeros(20, np.int64), 1))
    (tmp_path / "model.json").write_text('{"learner": "logistic", "strengths": [1.0]}')
    with pytest.raises(FormatError, match="damaged"):
        load_fitted(tmp_path)
