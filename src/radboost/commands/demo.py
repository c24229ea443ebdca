"""`radboost demo`: the whole system on a synthetic cohort, offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radboost.commands.console import following, say, show
from radboost.commands.options import Debug, Overwrite, Seed, Workers
from radboost.commands.tracking import noted

if TYPE_CHECKING:
    from radboost.data.progress import Progress

__all__ = ["demo"]

EXPLORED, REPORTED = "explore.html", "report.html"


def demo(
    out: Annotated[Path, typer.Option("--out", help="Where everything is written.")] = Path("radboost-demo"),
    task: Annotated[
        str, typer.Option("--task", help="rsna-breast, rsna-ich, cbis-ddsm or rsna-lumbar.")
    ] = "rsna-breast",
    patients: Annotated[
        int | None, typer.Option("--patients", min=40, help="Patients to learn from. [default: 120; else the demo's]")
    ] = None,
    pixels: Annotated[
        int | None, typer.Option("--pixels", min=64, help="Rows of an image. [default: 1024; else the demo's]")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="Another network than the demo's own.", show_default=False)
    ] = None,
    random_init: Annotated[
        int | None,
        typer.Option("--random-init", help="Seed of random weights, to see what an untrained network tells."),
    ] = None,
    seed: Seed = 0,
    workers: Workers = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Make a synthetic cohort and run every stage on it, without a network."""
    with following(debug) as progress:
        from radboost.pipeline.demo import DemoConfig, run_demo
        from radboost.report.summaries import demo_table

        asked = DemoConfig(out, patients, pixels, seed, workers, overwrite, task, backbone, random_init)
        result = run_demo(asked, progress)
        noted({"scores": result.rows})
        _explore(out, seed, workers, progress)
        _report(out, seed, progress)
    show(demo_table(result))
    say(f"everything lies in {out}:")
    for name, what in result.places:
        say(f"  {name:<18} {what}")
    say(f"  {EXPLORED:<18} made by radboost explore: what is in the data, and how far the new exams lie from it")
    say(f"  {REPORTED:<18} made by radboost report: how good each blend is out of fold, by subgroup")


def _explore(out: Path, seed: int, workers: int | None, progress: Progress) -> None:
    """Write the page on the cohort that was learnt from, beside the new exams'."""
    from radboost.data.cohort import Cohort
    from radboost.report.explore import ExploreConfig, explore
    from radboost.report.page import write_page

    progress.say("explore the cohort and the new exams")
    config = ExploreConfig(crops=4, files=300, seed=seed, workers=workers)
    page = explore(Cohort.load(out / "cohort"), Cohort.load(out / "work" / "cohort"), config, progress)
    write_page(page, out / EXPLORED, overwrite=True)
    noted(pages=[out / EXPLORED])


def _report(out: Path, seed: int, progress: Progress) -> None:
    """Write the page on the blends, of which there is one a policy."""
    from radboost.data.cohort import Cohort
    from radboost.ensemble.policy import Policy
    from radboost.metrics import Bootstrap
    from radboost.report.evaluation.page import Around, evaluation_page
    from radboost.report.evaluation.subgroups import known_columns
    from radboost.report.evaluation.subject import Settings, open_subject
    from radboost.report.page import write_page

    progress.say("report on the blends")
    cohort = Cohort.load(out / "cohort")
    folders = [out / f"blend-{policy.value}" for policy in Policy]
    subjects = [open_subject(str(folder)) for folder in folders if folder.is_dir()]
    around = Around(known_columns(cohort), None, (("cohort", cohort.fingerprint),))
    page = evaluation_page(subjects, Settings(Bootstrap(500, seed)), around, progress)
    write_page(page, out / REPORTED, overwrite=True)
    noted(pages=[out / REPORTED])
