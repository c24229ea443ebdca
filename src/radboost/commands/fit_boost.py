"""`radboost fit-boost`: a cohort and its stores to a run of out-of-fold predictions and models."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree
from typing import Annotated

import typer

from radboost.commands.console import following, next_command, show
from radboost.commands.options import Debug, Device, Engine, Out, Overwrite, RayAddress, Seed, Workers, numbers

__all__ = ["fit_boost"]

ShareBins = Annotated[
    bool, typer.Option("--share-bins", help="Trees see raw columns and share bins over folds: much faster.")
]
SplitRows = Annotated[
    int, typer.Option("--split-rows", help="Of --engine ray: trees on more rows are grown by workers together.")
]
Curve = Annotated[
    str | None,
    typer.Option("--curve", help="A learner to fit on 1/8, 1/4 and 1/2 of the patients too: a learning curve."),
]
UseViews = Annotated[bool, typer.Option("--use-views", help="Learn from augmented views too, and average over them.")]
Tune = Annotated[
    float | None, typer.Option("--tune", help="Minutes in which to search settings of trees (extra tune).")
]


def fit_boost(
    cohort: Annotated[Path, typer.Argument(help="A cohort with a task.", show_default=False)],
    stores: Annotated[list[Path], typer.Argument(help="One or more stores of that cohort.", show_default=False)],
    out: Out,
    learner: Annotated[
        list[str] | None,
        typer.Option("--learner", help="Repeat for several. [default: logistic, mlp, lightgbm and xgboost]"),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Table unit,weight that simulates a target set.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="Models to average. [default: 3 networks, 1 of trees]")
    ] = None,
    class_weight: Annotated[
        str, typer.Option("--class-weight", help="none, balanced, batch, or one number a class, parted by commas.")
    ] = "none",
    focal: Annotated[float, typer.Option("--focal", help="Gamma of the focal loss; 0 is the log loss.")] = 0.0,
    soft: Annotated[float, typer.Option("--soft", help="Share of each label that is smoothed.")] = 0.0,
    share_bins: ShareBins = False,
    tune: Tune = None,
    curve: Curve = None,
    use_views: UseViews = False,
    refit: Annotated[bool, typer.Option("--refit", help="Also fit on all rows, for `predict --refit`.")] = False,
    allow_leak: Annotated[
        list[str] | None, typer.Option("--allow-leak", help="Let a leak of this name pass; repeats.")
    ] = None,
    device: Device = "cpu",
    seed: Seed = 0,
    workers: Workers = None,
    engine: Engine = "local",
    ray_address: RayAddress = None,
    split_rows: SplitRows = 10_000_000,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Learn from stored embeddings and metadata; every score is out of fold. Finished fits outlive a kill."""
    with following(debug, resumes=True) as progress:
        from radboost.booster.config import BoostConfig
        from radboost.booster.crossfit import fit_boost as fit
        from radboost.booster.learner import DEFAULT_LEARNERS
        from radboost.booster.objective import CLASS_WEIGHTS, Objective
        from radboost.booster.weights import read_weights
        from radboost.data.cohort import Cohort
        from radboost.data.folder import refuse_existing
        from radboost.data.store import EmbeddingStore
        from radboost.report.summaries import run_tables
        from radboost.report.tune_figure import draw_tuning

        refuse_existing(out, "run", overwrite)
        named = class_weight in CLASS_WEIGHTS
        config = BoostConfig(
            learners=tuple(dict.fromkeys(learner or DEFAULT_LEARNERS)),
            weights=None if weights is None else read_weights(weights),
            seeds=seeds,
            objective=Objective(class_weight if named else numbers("--class-weight", class_weight), focal, soft),
            share_bins=share_bins,
            tune=tune,
            views=use_views,
            curve=curve,
            refit=refit,
            allow_leak=tuple(allow_leak or ()),
            device=device,
            seed=seed,
            workers=workers,
            engine=engine,
            ray_address=ray_address,
            split_rows=split_rows,
        )
        opened = [EmbeddingStore.open(folder) for folder in stores]
        fits = out.with_name(f".{out.name}.fits")
        run = fit(Cohort.load(cohort), opened, config, progress, fits).save(out, overwrite=overwrite)
        if run.content["tuning"]:
            draw_tuning(run.content["tuning"], out / "tuning.png")
        rmtree(fits)
    for table in run_tables(run):
        show(table)
    next_command(f"radboost blend safe {out} --out BLEND")
