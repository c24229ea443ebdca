"""One small screening cohort, taken through every command once a session; tests look at what lies on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from radboost.booster import boosting
from radboost.cli import app
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast

PATIENTS = 40


@pytest.fixture(scope="session")
def radboost() -> Callable[..., Result]:
    """Run a command as a user does, in this process."""

    def run(*words: object, code: int = 0) -> Result:
        result = CliRunner().invoke(app, [str(w) for w in words])
        assert result.exit_code == code, result.output + result.stderr
        return result

    return run


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="session")
def data(work: Path) -> Path:
    write_rsna_breast(work / "data", BreastPhantom(patients=PATIENTS, seed=1, pixels=256, prevalence=0.4))
    return work / "data"


@pytest.fixture(scope="session")
def new_exams(work: Path) -> Path:
    write_rsna_breast(work / "new", BreastPhantom(patients=6, seed=2, pixels=256, test=True))
    return work / "new"


@pytest.fixture(scope="session")
def cohort(work: Path, data: Path, radboost: Callable[..., Result]) -> Path:
    radboost("index", data, "--task", "rsna-breast", "--out", work / "cohort", "--folds", "holdout:0.25:3")
    return work / "cohort"


@pytest.fixture(scope="session")
def store(work: Path, cohort: Path, radboost: Callable[..., Result]) -> Path:
    words = ("--backbone", "test_resnet", "--random-init", 0, "--size", 96, "--workers", 1, "--shard-rows", 64)
    radboost("extract", cohort, "--out", work / "store", *words)
    return work / "store"


@pytest.fixture(scope="session")
def run(work: Path, cohort: Path, store: Path, radboost: Callable[..., Result]) -> Path:
    with pytest.MonkeyPatch.context() as patched:
        # What tests say of it holds however long its trees are grown.
        patched.setattr(boosting, "ROUNDS", 40)
        radboost("fit-boost", cohort, store, "--out", work / "run")
    return work / "run"


@pytest.fixture(scope="session")
def blend(work: Path, run: Path, radboost: Callable[..., Result]) -> Path:
    radboost("blend", "safe", run, "--out", work / "blend")
    return work / "blend"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Options of a fit that takes a second, for tests to which it is all one how well it learns."""
    monkeypatch.setattr(boosting, "ROUNDS", 6)
    return ("--learner", "lightgbm", "--seeds", "1")
