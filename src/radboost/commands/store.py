"""`radboost store`: look into stores, prove them, compare, unite and export them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radboost.commands.console import following, reported, say, show
from radboost.commands.options import Debug, Out, Overwrite

__all__ = ["app", "diff", "export", "info", "ls", "merge", "verify"]

app = typer.Typer(help="Look into stores, prove them, compare, unite and export them.", no_args_is_help=True)

Store = Annotated[Path, typer.Argument(help="A store made by `radboost extract`.", show_default=False)]


@app.command()
def info(store: Store, debug: Debug = False) -> None:
    """Say what made a store and what is in it."""
    with reported(debug):
        from radboost.data.store import EmbeddingStore
        from radboost.report.store_tables import store_table

        show(store_table(EmbeddingStore.open(store)))


@app.command()
def ls(
    store: Store,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Most crops listed; 0 for all.")] = 50,
    failed: Annotated[bool, typer.Option("--failed", help="List the crops that could not be embedded.")] = False,
    debug: Debug = False,
) -> None:
    """List crops as tab-separated lines: id, row, view, wavelet levels dropped, shard."""
    with reported(debug):
        from radboost.data.store import EmbeddingStore
        from radboost.report.store_tables import listing

        for line in listing(EmbeddingStore.open(store), limit, failed=failed):
            typer.echo(line)


@app.command()
def verify(
    store: Store,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell: set no damaged shard aside.")] = False,
    debug: Debug = False,
) -> None:
    """Read every byte; a damaged shard is named and set aside, and the next extract makes just that one anew."""
    with following(debug) as progress:
        from radboost.data.store import set_aside, verify_store
        from radboost.errors import UserError
        from radboost.report.store_tables import verification_table

        progress.start("verify", None)
        found = verify_store(store, progress.advance)
        refused, aside = "", list[str]()
        if found.damaged and not dry_run:
            try:
                aside = set_aside(store, found.damaged)
            except UserError as error:
                refused = str(error)
    show(verification_table(found, store))
    if not found.damaged:
        return
    for name in aside:
        say(f"set aside: {name}.damaged")
    if refused:
        say(f"nothing was set aside: {refused}")
    if dry_run or refused:
        say("next: run verify again where it may set the damaged shards aside, then `radboost extract` makes them anew")
    else:
        say("next: `radboost extract` with the same cohort and --out makes these shards anew, and no other")
    raise typer.Exit(1)


@app.command()
def diff(
    first: Annotated[Path, typer.Argument(help="Store A.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="Store B.", show_default=False)],
    debug: Debug = False,
) -> None:
    """Say how two stores' fingerprints differ, which crops both hold, and how far apart their values lie."""
    with reported(debug):
        from radboost.data.store import EmbeddingStore, compare_stores
        from radboost.report.store_tables import diff_tables

        for table in diff_tables(compare_stores(EmbeddingStore.open(first), EmbeddingStore.open(second))):
            show(table)


@app.command()
def merge(
    stores: Annotated[list[Path], typer.Argument(help="Two stores or more, of one fingerprint.", show_default=False)],
    out: Out,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Unite stores of one fingerprint and one key; a crop that several hold alike is kept once."""
    with reported(debug):
        from radboost.data.store import EmbeddingStore, merge_stores
        from radboost.report.store_tables import merged_table

        found = merge_stores([EmbeddingStore.open(folder) for folder in stores], out, overwrite=overwrite)
        show(merged_table(found, out))


@app.command()
def export(
    store: Store,
    out: Out,
    to: Annotated[str, typer.Option("--to", help="npy, parquet, safetensors, or anndata where it is installed.")],
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Write a store's embeddings for other programs, one shard in memory at a time."""
    with reported(debug):
        from radboost.data.store import EmbeddingStore, export_store

        for path in export_store(EmbeddingStore.open(store), to, out, overwrite=overwrite):
            say(f"wrote {path}")
