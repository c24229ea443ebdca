"""Options that several commands share, so that they are spelled and explained once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["BatchSize", "Checkpoint", "Crop", "Debug", "Device", "Out", "Overwrite", "Seed", "Strict", "Workers"]

Out = Annotated[Path, typer.Option("--out", help="Where the result is written.", show_default=False)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing result.")]
Strict = Annotated[bool, typer.Option("--strict", help="Let the first bad file end the run.")]
Crop = Annotated[
    str | None, typer.Option("--crop", help="breast, body, frame or box (of the table). [default: the task's]")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of all that is random.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Processes or threads; all cores if not given.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", min=1, help="Crops a forward pass; chosen if not given.")
]
Checkpoint = Annotated[
    Path | None, typer.Option("--checkpoint", help="Backbone weights: .safetensors, or .pt/.pth read as weights only.")
]
