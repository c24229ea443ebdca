"""One command makes the page, with its sanity check; the game itself is fair."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from radboost.data.placement import Placement
from radboost.data.progress import Silent
from radboost.extractor.probe import Probe
from radboost.pipeline.explain.alike import Alike
from radboost.pipeline.explain.exams import Exams
from radboost.pipeline.explain.explain import SHOWN_PIXELS, ExplainConfig, _longest, explain
from radboost.pipeline.explain.sanity import Planted, _embedded_anew, _played, read_planted
from radboost.pipeline.explain.system import Question
from radboost.pipeline.explain.where import CropMap, WhereConfig
from radboost.report.explain_page import explain_page
from radboost.report.page import write_page


@pytest.fixture(scope="module")
def page(squares, radboost, new):
    out = squares / "page.html"
    learnt = ("--train", squares / "cohort", "--train-store", squares / "store", "--work", squares / "work")
    quick = ("--hole", 0.25, "--method", "map", "--workers", 1)
    radboost("explain", squares / "blend", "--exam", squares / "new", "--most", 2, *learnt, *quick, "--out", out)
    return out


def test_the_page_says_where_why_like_what_and_whether_to_believe_it(page, new):
    text = page.read_text("utf-8")
    for told in ("Where", "Why", "Alike", "Sanity check", "How to read this", "burned into the picture"):
        assert told in text
    data = json.loads((page.with_name("page-files") / "metrics.json").read_text("utf-8"))
    assert [unit["p"] for unit in data["units"]] == pytest.approx(sorted(new[2].values(), reverse=True)[:2], rel=1e-5)
    assert len(data["units"][0]["alike"]) == 5
    games = {game["weights"]: game for game in data["sanity"]}
    assert set(games) == {"as they are", "shuffled"}
    assert games["as they are"]["units"] == games["shuffled"]["units"] >= 1
    assert "shown in its full resolution, 64 by 64 pixels" in text
    assert 0.02 < games["shuffled"]["chance"] == games["as they are"]["chance"] < 0.08


def test_the_page_names_no_patient_and_no_file(page, new):
    text = page.read_text("utf-8")
    for unit, path in zip(new[2], new[0].manifest["path"], strict=False):
        assert unit not in text
        assert path not in text


def test_the_page_in_a_browser(page, check_page):
    check_page(page)


def test_a_cohort_is_explained_from_its_store_without_looking_at_pixels(squares, radboost):
    stored = ("--cohort", squares / "cohort", "--store", squares / "store", "--method", "none", "--most", 1)
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    told = radboost("explain", squares / "run", *stored, "--track", "tensorboard", "--out", squares / "stored.html")
    assert "logged to" in told.stderr
    assert "not all was logged" not in told.stderr
    (unit,) = json.loads((squares / "stored-files" / "metrics.json").read_text("utf-8"))["units"]
    assert unit["maps"] == []
    assert unit["alike"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give --exam"),
        (("--exam", "x", "--method", "none", "--method", "map"), "for none"),
        (("--exam", "x", "--method", "saliency"), "map or occlusion"),
        (("--exam", "x", "--fill", "white"), "blur"),
    ],
)
def test_what_does_not_go_together_is_refused(squares, radboost, words, message):
    result = radboost("explain", squares / "blend", *words, "--out", squares / "none.html", code=2)
    assert message in result.output + result.stderr


def test_a_training_is_refused_with_what_to_do(radboost, tmp_path):
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "training.json").write_text("{}")
    told = radboost("explain", tmp_path / "training", "--exam", tmp_path, "--out", tmp_path / "page.html", code=2)
    assert "extract --training" in told.stderr


def test_a_hit_is_the_hottest_point_of_all_crops_in_a_lesion(new):
    patient = Exams(new[0], (new[1],), ()).patient(new[0].units["unit"].iloc[0])
    crops = patient.cohort.manifest
    stem = crops["path"].str.extract(r"(\d+)\.png$")[0]

    def found(number, peak, height):
        drawn = np.zeros((64, 64), np.float32)
        drawn[peak[1], peak[0]] = height
        pixels = np.full((1, 64, 64), 30000, np.uint16)
        info = type("Info", (), {"shape": (64, 64)})()
        placed = Placement((0, 0, 64, 64), 64)
        return CropMap(crops["crop_id"][number], "CC", "map", 0, pixels, info, placed, np.ones(1), drawn)

    planted = Planted({stem[0]: ((10, 10, 20, 26),)}, frozenset())
    hit, share = _played([found(0, (12, 25), 2.0), found(1, (40, 40), 1.0)], patient, planted)
    assert hit
    assert share == pytest.approx(10 * 16 / (2 * 64 * 64))
    assert not _played([found(0, (12, 26), 2.0), found(1, (40, 40), 1.0)], patient, planted)[0]
    assert not _played([found(0, (12, 25), 2.0), found(1, (40, 40), 3.0)], patient, planted)[0]


def test_lesions_are_those_that_were_planted(new, squares):
    planted = read_planted(new[0])
    truth = pd.read_csv(squares / "new" / "truth" / "units.csv")
    assert planted.positive == set(truth["prediction_id"][truth["cancer"] == 1])
    assert all(x1 - x0 == y1 - y0 == 14 for boxes in planted.lesions.values() for x0, y0, x1, y1 in boxes)


def test_a_patient_embedded_anew_by_the_same_network_is_the_same(new, asked, config_of):
    patient = Exams(new[0], (new[1],), ()).patient(new[0].units["unit"].iloc[0])
    with Probe(config_of) as probe:
        again = _embedded_anew(patient, [probe])
    assert again.probabilities(asked) == pytest.approx(patient.probabilities(asked), abs=1e-5)
    with Probe(config_of, shuffle=1) as probe:
        other = _embedded_anew(patient, [probe])
    assert abs(other.probabilities(asked) - patient.probabilities(asked)).max() > 1e-6


HOSTILE = "<script>alert(1)</script>\u202e=1"


def test_hostile_names_are_text(blend, new, config_of, tmp_path, check_page):
    exams = Exams(new[0], (new[1],), (config_of,))
    config = ExplainConfig(most=1, where=WhereConfig(("map",), 0.5), frame_pixels=32)
    found = explain(blend, exams, config, None, Silent())
    (unit,) = found.units
    blocks = tuple(block._replace(name=HOSTILE) for block in unit.why.blocks)
    members = tuple(replace(member, name=HOSTILE) for member in unit.why.members)
    evil = replace(
        unit,
        label=HOSTILE,
        why=replace(unit.why, blocks=blocks, members=members),
        maps=tuple(replace(each, slot=HOSTILE) for each in unit.maps),
        alike=(Alike("ab" * 16, HOSTILE, 1.0),),
    )
    system = replace(blend, task=replace(blend.task, name=HOSTILE))
    page = explain_page(replace(found, system=system, question=Question(HOSTILE, 1, HOSTILE), units=(evil,)))
    write_page(page, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e=1" in text
    assert "64 by 64 pixels, is shown with 32 by 32" in text
    check_page(tmp_path / "page.html")


@pytest.mark.parametrize(
    ("asked", "maps", "longest"),
    [(None, 1, 4096), (None, 40, 859), (0, 40, 4096), (1000, 40, 1000), (9000, 1, 4096)],
)
def test_frames_keep_their_pixels_until_a_page_would_be_too_heavy(asked, maps, longest):
    shape = (4096, 3328)
    assert _longest(shape, asked, maps) == longest
    if asked is None:
        assert maps * longest * longest * shape[1] / shape[0] <= SHOWN_PIXELS
