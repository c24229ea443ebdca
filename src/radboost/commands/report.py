"""`radboost report`: how good predictions are, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radboost.commands.console import following, say
from radboost.commands.options import By, Debug, Overwrite, PageOut, Seed, Workers

if TYPE_CHECKING:
    from radboost.data.cohort import Cohort
    from radboost.report.evaluation.hardest import Pictures

__all__ = ["report"]


def report(
    results: Annotated[
        list[str],
        typer.Argument(
            help="Blend, run, training, FOLDER:MEMBER or predictions.parquet; all are compared with the first.",
            show_default=False,
        ),
    ],
    out: PageOut,
    cohort: Annotated[
        Path | None, typer.Option("--cohort", help="Cohort of the units: subgroups by what it knows of them.")
    ] = None,
    by: By = None,
    crops: Annotated[
        bool,
        typer.Option("--crops", help="Show the hardest units: all views, of a series four slices."),
    ] = False,
    hardest: Annotated[int, typer.Option("--hardest", min=0, help="Hardest units listed on either side.")] = 10,
    specificity: Annotated[float, typer.Option("--specificity", help="Operating point: least specificity.")] = 0.9,
    recall_rate: Annotated[float, typer.Option("--recall-rate", help="Operating point: largest share called.")] = 0.1,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="Of tables made elsewhere: a table of the same columns, or a cohort."),
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="Regular expression that finds the patient in a unit's name.")
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="Task of such tables.")] = None,
    replicates: Annotated[int, typer.Option("--replicates", min=100, help="Of the bootstrap.")] = 1000,
    seed: Seed = 0,
    workers: Workers = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Write a page on how good predictions are, every number with an interval clustered by patient."""
    with following(debug) as progress:
        from radboost.data.cohort import Cohort
        from radboost.errors import UserError
        from radboost.metrics import Bootstrap
        from radboost.report.evaluation.page import Around, evaluation_page
        from radboost.report.evaluation.subgroups import known_columns, table_columns
        from radboost.report.evaluation.subject import Settings, open_subject
        from radboost.report.page import refuse_page, write_page

        refuse_page(out, overwrite=overwrite)
        if cohort is None and (crops or by):
            raise UserError("need the cohort", where="--crops" if crops else "--by", do="Give --cohort COHORT")
        settings = Settings(Bootstrap(replicates, seed), specificity, recall_rate, hardest)
        known = Cohort.load(cohort) if cohort else None
        outside = None
        if labels is not None:
            from radboost.data.tasks import get_task
            from radboost.pipeline.outside import OutsideConfig

            outside = OutsideConfig(labels, group, {}, get_task(task) if task else None)
        subjects = [open_subject(what, known.task if known else None, outside) for what in results]
        around = Around()
        if known is not None:
            extra = table_columns(known, by) if by else None
            pictures = _pictures(known, workers) if crops else None
            around = Around(known_columns(known, extra), pictures, (("cohort", known.fingerprint),))
        page = evaluation_page(subjects, settings, around, progress)
        folder = write_page(page, out, overwrite=overwrite)
    say(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB); its numbers and figures are in {folder}")


def _pictures(cohort: Cohort, workers: int | None) -> Pictures:
    """Give pictures of units: of each its own crops, of many a few that are evenly spread."""
    from radboost.commands.options import pixel_policy
    from radboost.data.jobs import refuse_unboxed
    from radboost.pipeline.explain.where import crops_of
    from radboost.report.crop_pictures import crop_pictures
    from radboost.report.evaluation.hardest import VIEWS

    pixels = pixel_policy(cohort.task, None, None, None, False)
    refuse_unboxed(cohort, pixels)
    row_of = {crop: row for row, crop in enumerate(cohort.manifest["crop_id"])}
    names = dict(zip(cohort.units["unit_id"].astype(str), cohort.units["unit"], strict=True))

    def pictures(units: list[str]) -> dict[str, list[tuple[str, bytes]]]:
        wanted = [(unit, *crop) for unit in units if unit in names for crop in crops_of(cohort, names[unit], VIEWS)]
        wanted = [each for each in wanted if each[1] in row_of]
        made = crop_pictures(cohort, [row_of[crop] for _, crop, _ in wanted], pixels, workers=workers)
        found: dict[str, list[tuple[str, bytes]]] = {}
        for (unit, _, slot), picture in zip(wanted, made, strict=True):
            if picture is not None:
                found.setdefault(unit, []).append((slot, picture))
        return found

    return pictures
