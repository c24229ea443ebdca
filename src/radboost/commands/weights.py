"""`radboost weights`: sample weights under which a cohort looks like a target set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radboost.commands.console import next_command, reported, say, show
from radboost.commands.options import Debug, Out, Overwrite, Seed
from radboost.commands.tracking import noted

__all__ = ["weights"]


def weights(
    cohort: Annotated[Path, typer.Argument(help="The cohort to be learnt from.", show_default=False)],
    *,
    target: Annotated[
        Path, typer.Option("--target", help="Cohort that it is to look like; needs no labels.", show_default=False)
    ],
    out: Out,
    method: Annotated[str, typer.Option("--method", help="odds, strata or balance.")] = "odds",
    on: Annotated[
        list[str] | None,
        typer.Option(
            "--on",
            help="Metadata column or header feature to compare on, with :category to make categories of its values; "
            "repeats. [default: the task's metadata]",
        ),
    ] = None,
    match_prevalence: Annotated[
        str | None,
        typer.Option("--match-prevalence", help="How frequent the finding is in the target: a rate, or predictions."),
    ] = None,
    finding: Annotated[
        str | None, typer.Option("--finding", help="Target whose prevalence is matched. [default: the task's first]")
    ] = None,
    flatten: Annotated[
        bool, typer.Option("--flatten/--no-flatten", help="Flatten weights that leave too few units, or refuse them.")
    ] = True,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Weigh a cohort's units so that their metadata is distributed as another cohort's; for fit-boost --weights."""
    with reported(debug):
        from radboost.booster.weights import (
            WeightConfig,
            parse_prevalence,
            picture_path,
            refuse_written,
            simulate,
            write_weights,
        )
        from radboost.data.cohort import Cohort
        from radboost.report.weight_figure import draw_weights
        from radboost.report.weight_tables import weight_tables

        refuse_written(out, overwrite)
        source = Cohort.load(cohort)
        rate = None
        if match_prevalence is not None:
            task = source.need_task()
            rate = parse_prevalence(match_prevalence, task, finding or task.targets[0].name)
        config = WeightConfig(method, tuple(on or ()), rate, finding, flatten, seed)
        found = simulate(source, Cohort.load(target), config)
        write_weights(out, found.unit.tolist(), found.weight)
        draw_weights(found, picture_path(out))
        shares = {"effective sample share": found.share, "share before flattening": found.raw_share}
        noted({**shares, "power": found.power, "units": len(found.unit)}, [picture_path(out)])
    for table in weight_tables(found):
        show(table)
    if found.power < 1:
        say(
            f"flattened: weights were raised to the power {found.power:.3f}, since the effective sample share of "
            f"{found.raw_share:.3f} is too small; they simulate the target only in part"
        )
    say(f"wrote {out} and {picture_path(out)}; units are named by their hash")
    next_command(f"radboost fit-boost {cohort} STORE --weights {out} --out RUN")
