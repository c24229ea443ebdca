"""`radboost index`: a data folder to a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radboost.commands.console import following, next_command, show
from radboost.commands.options import Debug, Out, Overwrite, Seed, Strict, Workers
from radboost.commands.tracking import noted

__all__ = ["index"]


def index(
    data_dir: Annotated[Path, typer.Argument(help="The data set's folder, as downloaded.", show_default=False)],
    out: Out,
    task: Annotated[
        str | None, typer.Option("--task", help="A task by name (rsna-breast) or a TOML file. Without one: all images.")
    ] = None,
    folds: Annotated[str, typer.Option("--folds", help="K, column:NAME or holdout:F.")] = "5",
    seed: Seed = 0,
    key: Annotated[Path | None, typer.Option("--key", help="Key file of a cohort whose stores shall join.")] = None,
    frames: Annotated[str, typer.Option("--frames", help="Of multi-frame files: middle, first or all.")] = "middle",
    headers: Annotated[
        str,
        typer.Option(
            "--headers",
            help="Header features: none, geometry, pixels (decodes all), or all, with a table of every element.",
        ),
    ] = "none",
    patches: Annotated[
        str | None, typer.Option("--patches", help="Units are patches: s1, s1-big, s10, a number, or grid.")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", min=16, help="Side of a patch, pixels of the image. [default: the set's]")
    ] = None,
    sees: Annotated[
        str | None,
        typer.Option("--sees", help="Of studies of several series a unit sees: shared (all) or split (its own)."),
    ] = None,
    points: Annotated[
        str | None, typer.Option("--points", help="Levels are where the table says, given, or all located.")
    ] = None,
    neighbours: Annotated[
        int | None,
        typer.Option("--neighbours", min=0, help="Slices to either side whose mean boosters see beside a slice's own."),
    ] = None,
    workers: Workers = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Index a folder of images: ids, links to units, labels and folds become a cohort."""
    with following(debug, resumes=True) as progress:
        from radboost.data.folder import refuse_existing
        from radboost.data.identity import read_key
        from radboost.data.index import IndexConfig
        from radboost.data.index import index as make
        from radboost.data.splits import FoldSpec
        from radboost.data.tasks.choices import Choices, choose_task
        from radboost.report.summaries import cohort_table

        refuse_existing(out, "cohort", overwrite)
        # A cohort that is made anew keeps its key: another one would orphan every store that was made from it.
        known = key or (out / "key" if (out / "key").is_file() else None)
        # Beside the cohort, hidden: a run that was cut off goes on from it.
        journal = out.absolute().with_name(f".{out.absolute().name}.scan.jsonl")
        config = IndexConfig(
            folds=FoldSpec.parse(folds),
            seed=seed,
            key=None if known is None else read_key(known),
            frames=frames,
            workers=workers,
            strict=strict,
            headers=headers,
            journal=journal,
        )
        choices = Choices(patches=patches, size=size, sees=sees, points=points, neighbours=neighbours)
        found = make(data_dir, choose_task(task, choices), config, progress)
        cohort = found.cohort.save(out, overwrite=overwrite)
        journal.unlink(missing_ok=True)
        noted({"quarantined": len(cohort.quarantine), "skipped": found.skipped})
    show(cohort_table(cohort, found.skipped))
    next_command(f"radboost extract {out} --out STORE")
