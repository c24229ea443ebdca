"""Heads keep what every learner promises, and beat those that see one slice at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from radboost.booster.learner import fit_learner, row_loss
from radboost.booster.objective import Objective
from radboost.booster.recipe import Recipe
from radboost.booster.rows import Inner, Order, Rows, make_inner
from radboost.booster.sequence import plan, pooled, residual
from radboost.booster.sequence.model import SequenceModel, load_head
from radboost.data.folder import read_json
from radboost.errors import MismatchError, UserError

HEADS = {"pooled-res": pooled, "residual": residual}
QUICK = Recipe(seeds=1, settings={"steps": 4, "rate": 12.0})
each_head = pytest.mark.parametrize("head", HEADS)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four epochs, where no claim hangs on how well a head learns."""
    monkeypatch.setattr(plan, "RATES", {name: rates[:4] for name, rates in plan.RATES.items()})


def predict(model: SequenceModel, rows: Rows) -> np.ndarray:
    return model.predict_in_order(rows.x, Order(rows.sequence, rows.position))


def loss(p: np.ndarray, rows: Rows) -> float:
    return float(np.average(row_loss(rows.y, p), weights=rows.weight))


def prior(train: Rows, test: Rows) -> float:
    return loss(np.tile(train.rates, (len(test), 1)), test)


def gain(head: str, scans, seed: int) -> float:
    """By how much of the better booster's loss, which sees slices one by one, a head's is less."""
    train, test = scans(80, 16, seed=seed), scans(200, 16, seed=100 + seed)
    inner = make_inner(train, 0)
    slicewise = min(loss(fit_learner(n, train, inner).predict_proba(test.x), test) for n in ("lightgbm", "xgboost"))
    return (slicewise - loss(predict(HEADS[head].fit(train, inner, QUICK), test), test)) / slicewise


@each_head
def test_beats_learners_that_see_one_slice(head: str, scans) -> None:
    # Neighbours carry as much evidence as the slice itself.
    assert gain(head, scans, 0) > 0.08


@pytest.mark.proof
@each_head
def test_beats_learners_that_see_one_slice_whatever_the_seed(head: str, scans) -> None:
    gains = [gain(head, scans, seed) for seed in range(5)]
    print(f"{head}: gains {', '.join(f'{g:.3f}' for g in gains)}")
    assert min(gains) > 0.04
    assert np.mean(gains) > 0.12


@each_head
def test_comes_back_from_disk(head: str, scans, tmp_path: Path, brief) -> None:
    train, test = scans(20), scans(10, seed=1)
    model = HEADS[head].fit(train, make_inner(train, 0), QUICK)
    assert not np.isnan(model.inner).any()
    model.save(tmp_path)
    assert {f.suffix for f in tmp_path.iterdir()} <= {".json", ".safetensors"}
    p = predict(load_head(tmp_path, read_json(tmp_path / "model.json")), test)
    np.testing.assert_array_equal(p, predict(model, test))
    np.testing.assert_allclose(p.sum(axis=1), 1)


@each_head
def test_noise_leaves_the_base_rate(head: str, scans) -> None:
    train, test = scans(signal=0.0), scans(100, signal=0.0, seed=1)
    # Labels shuffled over series and slices: neighbours tell nothing either.
    train = replace(train, y=np.random.default_rng(0).permutation(train.y))
    test = replace(test, y=np.random.default_rng(1).permutation(test.y))
    model = HEADS[head].fit(train, make_inner(train, 0), QUICK)
    assert loss(predict(model, test), test) < prior(train, test) + 0.01


@each_head
def test_rows_may_come_in_any_order_and_threads_do_not_matter(head: str, scans, brief) -> None:
    train, test = scans(16), scans(8, seed=1)
    inner = make_inner(train, 0)
    order = np.random.default_rng(2).permutation(len(train))
    model = HEADS[head].fit(train, inner, QUICK)
    one = predict(model, test)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        two = predict(HEADS[head].fit(train.take(order), inner.take(order), QUICK), test)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-5)
    mixed = np.random.default_rng(3).permutation(len(test))
    np.testing.assert_array_equal(predict(model, test), one)
    np.testing.assert_allclose(predict(model, test.take(mixed)), one[mixed], rtol=0, atol=1e-6)


@each_head
def test_weight_two_is_the_row_twice(head: str, scans, brief) -> None:
    train, test = scans(16), scans(8, seed=1)
    weight = np.random.default_rng(3).integers(1, 3, len(train))
    weighted, twice = replace(train, weight=weight.astype(float)), train.take(np.repeat(np.arange(len(train)), weight))
    inner = make_inner(weighted, 0)
    one = predict(HEADS[head].fit(weighted, inner, QUICK), test)
    two = predict(HEADS[head].fit(twice, inner.take(np.repeat(np.arange(len(train)), weight)), QUICK), test)
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-4)


def with_another_target(train: Rows) -> list[tuple[Rows, Inner]]:
    """A second target of three classes on the same matrix: none, the lesion's first slice, the rest of it."""
    first = (train.y == 1) & (np.roll(train.y, 1) == 0)
    other = replace(train, y=np.where(first, 1, 2 * train.y), classes=3)
    inner = make_inner(train, 0)
    return [(train, inner), (other, inner)]


def test_targets_with_the_same_rows_share_a_network(scans) -> None:
    train, test = scans(), scans(60, seed=1)
    jobs = with_another_target(train)
    models = residual.fit_targets(jobs, QUICK)
    tests = [rows for rows, _ in with_another_target(test)]
    for model, (rows, _), held in zip(models, jobs, tests, strict=True):
        p = predict(model, held)
        assert p.shape == (len(held), rows.classes)
        assert loss(p, held) < prior(rows, held) - 0.02
    one, two = (m.networks[0] for m in models)
    np.testing.assert_array_equal(one["block0.weight"], two["block0.weight"])
    assert one["last.weight"].shape[0] == 1
    assert two["last.weight"].shape[0] == 3, "a model on disk holds its own logits only"


@pytest.mark.parametrize("class_weight", ["balanced", "batch"])
def test_objectives_are_corrected_back(class_weight: str, scans) -> None:
    train, test = scans(60), scans(100, seed=1)
    recipe = replace(QUICK, objective=Objective(class_weight, focal=1.0))
    p = predict(residual.fit(train, make_inner(train, 0), recipe), test)
    assert abs(p[:, 1].mean() - test.y.mean()) < 0.04, "the mean prediction is the true rate, not half"
    assert loss(p, test) < prior(train, test) - 0.02


def two_kinds(rows: Rows, seed: int) -> tuple[Rows, np.ndarray]:
    """In half of the series another column tells the lesion."""
    other = np.random.default_rng(seed).random(rows.sequence.max() + 1) < 0.5
    moved = other[rows.sequence]
    x = rows.x.copy()
    x[moved] = np.roll(x[moved], 1, axis=1)
    return replace(rows, x=x), moved


def test_a_weighted_fine_tune_begins_at_the_regular_fit_and_moves_to_the_target(scans) -> None:
    train, other = two_kinds(scans(80, signal=3.0), 5)
    test, of_target = two_kinds(scans(200, signal=3.0, seed=1), 6)
    inner, target = make_inner(train, 0), test.take(of_target)
    regular = residual.fit_targets([(train, inner)], QUICK)
    weighted = replace(train, weight=np.where(other, 1.9, 0.1))
    (tuned,) = residual.fit_targets([(weighted, inner)], QUICK, regular)
    moved = np.abs(tuned.networks[0]["block0.weight"] - regular[0].networks[0]["block0.weight"]).max()
    assert 0 < moved < 0.05, "the rate is low: it is the same network, moved a little"
    assert loss(predict(tuned, target), target) < loss(predict(regular[0], target), target)
    (alike,) = residual.fit_targets([(replace(train, weight=np.ones(len(train))), inner)], QUICK, regular)
    assert loss(predict(alike, target), target) > loss(predict(tuned, target), target), "weights did it, not the epochs"


def test_weights_that_simulate_a_target_are_learnt_by_a_fine_tune(scans, brief) -> None:
    train, other = two_kinds(scans(20), 5)
    weight = np.where(other, 1.9, 0.1)
    weighted = replace(train, weight=weight, base=np.ones(len(train)))
    inner = make_inner(train, 0)
    regular = residual.fit_targets([(train, inner)], QUICK)
    by_hand = residual.fit_targets([(replace(train, weight=weight), inner)], QUICK, regular)[0]
    np.testing.assert_array_equal(residual.fit(weighted, inner, QUICK).inner, by_hand.inner)


def test_a_fine_tune_never_begins_at_a_network_that_saw_its_judges(scans, brief) -> None:
    train = scans(20)
    regular = residual.fit_targets([(train, make_inner(train, 0))], QUICK)
    with pytest.raises(MismatchError, match="inner folds"):
        residual.fit_targets([(train, make_inner(train, 1))], QUICK, regular)


@each_head
def test_units_without_an_order_are_refused(head: str, scans, brief) -> None:
    train = scans(10)
    model = HEADS[head].fit(train, make_inner(train, 0), QUICK)
    with pytest.raises(UserError, match="no order"):
        model.predict_proba(train.x)
    with pytest.raises(UserError, match="no order"):
        HEADS[head].fit(replace(train, sequence=None, position=None), make_inner(train, 0), QUICK)
