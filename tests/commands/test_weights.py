"""`radboost weights` as a user types it: what it prints and writes, that fit-boost takes it, and how it fails."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from radboost.booster.weights import read_weights
from radboost.data.cohort import Cohort
from radboost.data.phantom.shift import ShiftPhantom, draw_shifted_pair

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    home = tmp_path_factory.mktemp("pair")
    drawn = draw_shifted_pair(ShiftPhantom(80, 60, seed=3))
    drawn.source.save(home / "source")
    drawn.target.save(home / "target")
    return home


def test_a_table_and_a_picture_are_written_and_nobody_is_named(radboost, pair, tmp_path):
    text = radboost("weights", pair / "source", "--target", pair / "target", "--out", tmp_path / "w.csv").output
    for words in ("effective sample share", "largest weight", "SMD before", "compared on", "age, site, implant"):
        assert words in text
    assert "next: radboost fit-boost" in text
    units = Cohort.load(pair / "source").units
    given = read_weights(tmp_path / "w.csv")
    assert list(given) == units["unit_id"].tolist()
    assert (tmp_path / "w.png").read_bytes().startswith(PNG)
    written = (tmp_path / "w.csv").read_text() + text
    assert not any(name in written for name in units["unit"])
    # The same again gives the same bytes.
    radboost("weights", pair / "source", "--target", pair / "target", "--out", tmp_path / "v.csv")
    for ending in (".csv", ".png"):
        assert (tmp_path / f"v{ending}").read_bytes() == (tmp_path / f"w{ending}").read_bytes()


def test_what_is_there_is_replaced_only_when_asked(radboost, pair, tmp_path):
    words = ("weights", pair / "source", "--target", pair / "target", "--out", tmp_path / "w.parquet")
    words = (*words, "--method", "strata", "--on", "site")
    radboost(*words)
    first = read_weights(tmp_path / "w.parquet")
    assert "already exists" in radboost(*words, code=2).stderr
    radboost(*words, "--overwrite")
    assert read_weights(tmp_path / "w.parquet") == first


def test_a_prevalence_comes_from_a_rate_or_from_predictions(radboost, pair, tmp_path):
    words = ("weights", pair / "source", "--target", pair / "target", "--method", "strata", "--on", "site")
    rate = radboost(*words, "--match-prevalence", "0.3", "--out", tmp_path / "a.csv").output
    assert "0.3000, 0.3000" in rate
    units = Cohort.load(pair / "target").units["unit"]
    pd.DataFrame({"unit": units, "cancer": 0.3}).to_csv(tmp_path / "p.csv", index=False)
    radboost(*words, "--match-prevalence", tmp_path / "p.csv", "--out", tmp_path / "b.csv")
    a, b = (read_weights(tmp_path / f"{n}.csv") for n in "ab")
    # The same rate in all strata is not one factor on the odds of all.
    assert not np.allclose(list(a.values()), list(b.values()))
    for text, says in (("most", "neither a number nor a file"), (pair / "source" / "cohort.json", "cannot be read")):
        assert says in radboost(*words, "--match-prevalence", text, "--out", tmp_path / "c.csv", code=2).stderr
    pd.DataFrame({"unit": units, "cancer": 7}).to_csv(tmp_path / "p.csv", index=False)
    bad = radboost(*words, "--match-prevalence", tmp_path / "p.csv", "--out", tmp_path / "c.csv", code=2)
    assert "no probabilities" in bad.stderr


def test_a_mistake_is_one_line_and_writes_nothing(radboost, pair, tmp_path):
    cohorts = ("weights", pair / "source", "--target", pair / "target")
    for more, says in (
        (("--out", tmp_path / "w.txt"), "how to write the table"),
        (("--out", tmp_path / "w.csv", "--on", "cancer"), "no such columns"),
        (("--out", tmp_path / "w.csv", "--method", "magic"), "no such method"),
    ):
        result = radboost(*cohorts, *more, code=2)
        assert says in result.stderr
        assert "Traceback" not in result.stderr
    # Every source unit is far younger than the target's: of 80 patients, a handful would decide everything.
    target = Cohort.load(pair / "target")
    target.manifest["metadata.age"] += 18
    target.save(tmp_path / "far")
    words = ("weights", pair / "source", "--target", tmp_path / "far", "--out", tmp_path / "w.csv")
    assert "effective sample share is below" in radboost(*words, "--no-flatten", code=2).stderr
    assert [p.name for p in tmp_path.iterdir()] == ["far"]
    assert "flattened: weights were raised" in radboost(*words).output


def test_fit_boost_takes_the_weights(radboost, cohort, store, data, tmp_path, quick):
    words = ("--task", "rsna-breast", "--folds", "2", "--workers", 1)
    radboost("index", data, *words, "--out", tmp_path / "target")
    words = ("--target", tmp_path / "target", "--on", "age", "--on", "implant", "--out", tmp_path / "w.csv")
    radboost("weights", cohort, *words)
    text = radboost(
        *("fit-boost", cohort, store, "--out", tmp_path / "run", *quick),
        *("--weights", tmp_path / "w.csv"),
    ).output
    assert "weighted" in text
