"""What the members of a blend said of the units that it was fitted on: a small table beside the blend's predictions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from radboost.data.predictions import Block, Predictions, member_name
from radboost.errors import FormatError

__all__ = ["MEMBERS", "MOST_MEMBERS", "read_members", "write_members"]

MEMBERS = "members.parquet"
MOST_MEMBERS = 20
EXTERNAL = "external"
PREFIX = "member."
"""Stands before the names of columns: a member from outside may be called ``unit``."""


def write_members(path: Path, predictions: Predictions, names: Sequence[str]) -> None:
    """Write members side by side: one row a unit, target and class, one column a member.

    Log odds are kept, in single precision: they hold probabilities near 0 and near 1 alike to seven digits, in a
    twentieth of the space that the runs' own tables take.

    Parameters
    ----------
    path
        The parquet file.
    predictions
        Out-of-fold predictions of all members.
    names
        Members (`radboost.data.predictions.member_name`) in the order of their columns; the first `MOST_MEMBERS` count.
    """
    kept = list(names[:MOST_MEMBERS])
    tables = []
    for block in predictions.blocks():
        place = {member_name(*member): k for k, member in enumerate(block.members) if member[1] != EXTERNAL}
        for column, number in _held(block):
            p = block.p[:, :, column]
            with np.errstate(divide="ignore"):
                logit = (np.log(p) - np.log1p(-p)).astype(np.float32)
            own = {PREFIX + name: logit[:, place[name]] if name in place else np.nan for name in kept}
            tables.append(pd.DataFrame({"unit": block.unit, "target": block.target, "class": number, **own}))
    kinds = {"class": "int16", **{PREFIX + name: "float32" for name in kept}}
    pd.concat(tables, ignore_index=True).astype(kinds).to_parquet(path, index=False, compression="zstd")


def read_members(path: Path, blend: Predictions) -> Iterator[Block]:
    """Yield one block a target, of the units that the blend predicts, with labels, weights and folds as it has them.

    Kinds are all ``regular``: names say which members are weighted.

    Raises
    ------
    FormatError
        The file is damaged, or is of other units.
    """
    try:
        table = pd.read_parquet(path)
        names = [name for name in table.columns if name.startswith(PREFIX)]
        by_class = {key: own.set_index("unit")[names] for key, own in table.groupby(["target", "class"], sort=False)}
    except (OSError, ValueError, KeyError) as error:
        raise FormatError("cannot be read as a blend's members", where=path, got=type(error).__name__) from error
    members = tuple((name.removeprefix(PREFIX), "regular") for name in names)
    for block in blend.blocks():
        p = np.full((len(block), len(members), len(block.classes)), np.nan)
        for column, number in _held(block):
            own = by_class.get((block.target, number))
            if own is None or not np.isin(block.unit, own.index).all():
                raise FormatError("holds other units than the blend", where=path, got=f"target {block.target}")
            with np.errstate(over="ignore"):
                p[:, :, column] = 1 / (1 + np.exp(-own.loc[block.unit].to_numpy(np.float64)))
        if block.classes == (0, 1):
            p[:, :, 0] = 1 - p[:, :, 1]
        yield Block(**{**vars(block), "members": members, "p": p})


def _held(block: Block) -> list[tuple[int, int]]:
    """Places and numbers of the classes that tables hold: of two classes the second."""
    return [pair for pair in enumerate(block.classes) if block.classes != (0, 1) or pair[0] == 1]
