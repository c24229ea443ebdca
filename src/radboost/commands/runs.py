"""`radboost runs`: what results lie below a folder."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from radboost.commands.console import reported, show, written
from radboost.commands.options import Debug, Json, Overwrite

__all__ = ["runs"]


class _Kind(StrEnum):
    """Kinds of results, in the order in which data flows."""

    cohort = "cohort"
    store = "store"
    training = "training"
    run = "run"
    blend = "blend"


def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look, and below it.")] = Path(),
    kind: Annotated[list[_Kind] | None, typer.Option("--kind", help="Only this kind; repeats. [default: all]")] = None,
    sort: Annotated[
        str,
        typer.Option(
            "--sort", help="folder, kind, created, rows, members, loss, auc, gain, radboost or fingerprint; ascending."
        ),
    ] = "folder",
    reverse: Annotated[bool, typer.Option("--reverse", help="Descending; what lacks the number stays last.")] = False,
    json: Json = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """List cohorts, stores, trainings, runs and blends with their key numbers, read from their headers alone."""
    with reported(debug):
        from radboost.report.results import find_results, results_table, sort_results

        found = [each for each in find_results(folder) if not kind or each.kind in kind]
        found = sort_results(found, sort, reverse=reverse)
        if written([each.to_dict() for each in found], json, overwrite):
            show(results_table(found, folder))
