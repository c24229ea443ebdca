"""Calibration of a blend: it mends what is wrong, leaves what is right, and travels as plain numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from radboost.data.predictions import Predictions
from radboost.ensemble.blend import fit_blend
from radboost.ensemble.calibrate import METHODS, Calibrator, fit_calibrator
from radboost.ensemble.policy import Policy
from radboost.ensemble.result import BlendConfig
from radboost.errors import UserError
from radboost.metrics import Bootstrap, brier, ece, log_loss

FEW = Bootstrap(replicates=20)
FITTED = METHODS[1:]


def skewed(n: int = 4000, classes: int = 2, sharp: float = 2.5, seed: int = 0):
    """Probabilities `sharp` times as sure as they should be, and the labels that the right ones give."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 1, (n, classes))
    right = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    label = (random.random(n)[:, None] > right.cumsum(axis=1)).sum(axis=1)
    p = right**sharp
    return p / p.sum(axis=1, keepdims=True), label, random.choice([1.0, 2.0], n)


def cases():
    return [(m, c) for m in FITTED for c in (2, 3) if (m, c) != ("beta", 3)]


@pytest.mark.parametrize(("method", "classes"), cases())
def test_it_mends_probabilities_that_are_too_sure(method, classes):
    p, label, weight = skewed(classes=classes)
    fitted = fit_calibrator(method, p, label, weight)
    new, truth, w = skewed(classes=classes, seed=1)
    mended = fitted.apply(new)
    assert mended.sum(axis=1) == pytest.approx(np.ones(len(new)))
    before, after = (values[:, 1] if classes == 2 else values for values in (new, mended))
    assert ece(truth, after, w) < 0.5 * ece(truth, before, w)
    assert brier(truth, after, w) < brier(truth, before, w)
    assert log_loss(truth, mended, w) < log_loss(truth, new, w)


def test_temperature_is_the_one_that_was_taken_away():
    p, label, weight = skewed(20_000)
    assert fit_calibrator("temperature", p, label, weight).weights[0] == pytest.approx(1 / 2.5, abs=0.03)


@pytest.mark.parametrize("method", FITTED)
def test_weight_two_is_the_row_twice_and_order_does_not_show(method):
    p, label, _ = skewed(300)
    weight = np.where(np.arange(300) % 3, 1.0, 2.0)
    rows = np.repeat(np.arange(300), weight.astype(int))[::-1]
    once, twice = fit_calibrator(method, p, label, weight), fit_calibrator(method, p[rows], label[rows], np.ones(400))
    assert once.apply(p) == pytest.approx(twice.apply(p), abs=1e-7)


@pytest.mark.parametrize(("method", "classes"), cases())
def test_it_survives_json(method, classes):
    p, label, weight = skewed(500, classes)
    fitted = fit_calibrator(method, p, label, weight)
    back = Calibrator.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert back == fitted
    assert (back.apply(p) == fitted.apply(p)).all()


@pytest.mark.parametrize("method", FITTED)
def test_order_of_two_units_is_kept(method):
    p, label, weight = skewed(800)
    line = np.linspace(0, 1, 101)
    mapped = fit_calibrator(method, p, label, weight).apply(np.stack([1 - line, line], axis=1))[:, 1]
    assert (np.diff(mapped) >= -1e-12).all()
    assert 0 < mapped[0] <= mapped[-1] < 1


@pytest.mark.parametrize("method", FITTED)
def test_rows_that_are_told_apart_without_fail_leave_finite_losses(method):
    label = np.arange(40) % 2
    p = np.stack([1.0 - label, label], axis=1)
    fitted = fit_calibrator(method, p, label, np.ones(40))
    wrong = fitted.apply(p[:, ::-1])
    assert np.isfinite(wrong).all()
    assert log_loss(label, fitted.apply(p)) < 0.1


def test_beta_is_for_two_classes_and_others_are_unknown():
    p, label, weight = skewed(50, 3)
    for method in ("beta", "spline"):
        with pytest.raises(UserError, match="no such calibration"):
            fit_calibrator(method, p, label, weight)
    with pytest.raises(UserError, match="--calibrate"):
        BlendConfig(calibrate="spline")


def test_a_blend_reports_what_calibration_did_to_rows_it_did_not_see(binary):
    table = binary(0, patients=500).table
    logit = 3 * np.log(table["p"] / (1 - table["p"])) + 1
    sure = Predictions(table.assign(p=1 / (1 + np.exp(-logit))))
    plain = fit_blend(sure, Policy.SAFE, FEW, BlendConfig("prob")).targets[0]
    assert plain.calibrated.ece[0] == plain.calibrated.ece[1]
    for method in FITTED:
        result = fit_blend(sure, Policy.SAFE, FEW, BlendConfig("prob", calibrate=method))
        target = result.targets[0]
        # A temperature cannot mend a shift.
        if method != "temperature":
            assert target.calibrated.ece[1] < target.calibrated.ece[0]
            assert target.scores[0].loss.value < plain.scores[0].loss.value
        # The weights and what is certified of them are those of the blend that is not calibrated.
        assert target.loss == pytest.approx(plain.loss)
        rows = result.predictions.table
        assert brier(rows["y"].astype(int), rows["p"]) == pytest.approx(target.calibrated.brier[1])
        assert json.loads(json.dumps(target.to_dict(), allow_nan=False))["calibration"]["method"] == method
