"""Weights that simulate a target set, by hashed unit, for networks that are trained under them."""

from __future__ import annotations

from pathlib import Path

from radboost.booster.weights import read_weights, resolve_weights
from radboost.data.cohort import TRAIN, Cohort
from radboost.data.unit_table import unit_labels

__all__ = ["unit_weights"]


def unit_weights(cohort: Cohort, path: Path) -> dict[str, float]:
    """Read a table ``unit,weight``, scaled to mean 1 over the labelled units of the training split.

    Raises
    ------
    TableError
        The file is no such table.
    UserError
        It names unknown units, or a unit that is learnt from has no weight.
    """
    units = cohort.units
    label, _ = unit_labels(cohort, units["unit"])
    needed = ((units["split"] == TRAIN) & (units["fold"] >= 0)).to_numpy() & (label >= 0).any(axis=1)
    weight = resolve_weights(units, read_weights(path), needed)
    return dict(zip(units["unit_id"].tolist(), weight.tolist(), strict=True))
