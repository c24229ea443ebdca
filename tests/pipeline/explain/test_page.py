"""One command makes the page, with its sanity check; the game itself is fair."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from radboost.data.placement import Placement
from radboost.extractor.probe import Probe
from radboost.pipeline.explain.exams import Exams
from radboost.pipeline.explain.sanity import Planted, _embedded_anew, _played, read_planted
from radboost.pipeline.explain.where import CropMap


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
    radboost("explain", squares / "run", *stored, "--out", squares / "stored.html")
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
