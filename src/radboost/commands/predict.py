"""`radboost predict`: a blend on exams it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radboost.commands.console import following, say, show
from radboost.commands.options import BatchSize, Checkpoint, Debug, Device, Out, Overwrite, Workers

__all__ = ["predict"]


def predict(
    blend: Annotated[Path, typer.Argument(help="A blend made by `radboost blend`.", show_default=False)],
    data_dir: Annotated[
        Path | None, typer.Argument(help="New exams, laid out as the task's data.", show_default=False)
    ] = None,
    *,
    out: Out,
    cohort: Annotated[Path | None, typer.Option("--cohort", help="A cohort, to predict from stored features.")] = None,
    store: Annotated[list[Path] | None, typer.Option("--store", help="Its stores; repeat for several.")] = None,
    split: Annotated[str | None, typer.Option("--split", help="Only this split of the cohort.")] = None,
    threshold: Annotated[str, typer.Option("--threshold", help="none, auto (chosen out of fold) or a number.")] = "none",
    key: Annotated[
        Path | None, typer.Option("--key", help="Key file of the training cohort: refuses exams that were trained on.")
    ] = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Predict new exams, or a cohort from its stored features; writes the task's submission format."""
    with following(debug) as progress:
        from radboost.pipeline.prediction import PredictConfig, predict_exams, predict_stored, write_prediction
        from radboost.report.tables import prediction_table

        config = PredictConfig(
            threshold=threshold,
            key=key,
            checkpoint=checkpoint,
            device=device,
            batch_size=batch_size,
            workers=workers,
        )
        if data_dir is not None:
            found = predict_exams(blend, data_dir, config, progress)
        else:
            found = predict_stored(blend, cohort, store or [], config, split)
        written = write_prediction(found, out, overwrite=overwrite)
    show(prediction_table(found))
    for path in written:
        say(f"wrote {path}")
