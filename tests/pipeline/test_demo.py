"""The demo of a task with several targets, small: every stage on synthetic head CT, and a table about all of them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from radboost.booster import boosting
from radboost.data.phantom.ct import HeadPhantom, write_rsna_ich
from radboost.errors import UserError
from radboost.extractor.backbone import BackboneConfig, read_card
from radboost.pipeline.demo import DemoConfig, DemoResult, DemoRow, run_demo
from radboost.pipeline.demo_tasks import DEMOS, get_demo
from radboost.report.summaries import demo_table


def write_few(out, cast, progress, workers):
    signed = 0.6 if cast.new else 0.5
    bleeding = {"prevalence": 1.0, "signed": signed, "slices": (20, 21)}
    who = {"patients": cast.patients, "first_patient": cast.first, "seed": cast.seed, "pixels": cast.pixels}
    write_rsna_ich(out, HeadPhantom(**who, **bleeding))


@pytest.mark.proof
def test_head_ct_from_phantom_to_the_gain_over_the_prior(tmp_path, monkeypatch):
    tiny = BackboneConfig("test_resnet", stage=1, pool=("avg", "max"))
    small = replace(
        get_demo("rsna-ich"), write=write_few, size=32, folds=2, learners=("lightgbm",), backbone=tiny, untrained=tiny
    )
    monkeypatch.setitem(DEMOS, "rsna-ich", small)
    monkeypatch.setattr(boosting, "ROUNDS", 6)
    small_one = {"patients": 12, "pixels": 32, "seed": 1, "workers": 1}
    found = run_demo(DemoConfig(tmp_path / "demo", task="rsna-ich", **small_one))
    rows = {row.name: row for row in found.rows}
    assert list(rows) == [
        *("prior", "metadata only", "images only", "blend safe"),
        *("prior, weighted", "blend risky, weighted"),
    ]
    assert found.headline == "any"
    for name in ("prior", "blend safe", "blend risky, weighted"):
        for value, low, high in (rows[name].loss, rows[name].new_loss):
            assert low < value < high
    # All targets together are rarer than `any` alone: the prior of their rows is the smaller loss.
    assert rows["prior"].loss[0] < 0.5
    assert rows["prior"].new_auc[0] == 0.5
    assert found.gain[0] == pytest.approx(rows["prior"].new_loss[0] - rows["blend safe"].new_loss[0], abs=2e-4)
    assert f"better than the prior on the new exams by {found.gain[0]:.4f}" in " ".join(found.notes)
    assert (tmp_path / "demo" / "predictions-risky.csv").is_file()


@pytest.mark.proof
@pytest.mark.parametrize("task", DEMOS)
def test_on_new_exams_each_task_is_better_than_its_prior(task, tmp_path):
    """As `make demo TASK=...` does it; docs/proof/demos.md has what was measured."""
    found = run_demo(DemoConfig(tmp_path / "demo", task=task))
    print(task, *(f"{v:.3f}" for v in found.gain), *(f"{row.name}: {row.loss} {row.new_loss}" for row in found.rows))
    assert found.gain[1] > 0


def test_an_unknown_network_is_told_before_any_image_is_made(tmp_path):
    with pytest.raises(UserError, match="knows no such model"):
        run_demo(DemoConfig(tmp_path / "demo", network="nope"))
    assert not list(tmp_path.iterdir())


def test_a_task_without_a_demo_is_named(tmp_path):
    with pytest.raises(UserError, match=r"has no demo \(got nothing\). Give one of rsna-breast, rsna-ich"):
        run_demo(DemoConfig(tmp_path / "demo", task="nothing"))
    assert not (tmp_path / "demo").exists()


def test_the_network_is_not_judged_on_patients_that_it_was_trained_on(tmp_path):
    seed = read_card("radboost:phantom").seeds[0]
    with pytest.raises(UserError, match="would judge a network on what it was trained on"):
        run_demo(DemoConfig(tmp_path / "demo", seed=seed))
    assert not (tmp_path / "demo").exists()


def test_random_weights_stand_in_for_the_demos_own_network(tmp_path):
    own, untrained = (DemoConfig(tmp_path, random_init=seed).backbone for seed in (None, 7))
    assert own.name == "radboost:phantom"
    assert own.random_init is None
    assert (untrained.name, untrained.stage, untrained.random_init) == ("resnet18", 1, 7)
    same = DemoConfig(tmp_path, network=own.name, random_init=7).backbone
    assert (same.name, same.random_init) == (own.name, 7)


@pytest.mark.parametrize("area", [0.7, math.nan])
def test_the_table_has_areas_where_there_are_any(area):
    measured = (area, area, area)
    rows = (DemoRow("prior", (0.5, 0.4, 0.6), measured), DemoRow("blend safe", (0.4, 0.3, 0.5), measured))
    table = demo_table(DemoResult(rows, (), (), (0.1, 0.0, 0.2), "grade"))
    assert ("AUC of grade" in table.columns) == (not math.isnan(area))
    assert {len(row) for row in table.rows} == {len(table.columns)}
