"""`radboost explain`: where and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radboost.commands.console import following, say
from radboost.commands.options import BatchSize, Checkpoints, Debug, Device, Overwrite, PageOut, Stores, Workers

__all__ = ["explain"]

FramePixels = Annotated[
    int | None,
    typer.Option(
        "--frame-pixels",
        min=0,
        help="Longest side of frames; 0: full resolution. [default: full, up to 24 million pixels on the page]",
    ),
]


def explain(
    blend: Annotated[Path, typer.Argument(help="A blend or a run.", show_default=False)],
    *,
    out: PageOut,
    exam: Annotated[
        Path | None, typer.Option("--exam", help="Exams, laid out as the task's data.", show_default=False)
    ] = None,
    cohort: Annotated[Path | None, typer.Option("--cohort", help="A cohort, in place of exams; with --store.")] = None,
    store: Stores = None,
    units: Annotated[
        list[str] | None,
        typer.Option("--units", help="A unit, as the table names it or by its hash; repeats. [default: the highest]"),
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="Units of highest probability, without --units.")] = 5,
    target: Annotated[str | None, typer.Option("--target", help="[default: the first]")] = None,
    label: Annotated[str | None, typer.Option("--class", help="Class of the target. [default: the last]")] = None,
    method: Annotated[
        list[str] | None, typer.Option("--method", help="map, occlusion or none. [default: both]")
    ] = None,
    hole: Annotated[
        float, typer.Option("--hole", help="Side of the window that is taken out, as a part of the crop.")
    ] = 0.125,
    step: Annotated[float, typer.Option("--step", help="From window to window, as a part of a window.")] = 0.5,
    fill: Annotated[str, typer.Option("--fill", help="What covers pixels: blur, black or grey.")] = "blur",
    crops: Annotated[int, typer.Option("--crops", min=1, help="Most crops a unit.")] = 8,
    frame_pixels: FramePixels = None,
    train: Annotated[Path | None, typer.Option("--train", help="Training cohort: shows exams that are alike.")] = None,
    train_store: Annotated[list[Path] | None, typer.Option("--train-store", help="Its stores; repeats.")] = None,
    alike: Annotated[int, typer.Option("--alike", min=1, help="Training units to show.")] = 5,
    sanity: Annotated[
        bool | None,
        typer.Option("--sanity/--no-sanity", help="Play the pointing game. [default: where lesions were planted]"),
    ] = None,
    sanity_units: Annotated[int, typer.Option("--sanity-units", min=1, help="Most units to play it with.")] = 40,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Key file of the training cohort: recognises exams that it learnt from."),
    ] = None,
    checkpoint: Checkpoints = None,
    work: Annotated[Path | None, typer.Option("--work", help="Keep the exams' cohort and stores here.")] = None,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Show where in its images and from which features a unit's probability comes, as one page."""
    with following(debug, resumes=work is not None) as progress:
        from radboost.errors import UserError
        from radboost.pipeline.explain.explain import ExplainConfig
        from radboost.pipeline.explain.run import Given, explain_given
        from radboost.pipeline.explain.where import METHODS, WhereConfig
        from radboost.pipeline.prediction import PredictConfig
        from radboost.report.explain_page import explain_page
        from radboost.report.page import refuse_page, write_page

        refuse_page(out, overwrite=overwrite)
        if (exam is None) == (cohort is None):
            raise UserError("give --exam, or --cohort with --store", where="explain")
        wanted = tuple(method or METHODS)
        if "none" in wanted and len(wanted) > 1:
            raise UserError("asks for maps and for none", where="--method", got=", ".join(wanted))
        where = None if wanted == ("none",) else WhereConfig(wanted, hole, step, fill, crops)
        config = ExplainConfig(target, label, tuple(units or ()), most, where, frame_pixels, alike)
        how = PredictConfig(
            key=key,
            work=work,
            checkpoints=tuple(checkpoint or ()),
            device=device,
            batch_size=batch_size,
            workers=workers,
        )
        given = Given(blend, exam, (cohort, tuple(store or ())), (train, tuple(train_store or ())))
        found = explain_given(given, config, how, (sanity, sanity_units), progress)
        write_page(explain_page(found), out, overwrite=overwrite)
    say(f"wrote {out}")
