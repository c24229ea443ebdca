"""`radboost report`: a page of a real chain, its numbers those of the blend, without a name of any patient."""

from __future__ import annotations

import json
import re
import shutil

import pandas as pd
import pytest

from radboost.commands.demo import _report
from radboost.data.progress import Silent


@pytest.fixture(scope="module")
def page(radboost, blend, run, cohort, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "page.html"
    words = ("--cohort", cohort, "--crops", "--by", "density", "--workers", 1, "--replicates", 200, "--hardest", 2)
    text = radboost("report", blend, f"{run}:logistic/fused", *words, "--out", out).output
    assert f"wrote {out}" in text
    return out


def test_a_browser_finds_nothing_amiss(page, check_page):
    check_page(page)
    assert page.stat().st_size < 3e6


def test_the_numbers_are_the_blends_own(page, blend):
    found = json.loads((page.with_name("page-files") / "metrics.json").read_text())
    numbers = found["targets"]["cancer"]["numbers"]["cancer"]
    kept = json.loads((blend / "blend.json").read_text())["targets"][0]["scores"][0]
    for ours, theirs in (("log loss", "loss"), ("AUC", "auc"), ("pF1", "pf1")):
        assert numbers[ours]["value"] == pytest.approx(kept[theirs]["value"], abs=1e-12)
    # A unit sees the other breast too, which does not make it of both sides.
    assert {"site_id", "density", "laterality"} <= set(found["targets"]["cancer"]["subgroups"])
    assert found["paired"]["cancer"]["run:logistic/fused"]["AUC"]["units"] == found["targets"]["cancer"]["units"]


def test_a_blend_tells_what_its_members_said_as_the_run_does(page, run):
    folder = page.with_name("page-files")
    kept = pd.read_csv(folder / "members-cancer.csv").set_index("member")["log loss"]
    scores = json.loads((run / "metrics.json").read_text())["scores"]
    own = {row["member"]: row["loss"][0] for row in scores if row["member"] != "prior"}
    assert set(own) >= {"logistic/fused", "lightgbm/image"}
    # Single precision of log odds is all that parts the blend's copy from the run.
    assert kept.to_dict() == pytest.approx(own, abs=1e-6)
    assert not (folder / "members-2-cancer.csv").exists(), "the run's members are the blend's: told once"
    assert len(pd.read_csv(folder / "correlations-cancer-pairs.csv")) > 1
    weights = pd.read_csv(folder / "weights.csv")
    assert ((weights["cancer low"] <= weights["cancer"]) & (weights["cancer"] <= weights["cancer high"])).all()


def test_no_name_of_a_patient_or_a_path_is_in_it(page, data):
    names = pd.read_csv(data / "train.csv", dtype=str)
    written = [page, *(p for p in page.with_name("page-files").iterdir() if p.suffix != ".png")]
    text = "\n".join(p.read_text("utf-8") for p in written)
    # A name of digits may be part of a number or a hash by chance; on its own it may not stand there.
    words = set(re.findall(r"(?<![\w.])\w+(?![\w.])", text))
    for column in ("patient_id", "image_id"):
        assert not words & {name for name in names[column] if len(name) > 4}
    assert str(data) not in text
    assert str(page.parent) not in text


def test_what_cannot_be_met_is_refused_before_any_work(radboost, page, blend, cohort, tmp_path):
    out = tmp_path / "p.html"
    assert "already exists" in radboost("report", blend, "--out", page, code=2).stderr
    assert "HTML" in radboost("report", blend, "--out", tmp_path / "p.pdf", code=2).stderr
    assert "--cohort" in radboost("report", blend, "--crops", "--out", out, code=2).stderr
    words = ("--cohort", cohort, "--by", "nothing")
    assert "lacks columns" in radboost("report", blend, *words, "--out", out, code=2).stderr
    assert "not a radboost run" in radboost("report", tmp_path, "--out", out, code=2).stderr
    # Bands of a patient's number would show its ends.
    for name in ("patient_id", "image_id"):
        words = ("--cohort", cohort, "--by", name)
        assert "names patients" in radboost("report", blend, *words, "--out", out, code=2).stderr
    nothing = tmp_path / "nothing.parquet"
    assert "no such file" in radboost("report", nothing, "--out", out, code=2).stderr
    pd.read_parquet(blend / "predictions.parquet").iloc[:0].to_parquet(nothing)
    assert "hold no predictions" in radboost("report", nothing, "--out", out, code=2).stderr
    assert not out.exists()


@pytest.mark.parametrize(("kind", "needed"), [("blend", "targets"), ("blend", "runs"), ("cohort", "root")])
def test_a_header_that_lacks_what_is_needed_is_damaged(radboost, blend, cohort, tmp_path, kind, needed):
    folder = tmp_path / "damaged"
    shutil.copytree({"blend": blend, "cohort": cohort}[kind], folder)
    header = json.loads((folder / f"{kind}.json").read_text())
    del header[needed]
    (folder / f"{kind}.json").write_text(json.dumps(header))
    given = (folder,) if kind == "blend" else (blend, "--cohort", folder)
    told = radboost("report", *given, "--out", tmp_path / "p.html", code=1)
    assert "damaged" in told.stderr
    assert needed in told.stderr


def test_the_demo_leaves_a_report_on_its_blends(blend, cohort, tmp_path):
    (tmp_path / "cohort").symlink_to(cohort)
    (tmp_path / "blend-safe").symlink_to(blend)
    _report(tmp_path, 0, Silent())
    found = json.loads((tmp_path / "report-files" / "metrics.json").read_text())["targets"]["cancer"]
    kept = json.loads((blend / "blend.json").read_text())["targets"][0]["scores"][0]
    assert found["numbers"]["cancer"]["log loss"]["value"] == pytest.approx(kept["loss"]["value"], abs=1e-12)
    assert "site_id" in found["subgroups"]
