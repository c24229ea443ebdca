"""`radboost blend`: runs, or predictions made elsewhere, to a certified blend."""

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
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Runs or trainings of the same folds.", show_default=False)
    ] = None,
    *,
    out: Out,
    space: Annotated[str, typer.Option("--space", help="auto (chosen by cross-fitting), prob or logit.")] = "auto",
    per_target: Annotated[
        str, typer.Option("--per-target", help="Weights of the targets: shared, own, or shrunk towards the shared.")
    ] = "shared",
    keep_all: Annotated[
        bool, typer.Option("--keep-all", help="Keep members that help neither the plain nor the weighted loss.")
    ] = False,
    missing: Annotated[
        str, typer.Option("--missing", help="Members that lack units: error, or renormalise over those there.")
    ] = "error",
    calibrate: Annotated[
        str, typer.Option("--calibrate", help="none, temperature, platt, isotonic or beta; cross-fitted.")
    ] = "none",
    predictions: Annotated[
        list[Path] | None, typer.Option("--predictions", help="Instead of runs: tables made elsewhere; repeats.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Their labels: a table of the same columns, or a cohort.")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="Regular expression that finds the patient in a unit's name.")
    ] = None,
    class_weight: Annotated[
        list[str] | None, typer.Option("--class-weight", help="CLASS=WEIGHT of a unit in the loss; repeats.")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="Task of the files: its targets, class weights and constraints.")
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep/--no-sweep", help="With target weights: where safe, risky and robust cross.")
    ] = True,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Blend the members of runs and trainings, or files of predictions; the headline score is cross-fitted."""
    with following(debug):
        from radboost.data.tasks import get_task
        from radboost.ensemble.result import BlendConfig
        from radboost.errors import UserError
        from radboost.pipeline.blending import blend_outside, make_blend
        from radboost.pipeline.outside import OutsideConfig, read_outside
        from radboost.report.blend_figure import draw_sweeps
        from radboost.report.summaries import blend_tables

        if bool(runs) == bool(predictions):
            raise UserError("give runs, or --predictions and --labels", got="both" if runs else "neither")
        config = BlendConfig(space, per_target, keep_all, missing, calibrate, sweep=sweep)
        if runs:
            made = make_blend(runs, policy.value, out, config=config, overwrite=overwrite)
        else:
            if labels is None:
                raise UserError("predictions need --labels", do="Give a table of labels, or a cohort")
            weights = dict(_weight(text) for text in class_weight or ())
            known = get_task(task) if task else None
            outside = read_outside(predictions or [], OutsideConfig(labels, group, weights, known, missing))
            made = blend_outside(outside, policy.value, out, config=config, overwrite=overwrite)
        if made.sweeps:
            draw_sweeps(made.sweeps, out / "sweep.png")
    for table in blend_tables(made, out):
        show(table)
    if runs:
        next_command(f"radboost predict {out} NEW_EXAMS --out predictions.csv")


def _weight(text: str) -> tuple[str, float]:
    from radboost.errors import UserError

    name, _, value = text.rpartition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise UserError(
            "is no weight", where="--class-weight", got=text, do="Write CLASS=WEIGHT, as severe=4"
        ) from error
