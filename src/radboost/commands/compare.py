"""`radboost compare`: two runs or blends, paired by unit."""

from __future__ import annotations

from typing import Annotated

import typer

from radboost.commands.console import following, show
from radboost.commands.options import Debug
from radboost.commands.tracking import noted

__all__ = ["compare"]


def compare(
    first: Annotated[str, typer.Argument(help="A blend, run, training; or FOLDER:MEMBER.", show_default=False)],
    second: Annotated[str, typer.Argument(help="Another one.", show_default=False)],
    debug: Debug = False,
) -> None:
    """Compare two results on the units that both predicted, with paired intervals clustered by patient."""
    with following(debug):
        from radboost.pipeline.compare import Side
        from radboost.pipeline.compare import compare as run
        from radboost.report.summaries import compare_tables

        sides = Side.open(first), Side.open(second)
        found = run(*sides)
        noted({"scores": found})
    for table in compare_tables(sides[0].name, sides[1].name, found):
        show(table)
