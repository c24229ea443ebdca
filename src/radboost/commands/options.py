"""Options that several commands share, so that they are spelled and explained once."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from radboost.data.crop import PixelPolicy
    from radboost.data.task import Task

__all__ = [
    "Backbone",
    "BatchSize",
    "By",
    "Checkpoint",
    "Checkpoints",
    "Crop",
    "Debug",
    "Decode",
    "Device",
    "Engine",
    "FromTraining",
    "FullDecode",
    "Json",
    "Out",
    "Overwrite",
    "PageOut",
    "Pools",
    "RayAddress",
    "Seed",
    "Size",
    "Stack",
    "Stores",
    "Strict",
    "Window",
    "WindowLayer",
    "Workers",
    "numbers",
    "pixel_policy",
]

Out = Annotated[Path, typer.Option("--out", help="Where the result is written.", show_default=False)]
PageOut = Annotated[
    Path,
    typer.Option("--out", help="The page, PAGE.html; numbers and figures go to PAGE-files.", show_default=False),
]
By = Annotated[
    list[str] | None,
    typer.Option("--by", help="Column of the cohort's own table to part units by as well; repeats."),
]
Stores = Annotated[list[Path] | None, typer.Option("--store", help="Stores of that cohort; repeats.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing result.")]
Strict = Annotated[bool, typer.Option("--strict", help="Let the first bad file end the run.")]
Crop = Annotated[
    str | None, typer.Option("--crop", help="breast, body, frame or box (of the table). [default: the task's]")
]
Size = Annotated[int | None, typer.Option("--size", min=32, help="Side of a crop, pixels. [default: the task's]")]
Window = Annotated[
    list[str] | None,
    typer.Option("--window", help="CENTRE,WIDTH of a channel (CT); repeat for more. [default: the task's]"),
]
Stack = Annotated[int | None, typer.Option("--stack", help="3: channels are a slice and its neighbours. [default: 1]")]
WindowLayer = Annotated[
    bool, typer.Option("--window-layer", help="Windows are the network's first layer, which `train` can teach (CT).")
]
FullDecode = Annotated[bool, typer.Option("--full-decode", help="Decode JPEG 2000 at full resolution.")]
Json = Annotated[
    str | None, typer.Option("--json", help="Write it as JSON to this file, or - for stdout in place of the table.")
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
Checkpoints = Annotated[
    list[Path] | None, typer.Option("--checkpoint", help="Backbone weights, where they came from files; repeats.")
]
FromTraining = Annotated[
    Path | None, typer.Option("--training", help="Networks of `radboost train`, on crops like theirs.")
]
Backbone = Annotated[
    str, typer.Option("--backbone", help="A timm model, radboost:phantom, hf-hub:ORG/NAME or transformers:ORG/NAME.")
]
Pools = Annotated[
    list[str] | None,
    typer.Option("--pool", help="avg, max, avgmax, cls, token-mean, channelmax:K or, of a training, head; repeats."),
]
Decode = Annotated[str, typer.Option("--decode", help="cpu, or cuda: JPEG 2000 on the GPU, in full (extra cuda).")]
Engine = Annotated[str, typer.Option("--engine", help="local, or ray: the nodes of a cluster (extra ray).")]
RayAddress = Annotated[
    str | None, typer.Option("--ray-address", help="HOST:PORT or auto. [default: $RAY_ADDRESS, else this machine]")
]


def numbers(option: str, text: str) -> tuple[float, ...]:
    """Read numbers that commas part.

    Raises
    ------
    UserError
        One of them is none.
    """
    from radboost.errors import UserError

    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UserError("holds no numbers", where=option, got=text, do="Part them by commas") from error
    if not all(map(math.isfinite, found)):
        raise UserError("holds what is no finite number", where=option, got=text)
    return found


def pixel_policy(
    task: Task | None, crop: str | None, size: int | None, window: list[str] | None, full_decode: bool
) -> PixelPolicy:
    """Say how crops are cut: as the task does, but for what was asked for.

    Raises
    ------
    UserError
        A value cannot be read or is out of range.
    """
    from radboost.data.crop import PixelPolicy
    from radboost.data.task import Images
    from radboost.errors import UserError

    images = task.images if task else Images()
    windows = images.windows
    if window:
        pairs = [numbers("--window", text) for text in window]
        if any(len(pair) != 2 for pair in pairs):
            do = "Write CENTRE,WIDTH, for example 40,80"
            raise UserError("is no window", where="--window", got=" ".join(window), do=do)
        windows = tuple((centre, width) for centre, width in pairs)
    return PixelPolicy.of(crop or images.crop, size or images.size, windows, full_decode=full_decode)
