"""Each command once as its own process, as a shell starts it: imports, exit codes, quiet pipes."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest


def shell(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "radboost", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_the_chain_of_commands(data, cohort, store, run, blend, tmp_path):
    indexed = shell("index", data, "--task", "rsna-breast", "--out", tmp_path / "c", "--folds", 3, "--workers", 1)
    # A progress bar in a log file is noise: nothing but the result where stderr is no terminal.
    assert indexed.stderr == ""
    words = ("--backbone", "test_resnet", "--random-init", 0, "--size", 96)
    extracted = shell("extract", tmp_path / "c", "--out", tmp_path / "s", *words, "--workers", 1)
    assert extracted.stderr == ""
    shell("fit-boost", cohort, store, "--out", tmp_path / "r", "--learner", "logistic")
    shell("blend", "risky", tmp_path / "r", "--out", tmp_path / "b")
    out = tmp_path / "p.csv"
    shell("predict", tmp_path / "b", "--cohort", cohort, "--store", store, "--split", "holdout", "--out", out)
    assert len(pd.read_csv(out))


def test_a_mistake_exits_with_2_and_debug_shows_where(tmp_path):
    done = shell("index", tmp_path / "absent", "--out", tmp_path / "c", code=2)
    assert done.stderr.startswith("error: ")
    command = [sys.executable, "-m", "radboost", "index", str(tmp_path / "absent"), "--out", "c", "--debug"]
    assert "Traceback" in subprocess.run(command, capture_output=True, text=True, check=False).stderr


def test_the_demo_runs_every_stage_and_says_what_it_ran_on(tmp_path):
    done = shell("demo", "--out", tmp_path / "demo", "--patients", 40, "--pixels", 256)
    text = done.stdout
    for row in ("prior", "metadata only", "images only", "blend safe", "blend risky"):
        assert row in text
    assert "never trained" in text
    for name in ("cohort", "store", "run", "blend-safe", "blend-risky", "predictions-safe.csv"):
        assert (tmp_path / "demo" / name).exists()
    shell("demo", "--out", tmp_path / "demo", "--patients", 40, "--pixels", 256, code=2)


@pytest.mark.parametrize(
    "words", [("blend", "bold", "x", "--out", "y"), ("index",), ("extract", "x", "--size", "many")]
)
def test_what_the_parser_refuses_is_the_users_mistake(words):
    shell(*words, code=2)
