"""What a network learns from: pairs of a unit and a crop that it sees, with the unit's labels and metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.cohort import TRAIN, Cohort
from radboost.data.folds import holdout
from radboost.data.metadata import MetadataEncoder
from radboost.data.task import OPPOSITE, Task
from radboost.data.unit_table import linked_rows, unit_labels, unit_metadata
from radboost.errors import UserError, offenders
from radboost.extractor.train.config import OnlyConfig

__all__ = ["Examples", "Split", "encode_metadata", "read_examples", "read_units", "split_examples"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Examples:
    """Examples of a cohort's labelled units, and the units.

    Attributes
    ----------
    task
        Its targets are learnt together.
    crop, owner
        Of each example: row in the manifest, row of the unit (n,).
    unit, group
        Hashed names of the units (m,) and of their groups.
    fold
        Outer fold of the units (m,).
    label
        Class numbers (m, targets), -1 unlabelled; so are targets that the network is not for.
    task_weight, target_weight
        Task weights (m, targets), 0 where unlabelled; and weights that simulate a target set (m,), 1 without any.
    metadata
        One row a unit.
    fold_hash
        Of the cohort.
    """

    task: Task
    crop: IntArray
    owner: IntArray
    unit: npt.NDArray[np.str_]
    group: npt.NDArray[np.str_]
    fold: IntArray
    label: IntArray
    task_weight: FloatArray
    target_weight: FloatArray
    metadata: pd.DataFrame
    fold_hash: str

    def __len__(self) -> int:
        return len(self.crop)

    @property
    def widths(self) -> tuple[int, ...]:
        """Margins of each target: one for two classes, else one a class."""
        return tuple(1 if target.binary else len(target.classes) for target in self.task.targets)

    @property
    def weight(self) -> FloatArray:
        """What units count in training, choice of epochs and calibration: both weights' product, (m, targets)."""
        return self.task_weight * self.target_weight[:, None]

    @property
    def learnt(self) -> list[int]:
        """Numbers of the targets that some unit has a label of."""
        return np.flatnonzero((self.label >= 0).any(axis=0)).tolist()

    @property
    def part(self) -> npt.NDArray[np.str_] | None:
        """Part of the task's metric that each unit belongs to, (m,); None where the metric has no parts."""
        named = self.task.parts
        return None if named is None else self.metadata[named.column].to_numpy(str)

    def of_units(self, chosen: npt.NDArray[np.bool_]) -> IntArray:
        """Numbers of the examples of some units, a mask (m,)."""
        return np.flatnonzero(chosen[self.owner]).astype(np.int64)

    def without(self, crops: IntArray) -> Examples:
        """Leave out what could not be decoded, rows of the manifest; units stay."""
        kept = ~np.isin(self.crop, crops)
        return Examples(**{**self.__dict__, "crop": self.crop[kept], "owner": self.owner[kept]})


@dataclass(frozen=True)
class Split:
    """Who is what for the network of one outer fold: masks of units.

    Attributes
    ----------
    fold
        Its number.
    train
        Learnt from.
    inner
        Choose the epoch and set the learning rate; other groups of the training folds.
    outer
        Predicted at the end, and never seen before it.
    """

    fold: int
    train: npt.NDArray[np.bool_]
    inner: npt.NDArray[np.bool_]
    outer: npt.NDArray[np.bool_]


def read_examples(
    cohort: Cohort, only: OnlyConfig | None = None, weights: Mapping[str, float] | None = None
) -> Examples:
    """Gather the examples of a cohort's units in cross-validation; crops of the other side are left out.

    Parameters
    ----------
    cohort
        With a task, labels and folds.
    only
        Which targets, units and crops; all without it.
    weights
        Weights that simulate a target set, by hashed unit.

    Raises
    ------
    UserError
        No unit in a fold has a label and a crop, or `only` names what there is not.
    """
    units = cohort.units
    inside = ((units["split"] == TRAIN) & (units["fold"] >= 0)).to_numpy()
    found = _gather(cohort, inside, only or OnlyConfig(), weights)
    if not len(found):
        do = "Index the data with labels and --folds"
        raise UserError("there is nothing to learn from", where=cohort.folder, do=do)
    return found


def read_units(cohort: Cohort, only: OnlyConfig | None = None) -> Examples:
    """Gather the examples of all units, in the order of `Cohort.units`, labelled or not."""
    return _gather(cohort, None, only or OnlyConfig(), None)


def _gather(
    cohort: Cohort, inside: npt.NDArray[np.bool_] | None, only: OnlyConfig, weights: Mapping[str, float] | None
) -> Examples:
    """Gather the units inside that have a label of what the network is for; without a mask all, labelled or not."""
    task, units = cohort.need_task(), cohort.units
    links = linked_rows(cohort)
    label, weight = unit_labels(cohort, units["unit"])
    metadata = unit_metadata(cohort, links)
    if only.targets:
        _known("targets", only.targets, [target.name for target in task.targets])
        label[:, [target.name not in only.targets for target in task.targets]] = -1
    inside = np.ones(len(units), dtype=bool) if inside is None else inside & (label >= 0).any(axis=1)
    if only.parts:
        inside &= np.isin(_parts(task, metadata, only), only.parts)
    own = links[~links["slot"].str.endswith(OPPOSITE)]
    if only.slots:
        _known("slots", only.slots, task.slots.values)
        own = own[own["slot"].isin(only.slots)]
    # A crop may stand in several slots of a unit, and counts once.
    own = own.drop_duplicates(["row", "crop_id"])
    own = own[inside[own["row"].to_numpy()] & own["crop_id"].isin(cohort.manifest["crop_id"]).to_numpy()]
    rows = np.flatnonzero(inside)
    place = np.full(len(units), -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    unit = units["unit_id"].to_numpy(str)[rows]
    return Examples(
        task=task,
        crop=pd.Index(cohort.manifest["crop_id"]).get_indexer(pd.Index(own["crop_id"])).astype(np.int64),
        owner=place[own["row"].to_numpy()],
        unit=unit,
        group=units["group_id"].to_numpy(str)[rows],
        fold=units["fold"].to_numpy(np.int64)[rows],
        label=label[rows],
        task_weight=np.where(label >= 0, weight, 0.0)[rows],
        target_weight=np.array([1.0 if weights is None else weights[name] for name in unit.tolist()]),
        metadata=metadata.iloc[rows].reset_index(drop=True),
        fold_hash=cohort.fold_hash,
    )


def _parts(task: Task, metadata: pd.DataFrame, only: OnlyConfig) -> npt.NDArray[np.str_]:
    if task.parts is None:
        raise UserError("the task has no parts", where="[only] parts", got=offenders(only.parts))
    found: npt.NDArray[np.str_] = metadata[task.parts.column].to_numpy(str)
    _known("parts", only.parts, sorted(set(found.tolist())))
    return found


def _known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(f"the task has no such {what}", where="[only]", got=offenders(unknown), do=f"It has {known}")


def split_examples(examples: Examples, fold: int, inner: float, seed: int) -> Split:
    """Split the units for one outer fold; whole groups, balanced by label.

    Raises
    ------
    UserError
        The fold is empty, or nothing is left to learn from.
    """
    outer = examples.fold == fold
    if not outer.any() or outer.all():
        got = f"fold {fold} of {sorted(set(examples.fold.tolist()))}"
        raise UserError("there is no such fold with others beside it", where="--fold", got=got)
    rest = np.flatnonzero(~outer)
    columns = [examples.label[rest, t] == k for t, own in enumerate(examples.task.targets) for k in own.predicted]
    held = holdout(examples.group[rest].tolist(), np.stack(columns, axis=1).astype(float), inner, seed)
    chosen = np.isin(examples.group, sorted(held)) & ~outer
    return Split(fold, ~outer & ~chosen, chosen, outer)


def encode_metadata(examples: Examples, split: Split) -> tuple[MetadataEncoder, npt.NDArray[np.float32]]:
    """Fit the encoder on training units by their weights, and encode all: (units, features)."""
    table = examples.metadata
    words = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    known = [name for name in table.columns if name not in words]
    encoder = MetadataEncoder.fit(table[split.train], known, words, examples.target_weight[split.train])
    return encoder, encoder.transform(table)
