"""`radboost doctor`: what works here, and what an absent extra would add."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radboost.commands.console import following, show, written
from radboost.commands.extract import BACKBONE
from radboost.commands.options import Debug, Json, Overwrite

__all__ = ["doctor"]


def doctor(
    path: Annotated[Path, typer.Option("--path", help="Folder whose disk is looked at. [default: this one]")] = Path(),
    hub: Annotated[bool, typer.Option("--hub", help="Also ask the hub of pretrained weights if it answers.")] = False,
    ray: Annotated[
        str | None, typer.Option("--ray", help="Also ask the Ray cluster at this address: HOST:PORT or auto.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Judge libraries by their versions; import neither torch nor the like.")
    ] = False,
    json: Json = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Try libraries, codecs, GPU and disk, and say what works; exit code 1 where something needed is broken."""
    with following(debug) as progress:
        from radboost.pipeline.doctor.examine import DoctorConfig, examine
        from radboost.report.doctor_tables import doctor_tables

        report = examine(DoctorConfig(path, BACKBONE, hub, ray, quick), progress)
        shown = written(report.to_dict(), json, overwrite)
    if shown:
        for table in doctor_tables(report):
            show(table)
    if not report.works:
        raise typer.Exit(1)
