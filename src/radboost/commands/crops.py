"""`radboost crops`: what a backbone would see, as picture files and as one sheet to look over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radboost.commands.console import following, say, show
from radboost.commands.options import (
    Crop,
    Debug,
    FullDecode,
    Out,
    Overwrite,
    Seed,
    Size,
    Strict,
    Window,
    Workers,
    pixel_policy,
)
from radboost.commands.tracking import noted

__all__ = ["crops"]


def crops(
    data: Annotated[Path, typer.Argument(help="A cohort, or any folder of images.", show_default=False)],
    out: Out,
    size: Size = None,
    crop: Crop = None,
    window: Window = None,
    format: Annotated[str, typer.Option("--format", help="png (8 bits), png16 or npy (uint16).")] = "png",
    only: Annotated[
        list[str] | None, typer.Option("--only", help="NAME=VALUE, as view=CC, cancer=1 or fold=0; repeats.")
    ] = None,
    sample: Annotated[int | None, typer.Option("--sample", min=1, help="Only so many, drawn by --seed.")] = None,
    contact_sheet: Annotated[
        Path | None, typer.Option("--contact-sheet", help="PNG of the 100 oddest-looking crops and their boxes.")
    ] = None,
    show_ids: Annotated[
        bool, typer.Option("--show-ids", help="Name files as the data folder does, not by crop id.")
    ] = False,
    full_decode: FullDecode = False,
    seed: Seed = 0,
    workers: Workers = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Write the crops of a cohort or a folder as pictures, through the chain that `extract` uses."""
    with following(debug, resumes=True) as progress:
        from radboost.data.cohort import Cohort
        from radboost.data.export import ExportConfig, export_crops
        from radboost.data.index import IndexConfig, index
        from radboost.data.selection import select_rows
        from radboost.report.contact_sheet import SheetConfig, refuse_other
        from radboost.report.contact_sheet import contact_sheet as draw
        from radboost.report.summaries import crops_table

        if contact_sheet is not None:
            refuse_other(contact_sheet)
        if (data / "cohort.json").is_file():
            cohort = Cohort.load(data)
        else:
            cohort = index(data, None, IndexConfig(workers=workers, strict=strict), progress).cohort
        pixels = pixel_policy(cohort.task, crop, size, window, full_decode)
        rows = select_rows(cohort, only or (), sample, seed)
        config = ExportConfig(pixels, format, show_ids, strict, overwrite, workers)
        done = export_crops(cohort, rows, out, config, progress)
        noted({"written": done.new, "written before": done.before, "failed": done.failed})
        drawn = 0
        if contact_sheet is not None:
            drawn = draw(cohort, done, pixels, contact_sheet, SheetConfig(show_ids=show_ids, workers=workers))
    show(crops_table(cohort, done))
    if contact_sheet is not None:
        say(f"wrote {contact_sheet}: {drawn} crops, the oddest-looking boxes first")
