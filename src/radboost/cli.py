"""The command line: a table of commands, nothing else."""

from __future__ import annotations

from typing import Annotated

import typer

from radboost import __version__
from radboost.commands.blend import blend
from radboost.commands.demo import demo
from radboost.commands.extract import extract
from radboost.commands.fit_boost import fit_boost
from radboost.commands.index import index
from radboost.commands.predict import predict

__all__ = ["app", "main"]

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
    ("extract", extract),
    ("fit-boost", fit_boost),
    ("blend", blend),
    ("predict", predict),
    ("demo", demo),
):
    app.command(name)(command)


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
