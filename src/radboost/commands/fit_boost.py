"""`radboost fit-boost`: a cohort and its stores to a run of out-of-fold predictions and models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radboost.commands.console import following, next_command, show
from radboost.commands.options import Debug, Out, Overwrite, Seed, Workers

__all__ = ["fit_boost"]


def fit_boost(
    cohort: Annotated[Path, typer.Argument(help="A cohort with a task.", show_default=False)],
    stores: Annotated[list[Path], typer.Argument(help="One or more stores of that cohort.", show_default=False)],
    out: Out,
    learner: Annotated[
        list[str] | None,
        typer.Option("--learner", help="logistic, mlp, lightgbm or xgboost; repeat for several. [default: all four]"),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Table unit,weight that simulates a target set.")
    ] = None,
    seed: Seed = 0,
    workers: Workers = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Learn from stored embeddings and metadata; every score is out of fold."""
    with following(debug) as progress:
        from radboost.booster.crossfit import LEARNERS, BoostConfig
        from radboost.booster.crossfit import fit_boost as fit
        from radboost.report.tables import run_table

        config = BoostConfig(learners=tuple(learner or LEARNERS), seed=seed, workers=workers)
        run = fit(cohort, stores, config)
    show(run_table(run))
    next_command(f"radboost blend safe {out} --out BLEND")
