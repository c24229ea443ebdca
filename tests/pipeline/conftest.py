"""A small cohort of the synthetic screening data, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from radboost.cli import app
from radboost.data.index import IndexConfig, index
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
from radboost.data.splits import FoldSpec
from radboost.data.tasks import get_task


@pytest.fixture(scope="session")
def radboost() -> Callable[..., Result]:
    """Run a command as a user does, in this process."""

    def run(*words: object, code: int = 0) -> Result:
        result = CliRunner().invoke(app, [str(w) for w in words])
        assert result.exit_code == code, result.output + result.stderr
        return result

    return run


@pytest.fixture(scope="session")
def radboost_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outside")
    write_rsna_breast(root / "data", BreastPhantom(patients=8, seed=5, pixels=128, prevalence=0.4))
    config = IndexConfig(folds=FoldSpec(2), workers=1)
    index(root / "data", get_task("rsna-breast"), config).cohort.save(root / "cohort")
    return root / "cohort"
