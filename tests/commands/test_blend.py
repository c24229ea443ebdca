"""A blend keeps what its options made, and predicts by it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from radboost.ensemble.calibrate import Calibrator
from radboost.pipeline.blending import Blend

OPTIONS = ("--missing", "renormalise", "--per-target", "shrunk", "--keep-all", "--space", "prob")


@pytest.fixture(scope="module")
def calibrated(radboost, run, tmp_path_factory):
    out = tmp_path_factory.mktemp("options") / "blend"
    text = radboost("blend", "safe", run, run, "--out", out, "--calibrate", "isotonic", *OPTIONS).output
    assert "calibrated (isotonic), cross-fitted" in text
    return out


def test_new_units_go_through_the_map_that_was_fitted(radboost, run, calibrated, cohort, store, tmp_path):
    words = ("--cohort", cohort, "--store", store, "--split", "holdout")
    radboost("blend", "safe", run, run, "--out", tmp_path / "plain", *OPTIONS)
    p = []
    for blend in (calibrated, tmp_path / "plain"):
        radboost("predict", blend, *words, "--out", tmp_path / f"{blend.name}.csv")
        p.append(pd.read_csv(tmp_path / f"{blend.name}.csv")["cancer"].to_numpy())
    header = Blend.load(calibrated).header
    assert (header["config"]["calibrate"], header["config"]["missing"]) == ("isotonic", "renormalise")
    (target,) = header["targets"]
    mapped = Calibrator.from_dict(target["calibration"]).apply(np.stack([1 - p[1], p[1]], axis=1))[:, 1]
    assert p[0] == pytest.approx(mapped, abs=1e-9)
    # A copy of a run shares the weight of the one.
    weights = target["weights"]
    for name, weight in weights.items():
        assert weight == pytest.approx(weights[f"{3 - int(name[0])}{name[1:]}"], abs=1e-6)


def test_the_threshold_that_was_saved_calls_units(radboost, calibrated, cohort, store, tmp_path):
    words = ("--cohort", cohort, "--store", store, "--split", "holdout")
    radboost("predict", calibrated, *words, "--out", tmp_path / "p.csv")
    radboost("predict", calibrated, *words, "--out", tmp_path / "d.csv", "--threshold", "auto")
    p, called = (pd.read_csv(tmp_path / name)["cancer"].to_numpy() for name in ("p.csv", "d.csv"))
    threshold = Blend.load(calibrated).thresholds["cancer"]
    assert called.tolist() == (p >= threshold).astype(int).tolist()
