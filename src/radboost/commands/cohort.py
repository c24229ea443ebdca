"""`radboost cohort`: look into a cohort, and make one that may leave the hospital."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radboost.commands.console import next_command, reported, say, show
from radboost.commands.options import Debug, Out, Overwrite

__all__ = ["app", "info", "share"]

app = typer.Typer(help="Look into a cohort, and make one that may be shared.", no_args_is_help=True)

Private = Annotated[Path, typer.Argument(help="A cohort made by `radboost index`.", show_default=False)]


@app.command()
def info(cohort: Private, debug: Debug = False) -> None:
    """Count what is in a cohort: patients, units, crops, labels, folds."""
    with reported(debug):
        from radboost.data.cohort import Cohort
        from radboost.report.summaries import cohort_table

        found = Cohort.load(cohort)
        show(cohort_table(found, {}))
        say(f"key {found.key_id}, {'shared: it holds no ids, paths or key' if found.shared else 'private'}")


@app.command()
def share(
    cohort: Private,
    out: Out,
    metadata: Annotated[
        list[str] | None, typer.Option("--metadata", help="Metadata column to share; repeats. [default: none]")
    ] = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Write hashed units, links, targets and folds, without ids, paths or key, for use beside a shared store."""
    with reported(debug):
        from radboost.data.cohort import Cohort
        from radboost.data.share import share_cohort
        from radboost.report.summaries import cohort_table

        private = Cohort.load(cohort)
        shared = share_cohort(private, out, metadata or (), overwrite=overwrite)
        left = [c for c in private.need_task().feature_columns if c not in (metadata or ())]
        show(cohort_table(shared, {}))
    if left:
        say(f"metadata left out: {', '.join(left)} (share a column with --metadata NAME)")
    next_command(f"radboost fit-boost {out} STORE --out RUN")
