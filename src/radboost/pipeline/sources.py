"""What a blend is made of: runs, and trainings, whose networks predict by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from radboost.booster.run import Run
from radboost.data.networks import TRAINED_GROUPS
from radboost.data.predictions import Predictions
from radboost.errors import LeakError, MismatchError, offenders
from radboost.extractor.train.training import Training

__all__ = [
    "Source",
    "copy_source",
    "groups_seen",
    "is_training",
    "key_id",
    "open_source",
    "predictions_of",
    "stores_of",
]

Source: TypeAlias = Run | Training


def is_training(folder: Path) -> bool:
    """Whether a folder holds a training."""
    return (folder / "training.json").is_file()


def open_source(folder: Path) -> Source:
    """Read a run or a training.

    Raises
    ------
    UserError
        It is neither.
    FormatError
        It is damaged.
    LeakError
        A network of a training saw patients whom it predicts.
    """
    if not is_training(folder):
        return Run.load(folder)
    training = Training.load(folder)
    _refuse_leak(training)
    return training


def _refuse_leak(training: Training) -> None:
    """Hold each network's predictions against the groups that the header says it saw."""
    if not (training.folder / "predictions.parquet").is_file():
        return
    table = training.predictions.table
    known = set(training.folds)
    saw = {fold: set(training.network(fold)["saw"]) for fold in known}
    facts = table[["group", "fold"]].drop_duplicates()
    seen = [g for g, fold in facts.itertuples(index=False) if fold not in known or g in saw[fold]]
    if seen:
        raise LeakError(
            "leak 'training': a network saw patients whom it predicts", where=training.folder, got=offenders(seen)
        )


def predictions_of(sources: Sequence[Source]) -> list[Predictions]:
    """Give the out-of-fold predictions of each; a training's carry the target weights that runs beside it were given.

    Target weights say how much a unit counts for the target set. A training that was made without them is judged under
    them all the same, as a run's regular members are.

    Raises
    ------
    MismatchError
        A training predicts units for which the runs have no target weight.
    """
    found = [source.predictions for source in sources]
    weighted = [each for each in found if each.weighted_for_target]
    if not weighted:
        return found
    told = weighted[0].table.drop_duplicates("unit").set_index("unit")["target_weight"]
    for place, source in enumerate(sources):
        if isinstance(source, Training) and not found[place].weighted_for_target:
            table = found[place].table
            weight = table["unit"].map(told)
            if weight.isna().any():
                lost = table.loc[weight.isna(), "unit"].unique().tolist()
                what = "the runs tell no target weight of units that a training predicts"
                raise MismatchError(what, where=source.folder, got=offenders(lost))
            found[place] = Predictions(table.assign(target_weight=weight.astype("float64")))
    return found


def stores_of(source: Source) -> list[dict[str, Any]]:
    """Give what stores a source's features came from: none for a training, which sees crops."""
    return source.stores if isinstance(source, Run) else []


def groups_seen(source: Source) -> frozenset[str]:
    """Give the hashed groups that networks learnt from: a training's own, or those that made a run's features.

    They may be more than a cohort has: a network may have begun where one of another cohort ended.
    """
    if isinstance(source, Training):
        return frozenset(str(group) for fold in source.folds for group in source.network(fold)["saw"])
    named = (store["config"].get(TRAINED_GROUPS, {}) for store in source.stores)
    return frozenset(str(group) for networks in named for groups in networks.values() for group in groups)


def key_id(source: Source) -> str:
    """Give the hash of the key of the cohort that it was made from."""
    return str(source.content["inputs"]["key_id"])


def copy_source(source: Source, out: Path, members: Sequence[tuple[str, str]]) -> None:
    """Write what is needed to predict by some members."""
    if isinstance(source, Run):
        source.copy_members(out, members)
    else:
        source.copy_networks(out)
