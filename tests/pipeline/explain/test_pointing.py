"""The pointing game on phantom breasts: maps of the shipped network point at planted lesions, shuffled ones do not."""

from __future__ import annotations

import pytest

from radboost.booster.crossfit import BoostConfig, fit_boost
from radboost.data.crop import PixelPolicy
from radboost.data.index import IndexConfig, index
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
from radboost.data.progress import Silent
from radboost.data.tasks import get_task
from radboost.extractor.backbone import BackboneConfig, read_card
from radboost.extractor.config import ExtractConfig
from radboost.extractor.extract import extract
from radboost.pipeline.blending import make_blend
from radboost.pipeline.explain.explain import ExplainConfig
from radboost.pipeline.explain.run import Given, explain_given
from radboost.pipeline.explain.where import WhereConfig
from radboost.pipeline.prediction import PredictConfig

NAME = "radboost:phantom"


def write(out, patients, first):
    write_rsna_breast(out, BreastPhantom(patients, seed=5, pixels=768, prevalence=0.4, first_patient=first))


@pytest.mark.proof
def test_the_hottest_point_lies_in_the_lesion_and_with_shuffled_weights_it_does_not(tmp_path):
    assert 5 not in read_card(NAME).seeds
    write(tmp_path / "data", 200, 0)
    write(tmp_path / "new", 100, 200)
    cohort = index(tmp_path / "data", get_task("rsna-breast"), IndexConfig()).cohort.save(tmp_path / "cohort")
    size = read_card(NAME).size
    # Means alone: maxima over any network's map answer to the brightest spot, and lesions are bright.
    seen = BackboneConfig(NAME, size=size, pool=("avg",))
    store = extract(cohort, tmp_path / "store", ExtractConfig(seen, PixelPolicy.of("breast", size))).store
    fit_boost(cohort, [store], BoostConfig(learners=("logistic",))).save(tmp_path / "run")
    make_blend([tmp_path / "run"], "safe", tmp_path / "blend")
    config = ExplainConfig(most=1, where=WhereConfig())
    given = Given(tmp_path / "blend", tmp_path / "new")
    found = explain_given(given, config, PredictConfig(work=tmp_path / "work"), (True, 100), Silent())
    assert found.sanity is not None
    games = {(game.method, game.weights): game for game in found.sanity.games}
    for (method, weights), game in games.items():
        share = f"{game.hits} of {game.units}: {game.hits / game.units:.2f} [{game.low:.2f}, {game.high:.2f}]"
        print(f"{method:<10} {weights:<12} {share}, chance {game.chance:.3f}")
    for method in config.where.methods:
        assert games[method, "as they are"].units >= 30
        assert games[method, "as they are"].points
        assert not games[method, "shuffled"].points
