"""`radboost predict`: a blend, or a training, on exams it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radboost.commands.console import following, say, show
from radboost.commands.options import BatchSize, Checkpoints, Debug, Device, Out, Overwrite, Stores, Workers
from radboost.commands.tracking import noted

__all__ = ["predict"]


def predict(
    blend: Annotated[Path, typer.Argument(help="A blend made by `radboost blend`, or a training.", show_default=False)],
    data_dir: Annotated[
        Path | None, typer.Argument(help="New exams, laid out as the task's data.", show_default=False)
    ] = None,
    *,
    out: Out,
    cohort: Annotated[Path | None, typer.Option("--cohort", help="A cohort, to predict from stored features.")] = None,
    store: Stores = None,
    split: Annotated[str | None, typer.Option("--split", help="Only this split of the cohort.")] = None,
    threshold: Annotated[str, typer.Option("--threshold", help="none, auto or a number.")] = "none",
    key: Annotated[
        Path | None, typer.Option("--key", help="Key file of the training cohort: refuses exams that were trained on.")
    ] = None,
    checkpoint: Checkpoints = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="By the models of all rows (fit-boost --refit), not the fold models.")
    ] = False,
    work: Annotated[
        Path | None, typer.Option("--work", help="Keep the exams' cohort and store here; an interrupted run goes on.")
    ] = None,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Predict new exams, or a cohort from its stored features; writes the task's submission format."""
    with following(debug, resumes=work is not None) as progress:
        from radboost.errors import UserError
        from radboost.pipeline.prediction import (
            PredictConfig,
            predict_exams,
            predict_stored,
            refuse_written,
            write_prediction,
        )
        from radboost.report.summaries import prediction_table

        config = PredictConfig(
            threshold=threshold,
            key=key,
            work=work,
            checkpoints=tuple(checkpoint or ()),
            refit=refit,
            device=device,
            batch_size=batch_size,
            workers=workers,
            split=split,
        )
        refuse_written(out, overwrite)
        if data_dir is not None:
            if cohort is not None or store or split is not None:
                raise UserError("give new exams, or --cohort and --store, not both")
            found = predict_exams(blend, data_dir, config, progress)
        elif cohort is not None:
            found = predict_stored(blend, cohort, store or [], config, progress)
        else:
            raise UserError("nothing to predict", do="Name a folder of new exams, or give --cohort and --store")
        written = write_prediction(found, out, overwrite=overwrite)
        noted({"scores": found.scores, "units": found.units, "quarantined": found.quarantined})
    show(prediction_table(found))
    for path in written:
        say(f"wrote {path}")
