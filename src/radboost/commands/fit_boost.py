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
    allow_leak: Annotated[
        list[str] | None, typer.Option("--allow-leak", help="Let a leak of this name pass; repeats.")
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
        from radboost.booster.weights import read_weights
        from radboost.data.cohort import Cohort
        from radboost.data.folder import refuse_existing
        from radboost.data.store import EmbeddingStore
        from radboost.report.summaries import run_tables

        refuse_existing(out, "run", overwrite)
        config = BoostConfig(
            learners=tuple(dict.fromkeys(learner or LEARNERS)),
            weights=None if weights is None else read_weights(weights),
            allow_leak=tuple(allow_leak or ()),
            seed=seed,
            workers=workers,
        )
        opened = [EmbeddingStore.open(folder) for folder in stores]
        run = fit(Cohort.load(cohort), opened, config, progress).save(out, overwrite=overwrite)
    for table in run_tables(run):
        show(table)
    next_command(f"radboost blend safe {out} --out BLEND")
