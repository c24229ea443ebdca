"""`radboost extract`: a cohort to an embedding store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radboost.commands.console import following, next_command, show
from radboost.commands.options import (
    BatchSize,
    Checkpoint,
    Crop,
    Debug,
    Device,
    FullDecode,
    Out,
    Overwrite,
    Size,
    Strict,
    Window,
    Workers,
    pixel_policy,
)

__all__ = ["extract"]

BACKBONE = "convnextv2_tiny.fcmae_ft_in22k_in1k"


def extract(
    cohort: Annotated[Path, typer.Argument(help="A cohort made by `radboost index`.", show_default=False)],
    out: Out,
    backbone: Annotated[str, typer.Option("--backbone", help="Any timm model by name.")] = BACKBONE,
    checkpoint: Checkpoint = None,
    random_init: Annotated[int | None, typer.Option("--random-init", help="Untrained weights from this seed.")] = None,
    pool: Annotated[
        list[str] | None, typer.Option("--pool", help="avg, max, avgmax or cls; repeat for several. [default: avg]")
    ] = None,
    stage: Annotated[int | None, typer.Option("--stage", help="Features after this stage, not the last.")] = None,
    crop: Crop = None,
    size: Size = None,
    window: Window = None,
    full_decode: FullDecode = False,
    device: Device = "auto",
    precision: Annotated[str, typer.Option("--precision", help="auto, fp32, bf16 or fp16.")] = "auto",
    dtype: Annotated[str, typer.Option("--dtype", help="Of the stored embeddings: float16 or float32.")] = "float16",
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
        from radboost.extractor.backbone import BackboneConfig
        from radboost.extractor.config import ExtractConfig
        from radboost.extractor.extract import extract as run
        from radboost.report.summaries import extract_table

        pixels = pixel_policy(found.task, crop, size, window, full_decode)
        config = ExtractConfig(
            BackboneConfig(backbone, checkpoint, random_init, pixels.size, tuple(pool or ("avg",)), stage),
            pixels,
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
