"""The command line: a table of commands, nothing else."""

from __future__ import annotations

from inspect import signature
from typing import Annotated

import typer

from radboost import __version__
from radboost.commands.blend import blend
from radboost.commands.cohort import app as cohort
from radboost.commands.compare import compare
from radboost.commands.crops import crops
from radboost.commands.demo import demo
from radboost.commands.doctor import doctor
from radboost.commands.explain import explain
from radboost.commands.explore import explore
from radboost.commands.extract import extract
from radboost.commands.fit_boost import fit_boost
from radboost.commands.index import index
from radboost.commands.predict import predict
from radboost.commands.report import report
from radboost.commands.runs import runs
from radboost.commands.store import app as store
from radboost.commands.tracking import tracked
from radboost.commands.train import train
from radboost.commands.weights import weights

__all__ = ["app", "main"]

UNTRACKED = ("runs", "doctor")
"""Commands that make nothing, so that there is nothing to log."""

app = typer.Typer(
    name="radboost",
    help="Frozen backbones turn DICOM into embeddings once; boosted trees and a certified blend learn from them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for name, command in (
    ("index", index),
    ("crops", crops),
    ("explore", explore),
    ("extract", extract),
    ("train", train),
    ("weights", weights),
    ("fit-boost", fit_boost),
    ("blend", blend),
    ("compare", compare),
    ("predict", predict),
    ("explain", explain),
    ("report", report),
    ("demo", demo),
    ("runs", runs),
    ("doctor", doctor),
):
    app.command(name)(command if name in UNTRACKED else tracked(name, command))
for name, group in (("cohort", cohort), ("store", store)):
    for each in group.registered_commands:
        # Those that only look have no --out, and nothing to log.
        if each.callback is not None and "out" in signature(each.callback).parameters:
            each.callback = tracked(f"{name}-{each.callback.__name__}", each.callback)
    app.add_typer(group, name=name)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"radboost {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Frozen backbones turn DICOM into embeddings once; boosted trees and a certified blend learn from them."""


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
