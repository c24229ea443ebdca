"""`radboost train`: a cohort's crops to a network for each fold."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from radboost.commands.console import following, next_command, show
from radboost.commands.options import (
    Checkpoint,
    Crop,
    Debug,
    Device,
    FullDecode,
    Out,
    Overwrite,
    Seed,
    Size,
    Stack,
    Window,
    WindowLayer,
    Workers,
    pixel_policy,
)

__all__ = ["train"]


def train(
    cohort: Annotated[Path, typer.Argument(help="A cohort with labels and folds.", show_default=False)],
    out: Out,
    config: Annotated[
        Path | None, typer.Option("--config", help="FILE.toml, FILE.json or a recipe of docs/recipes.md.")
    ] = None,
    backbone: Annotated[str | None, typer.Option("--backbone", help="Where training starts: a timm model.")] = None,
    checkpoint: Checkpoint = None,
    random_init: Annotated[int | None, typer.Option("--random-init", help="Untrained weights from this seed.")] = None,
    schedule: Annotated[
        str | None, typer.Option("--schedule", help="head, three-stage, layerwise or FILE.toml. [default: head]")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Of each stage at most, for a trial.")] = None,
    head: Annotated[str | None, typer.Option("--head", help="linear, mlp or conv. [default: linear]")] = None,
    metadata: Annotated[
        bool | None, typer.Option("--metadata/--no-metadata", help="Let metadata join behind the backbone.")
    ] = None,
    weights: Annotated[Path | None, typer.Option("--weights", help="Table unit,weight of a target set.")] = None,
    fold: Annotated[list[int] | None, typer.Option("--fold", help="Only this fold; repeats. [default: all]")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Examples a step and device.")] = None,
    crop: Crop = None,
    size: Size = None,
    window: Window = None,
    stack: Stack = None,
    layer: WindowLayer = False,
    full_decode: FullDecode = False,
    device: Device = "auto",
    devices: Annotated[int, typer.Option("--devices", min=1, help="Devices, or processes on a CPU.")] = 1,
    precision: Annotated[str, typer.Option("--precision", help="auto, fp32, bf16 or fp16.")] = "auto",
    seed: Seed = 0,
    workers: Workers = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Train a backbone in stages, a fresh network for each fold; a call that was ended goes on where it was."""
    with following(debug, resumes=True) as progress:
        from radboost.data.cohort import Cohort

        # Before torch is imported, so that a wrong path is told at once.
        found = Cohort.load(cohort)
        _let_threads_rest()
        from radboost.extractor.train import need_extra

        need_extra()
        from radboost.extractor.train.file import Asked, read_config

        asked = (read_config(config) if config else Asked()).with_options(
            backbone=backbone,
            checkpoint=checkpoint,
            random_init=random_init,
            schedule=schedule,
            epochs=epochs,
            head=head,
            metadata=metadata,
            batch_size=batch_size,
            crop=crop,
            size=size,
            stack=stack,
        )
        pixels = pixel_policy(found.task, asked.crop, asked.side(found.task), window, full_decode).stacked(asked.stack)
        settings = asked.settings(pixels, layer).running(tuple(fold or ()), seed, (device, devices), precision, workers)
        if weights is not None:
            from radboost.pipeline.weighting import unit_weights

            settings = replace(settings, weights=unit_weights(found, weights))
        from radboost.booster.score import score_predictions
        from radboost.data.folder import write_json
        from radboost.extractor.train.run import train as run
        from radboost.report.summaries import training_tables
        from radboost.report.training_figure import draw_training

        training = run(found, out, settings, progress, overwrite=overwrite)
        draw_training(training)
        scores = score_predictions(training.predictions)
        write_json(out / "metrics.json", {"scores": [score.to_dict() for score in scores]})
        tables = list(training_tables(training, scores))
    for table in tables:
        show(table)
    next_command(f"radboost extract {cohort} --training {out} --out STORE")


def _let_threads_rest() -> None:
    """Say, before torch is imported, that waiting threads shall not spin: other work needs the cores."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
