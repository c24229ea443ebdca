"""`radboost explore`: what is in a cohort before any model, as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radboost.commands.console import following, say
from radboost.commands.options import By, Debug, Overwrite, PageOut, Seed, Workers

__all__ = ["explore"]


def explore(
    cohort: Annotated[Path, typer.Argument(help="A cohort, private or shared.", show_default=False)],
    *,
    out: PageOut,
    target: Annotated[
        Path | None, typer.Option("--target", help="Cohort to be predicted: how far it lies from this one.")
    ] = None,
    by: By = None,
    crops: Annotated[int, typer.Option("--crops", min=0, help="Crops of each kind on the contact sheet; 0: none.")] = 6,
    files: Annotated[
        int, typer.Option("--files", min=0, help="Most files opened for headers and to find copies; 0: none.")
    ] = 1000,
    seed: Seed = 0,
    workers: Workers = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Show what is in the data before any model: counts, gaps, folds, drift, copies, faults, crops."""
    with following(debug) as progress:
        from radboost.data.cohort import Cohort
        from radboost.report.explore import ExploreConfig
        from radboost.report.explore import explore as lay_out
        from radboost.report.page import refuse_page, write_page

        refuse_page(out, overwrite=overwrite)
        config = ExploreConfig(tuple(by or ()), crops, files, seed, workers=workers)
        other = None if target is None else Cohort.load(target)
        page = lay_out(Cohort.load(cohort), other, config, progress)
        folder = write_page(page, out, overwrite=overwrite)
    say(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB); its numbers and figures are in {folder}")
