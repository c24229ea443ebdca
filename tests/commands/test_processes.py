"""Each command once as its own process, as a shell starts it: imports, exit codes, quiet pipes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest

from radboost.booster import boosting
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
from radboost.extractor.backbone import BackboneConfig
from radboost.pipeline.demo_tasks import DEMOS, get_demo


def shell(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "radboost", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_the_chain_of_commands(cohort, store, tmp_path):
    write_rsna_breast(tmp_path / "data", BreastPhantom(patients=8, seed=3, pixels=128, prevalence=0.5))
    indexed = shell(
        "index", tmp_path / "data", "--task", "rsna-breast", "--out", tmp_path / "c", "--folds", 2, "--workers", 1
    )
    # A progress bar in a log file is noise: nothing but the result where stderr is no terminal.
    assert indexed.stderr == ""
    words = ("--backbone", "test_resnet", "--random-init", 0, "--size", 96)
    extracted = shell("extract", tmp_path / "c", "--out", tmp_path / "s", *words, "--workers", 1)
    assert extracted.stderr == ""
    shell("fit-boost", cohort, store, "--out", tmp_path / "r", "--learner", "logistic")
    shell("blend", "risky", tmp_path / "r", "--out", tmp_path / "b", "--no-sweep")
    out = tmp_path / "p.csv"
    shell("predict", tmp_path / "b", "--cohort", cohort, "--store", store, "--split", "holdout", "--out", out)
    assert len(pd.read_csv(out))


def test_a_mistake_exits_with_2_and_debug_shows_where(tmp_path):
    done = shell("index", tmp_path / "absent", "--out", tmp_path / "c", code=2)
    assert done.stderr.startswith("error: ")
    command = [sys.executable, "-m", "radboost", "index", str(tmp_path / "absent"), "--out", "c", "--debug"]
    assert "Traceback" in subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.mark.proof
def test_the_demo_is_a_command_as_it_stands(tmp_path):
    text = shell("demo", "--out", tmp_path / "demo", "--patients", 40, "--pixels", 256).stdout
    what_the_demo_leaves(text, tmp_path, "which has learnt from other synthetic images")
    shell("demo", "--out", tmp_path / "demo", "--patients", 40, "--pixels", 256, code=2)


@pytest.fixture(scope="module")
def demo_run(radboost, tmp_path_factory):
    """Where a demo ran, how, and what it said: few folds, rounds and steps, and a smaller network."""
    tiny = BackboneConfig("test_resnet", stage=1, pool=("avg", "max"))
    few = {"size": 32, "folds": 2, "learners": ("logistic", "lightgbm")}
    small = replace(get_demo("rsna-breast"), backbone=tiny, untrained=tiny, **few)
    here = tmp_path_factory.mktemp("demo-run")
    words = ("demo", "--out", here / "demo", "--patients", 40, "--pixels", 96, "--workers", 1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(DEMOS, "rsna-breast", small)
        patched.setattr(boosting, "ROUNDS", 6)
        return here, words, radboost(*words).output


def test_the_demo_runs_every_stage_and_says_what_it_ran_on(demo_run, radboost):
    # The proof above runs it as it stands.
    here, words, text = demo_run
    what_the_demo_leaves(text, here, "never trained")
    assert "exists" in radboost(*words, code=2).stderr


def test_the_pages_of_a_demo_run_in_a_browser(demo_run, radboost, check_page):
    here = demo_run[0] / "demo"
    words = ("--exam", here / "new-exams", "--work", here / "work", "--most", 1, "--crops", 1, "--no-sanity")
    radboost("explain", here / "blend-safe", *words, "--method", "map", "--workers", 1, "--out", here / "explain.html")
    for name in ("explore.html", "report.html", "explain.html"):
        check_page(here / name)


def what_the_demo_leaves(text, tmp_path, network):
    for row in ("prior", "metadata only", "images only", "blend safe", "blend risky"):
        assert row in text
    assert network in text
    for name in (
        "cohort",
        "store",
        "run",
        "blend-safe",
        "blend-risky",
        "predictions-safe.csv",
        "explore.html",
        "report.html",
    ):
        assert (tmp_path / "demo" / name).exists()


@pytest.mark.parametrize(
    "words", [("blend", "bold", "x", "--out", "y"), ("index",), ("extract", "x", "--size", "many")]
)
def test_what_the_parser_refuses_is_the_users_mistake(words):
    shell(*words, code=2)
