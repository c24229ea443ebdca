"""`radboost blend`: runs to a certified blend."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from radboost.commands.console import following, next_command, show
from radboost.commands.options import Debug, Out, Overwrite

__all__ = ["blend"]


class _Policy(StrEnum):
    """Policies by name, known without importing the ensembler."""

    safe = "safe"
    risky = "risky"
    robust = "robust"


def blend(
    policy: Annotated[_Policy, typer.Argument(help="What the blend is made for.", show_default=False)],
    runs: Annotated[list[Path], typer.Argument(help="One or more runs on the same folds.", show_default=False)],
    out: Out,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Blend the members of runs; the headline score is cross-fitted."""
    with following(debug):
        from radboost.pipeline.blending import make_blend
        from radboost.report.summaries import blend_tables

        made = make_blend(runs, policy.value, out, overwrite=overwrite)
    for table in blend_tables(made, out):
        show(table)
    next_command(f"radboost predict {out} NEW_EXAMS --out predictions.csv")
