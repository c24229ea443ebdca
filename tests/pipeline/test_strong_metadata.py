"""Strong metadata beside embeddings of noise: fusing costs next to nothing, and the blend nothing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from radboost.booster.crossfit import BoostConfig, fit_boost
from radboost.metrics import auc, log_loss
from radboost.pipeline.blending import make_blend


@pytest.fixture(scope="module")
def make():
    """The made-up cohorts of stage two."""
    path = Path(__file__).parents[1] / "booster" / "conftest.py"
    spec = importlib.util.spec_from_file_location("made_up", path)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules["made_up"] = module
    spec.loader.exec_module(module)
    return lambda **settings: module.build(module.Recipe(**settings))


def test_noise_embeddings_do_not_drown_metadata(make, tmp_path):
    cohort, store = make(patients=300, seed=0, width=256, signal=0.0, age=1.5, folds=4)
    run = fit_boost(cohort, [store], BoostConfig(learners=("logistic", "lightgbm"))).save(tmp_path / "run")
    by_member = {name: own for name, own in run.predictions.table.groupby("member")}
    scores = {name: auc(own["y"], own["p"]) for name, own in by_member.items()}
    for learner in ("logistic", "lightgbm"):
        assert scores[f"{learner}/metadata"] > 0.75
        assert scores[f"{learner}/image"] < 0.6
        assert scores[f"{learner}/fused"] > scores[f"{learner}/metadata"] - 0.01
    blended = make_blend([tmp_path / "run"], "safe", tmp_path / "blend").predictions.table
    metadata = min(log_loss(own["y"], own["p"]) for name, own in by_member.items() if name.endswith("/metadata"))
    assert log_loss(blended["y"], blended["p"]) < metadata + 0.002
