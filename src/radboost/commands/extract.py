"""`radboost extract`: a cohort to an embedding store."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from radboost.commands.console import following, next_command, show
from radboost.commands.options import (
    Backbone,
    BatchSize,
    Checkpoint,
    Crop,
    Debug,
    Decode,
    Device,
    Engine,
    FromTraining,
    FullDecode,
    Out,
    Overwrite,
    Pools,
    RayAddress,
    Size,
    Stack,
    Strict,
    Window,
    WindowLayer,
    Workers,
    numbers,
    pixel_policy,
)

__all__ = ["extract"]

BACKBONE = "convnextv2_tiny.fcmae_ft_in22k_in1k"


def extract(
    cohort: Annotated[Path, typer.Argument(help="A cohort made by `radboost index`.", show_default=False)],
    out: Out,
    backbone: Backbone = BACKBONE,
    checkpoint: Checkpoint = None,
    random_init: Annotated[int | None, typer.Option("--random-init", help="Untrained weights from this seed.")] = None,
    training: FromTraining = None,
    pool: Pools = None,
    stage: Annotated[int | None, typer.Option("--stage", help="Features after this stage, not the last.")] = None,
    mean: Annotated[str | None, typer.Option("--mean", help="Of the input, R,G,B in 0..1. [default: its own]")] = None,
    std: Annotated[str | None, typer.Option("--std", help="Likewise its deviation.")] = None,
    views: Annotated[int, typer.Option("--views", min=0, help="Augmented views of each crop, beside it.")] = 0,
    views_seed: Annotated[int, typer.Option("--views-seed", min=0, help="Another seed gives other views.")] = 0,
    crop: Crop = None,
    size: Size = None,
    window: Window = None,
    stack: Stack = None,
    window_layer: WindowLayer = False,
    full_decode: FullDecode = False,
    decode: Decode = "cpu",
    engine: Engine = "local",
    ray_address: RayAddress = None,
    device: Device = "auto",
    precision: Annotated[str, typer.Option("--precision", help="auto, fp32, bf16 or fp16.")] = "auto",
    dtype: Annotated[str, typer.Option("--dtype", help="Of the stored embeddings: float16 or float32.")] = "float16",
    compile: Annotated[bool, typer.Option("--compile", help="Compile the network: slow to start, fast after.")] = False,
    batch_size: BatchSize = None,
    workers: Workers = None,
    shard_rows: Annotated[int | None, typer.Option("--shard-rows", min=1, help="Crops a shard.")] = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Turn a cohort's crops into embeddings; what is in the store already is not computed again."""
    with following(debug, resumes=True) as progress:
        from radboost.data.cohort import Cohort

        # Before torch is imported, so that a wrong path is told at once.
        found = Cohort.load(cohort)
        # Likewise: threads that spin while they wait for one another take the cores that decoding needs.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        from radboost.extractor.backbone import BackboneConfig, input_size, layered
        from radboost.extractor.config import ExtractConfig
        from radboost.extractor.extract import extract as run
        from radboost.extractor.views import ViewConfig, hu_shift
        from radboost.report.summaries import extract_table

        if training is not None:
            _refuse_beside(backbone, checkpoint, random_init, stage, mean, std, crop, size, stack, window, window_layer)
            made = ExtractConfig.of_training(training, tuple(pool or ()))
            network, pixels = made.backbone, made.pixels
        else:
            scale = [None if text is None else numbers(name, text) for name, text in (("--mean", mean), ("--std", std))]
            network = BackboneConfig(backbone, checkpoint, random_init, size, tuple(pool or ("avg",)), stage, *scale)
            # Where neither user nor task says, a crop is as large as what the network was made for.
            side = size or (found.task.images.size if found.task else input_size(network))
            pixels = pixel_policy(found.task, crop, side, window, full_decode or decode == "cuda").stacked(stack or 1)
            network = replace(network, size=side)
            network, pixels = layered(network, pixels) if window_layer else (network, pixels)
        windows = pixels.windows
        config = ExtractConfig(
            network,
            pixels,
            views=ViewConfig(views, views_seed, intensity=hu_shift(windows) if windows else ViewConfig.intensity),
            compile=compile,
            decode=decode,
            engine=engine,
            ray_address=ray_address,
            precision=precision,
            dtype=dtype,
            device=device,
            batch_size=batch_size,
            workers=workers,
            shard_rows=shard_rows,
            strict=strict,
        )
        result = run(found, out, config, progress, overwrite=overwrite)
    show(extract_table(result, out))
    if found.task is not None:
        next_command(f"radboost fit-boost {cohort} {out} --out RUN")


def _refuse_beside(backbone: str, *asked: object) -> None:
    from radboost.errors import UserError

    if backbone != BACKBONE or any(each is not None and each is not False for each in asked):
        do = "Leave out what says what is embedded, and by which network: the training says it"
        raise UserError("is given beside another source", where="--training", do=do)
