"""Runs to a blend on disk, which holds all that `predict` needs: weights, models, and how to make the embeddings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.data.folder import (
    FORMATS,
    environment,
    new_folder,
    read_header,
    refuse_existing,
    write_header,
    write_json,
)
from radboost.data.member_table import MEMBERS, read_members, write_members
from radboost.data.predictions import Block, Predictions, member_name
from radboost.data.task import AnyOf, Task
from radboost.ensemble.apply import apply_blend
from radboost.ensemble.blend import fit_blend
from radboost.ensemble.calibrate import Calibrator
from radboost.ensemble.constraints import project
from radboost.ensemble.policy import Policy
from radboost.ensemble.result import BlendConfig, BlendResult
from radboost.ensemble.score import jsonable
from radboost.ensemble.sweep import sweep
from radboost.errors import FormatError, MismatchError, UserError
from radboost.metrics import Bootstrap, best_threshold
from radboost.pipeline.outside import Outside
from radboost.pipeline.sources import (
    Source,
    copy_source,
    groups_seen,
    is_training,
    key_id,
    open_source,
    predictions_of,
    stores_of,
)

__all__ = ["FORMAT", "Blend", "blend_outside", "make_blend"]

FloatArray: TypeAlias = npt.NDArray[np.float64]

FORMAT = FORMATS["blend"]


@dataclass(frozen=True)
class Blend:
    """A blend folder.

    Attributes
    ----------
    folder
        Where it lies.
    header
        Content of ``blend.json``.
    """

    folder: Path
    header: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Blend:
        """Read a blend, or a training as a blend of its one member.

        Raises
        ------
        UserError
            It is neither.
        FormatError
            It is damaged.
        """
        if is_training(folder):
            return cls(folder, _alone(folder))
        header = read_header(folder, "blend", FORMAT)
        needed = ("config", "constraints", "fold_hash", "key_id", "runs", "stores", "targets", "task")
        lost = [name for name in needed if name not in header]
        if lost:
            do = "Make the blend anew"
            raise FormatError("has a damaged header", where=folder / "blend.json", got=f"no {', '.join(lost)}", do=do)
        return cls(folder, header)

    @cached_property
    def task(self) -> Task:
        """The task that all its runs were made for; raises UserError where it was made from outside predictions."""
        if self.header["task"] is None:
            do = "Blend the new exams' predictions by its weights, which are in blend.json"
            raise UserError("was made from outside predictions and holds no models", where=self.folder, do=do)
        return Task.from_dict(self.header["task"])

    @property
    def weights(self) -> dict[str, dict[str, float]]:
        """Weight by member, by target."""
        return {t["target"]: t["weights"] for t in self.header["targets"]}

    def apply(self, members: Mapping[str, Mapping[str, FloatArray]], units: int) -> dict[str, FloatArray]:
        """Blend new predictions: weigh, calibrate, and move to where the task's constraints hold.

        Parameters
        ----------
        members
            Probabilities (units, classes) by member, by target.
        units
            How many there are.

        Raises
        ------
        MismatchError, TableError
            As `radboost.ensemble.apply.apply_blend`.
        """
        found = {}
        for target in self.header["targets"]:
            name, missing = target["target"], self.header["config"]["missing"]
            p = apply_blend(target["weights"], members[name], target["intercepts"], units, missing)
            found[name] = Calibrator.from_dict(target["calibration"]).apply(p)
        constraints = [AnyOf(each["whole"], tuple(each["parts"])) for each in self.header["constraints"]]
        rows = np.arange(units)
        return project(constraints, found, dict.fromkeys(found, rows))

    @property
    def thresholds(self) -> dict[str, float | None]:
        """Threshold chosen out of fold, by target; None where there is none."""
        return {t["target"]: t["threshold"] for t in self.header["targets"]}

    @cached_property
    def predictions(self) -> Predictions:
        """Cross-fitted blended predictions of the units it was fitted on."""
        return Predictions.read(self.folder / "predictions.parquet")

    def members(self) -> list[Block]:
        """Out-of-fold predictions of its members, a block a target; none where they were not kept."""
        path = self.folder / MEMBERS
        return list(read_members(path, self.predictions)) if path.is_file() else []

    @cached_property
    def learnt(self) -> frozenset[str]:
        """Hashed groups that its models, or the networks behind their features, learnt from."""
        saw = (groups_seen(run) for _, run in self.runs)
        return frozenset(self.predictions.table["group"].astype(str)).union(*saw)

    @cached_property
    def runs(self) -> list[tuple[str, Source]]:
        """Its runs and trainings, each with the prefix that its members' names carry here."""
        return [(part["prefix"], open_source(self.folder / part["folder"])) for part in self.header["runs"]]


def make_blend(
    runs: Sequence[Path], policy: str, out: Path, *, config: BlendConfig | None = None, overwrite: bool = False
) -> BlendResult:
    """Blend runs under a policy, and write the blend with the models that carry weight.

    Parameters
    ----------
    runs
        Folders of runs and trainings, made on one cohort with one fold assignment.
    policy
        ``safe``, ``risky`` or ``robust``.
    out, overwrite
        Where it is written.
    config
        How it is made; constraints between targets are the task's.

    Returns
    -------
    BlendResult
        Weights, certified gap, and cross-fitted scores.

    Raises
    ------
    MismatchError
        The runs are of different tasks or folds.
    LeakError
        A network of a training saw patients whom it predicts.
    ExistsError
        `out` is there and `overwrite` is off.
    """
    refuse_existing(out, "blend", overwrite)
    loaded = [open_source(folder) for folder in runs]
    if any(run.task != loaded[0].task for run in loaded):
        raise MismatchError("the runs are of different tasks", got=", ".join(run.task.name for run in loaded))
    # Two runs may both have an "mlp/fused": numbers in the order given keep them apart.
    prefixes = [f"{i}:" if len(loaded) > 1 else "" for i in range(1, len(loaded) + 1)]
    joined = Predictions.join(_prefixed(made, p) for made, p in zip(predictions_of(loaded), prefixes, strict=True))
    task = loaded[0].task
    any_part = task.parts.any_part if task.parts else None
    config = replace(config or BlendConfig(), constraints=task.constraints, any_part=any_part)
    result = _fitted(joined, Policy(policy), config)
    carrying = {name for target in result.targets for name, weight in target.weights.items() if weight > 0}
    with _folder(out, result, joined, overwrite=overwrite) as folder:
        parts, carrying_runs = [], []
        for number, (run, prefix) in enumerate(zip(loaded, prefixes, strict=True), start=1):
            used = [m for m in run.members if prefix + member_name(*m) in carrying]
            if used:
                copy_source(run, folder / f"run-{number}", used)
                carrying_runs.append(run)
                parts.append({"prefix": prefix, "folder": f"run-{number}", "members": [list(m) for m in used]})
        content = {
            **result.to_dict(),
            "task": loaded[0].task.as_dict(),
            "fold_hash": loaded[0].fold_hash,
            "key_id": key_id(loaded[0]),
            "runs": parts,
            "stores": _stores(carrying_runs),
            "environment": environment(),
        }
        write_header(folder, "blend", FORMAT, content)
    return result


def blend_outside(
    outside: Outside, policy: str, out: Path, *, config: BlendConfig | None = None, overwrite: bool = False
) -> BlendResult:
    """Blend predictions that were made elsewhere; the blend holds weights and scores, and no models.

    Parameters
    ----------
    outside
        What was read.
    policy, out, config, overwrite
        As for `make_blend`.
    """
    refuse_existing(out, "blend", overwrite)
    config = replace(config or BlendConfig(), constraints=outside.constraints, any_part=outside.any_part)
    result = _fitted(outside.predictions, Policy(policy), config)
    with _folder(out, result, outside.predictions, overwrite=overwrite) as folder:
        content = {
            **result.to_dict(),
            "task": None,
            "classes": {target: list(names) for target, names in outside.classes.items()},
            "fold_hash": outside.predictions.table["fold_hash"].iat[0],
            "key_id": outside.key_id,
            "runs": [],
            "stores": [],
            "environment": environment(),
        }
        write_header(folder, "blend", FORMAT, content)
    return result


def _alone(folder: Path) -> dict[str, Any]:
    """Describe a training as a blend of its one member, with the threshold of best F1 out of fold."""
    training = open_source(folder)
    ((member, kind),) = training.members
    only = [what for what, names in training.content["config"]["only"].items() if names]
    if only:
        do = "Blend it with trainings for the others: --missing renormalise"
        raise UserError("predicts a part of the task only", where=folder, got=f"only {', '.join(only)}", do=do)
    name = member_name(member, kind)
    targets = []
    for block in training.predictions.blocks():
        known = block.label >= 0
        facts = block.label[known], block.p[known, 0, 1], block.task_weight[known]
        cut = best_threshold(*facts) if len(block.classes) == 2 else math.nan
        fixed = {"weights": {name: 1.0}, "intercepts": [], "calibration": Calibrator("none").to_dict()}
        targets.append({"target": block.target, **fixed, "threshold": None if math.isnan(cut) else cut})
    return {
        "task": training.task.as_dict(),
        "targets": targets,
        "config": {"missing": "error"},
        "constraints": [{"whole": each.whole, "parts": list(each.parts)} for each in training.task.constraints],
        "fold_hash": training.fold_hash,
        "key_id": key_id(training),
        "runs": [{"prefix": "", "folder": ".", "members": [[member, kind]]}],
        "stores": [],
    }


def _fitted(predictions: Predictions, policy: Policy, config: BlendConfig) -> BlendResult:
    result = fit_blend(predictions, policy, Bootstrap(), config)
    if not config.sweep:
        return result
    return replace(result, sweeps=sweep(predictions, {policy: result.predictions}, config))


@contextmanager
def _folder(out: Path, result: BlendResult, members: Predictions, *, overwrite: bool) -> Iterator[Path]:
    """Make the folder with all that does not depend on where the predictions are from."""
    with new_folder(out, "blend", overwrite=overwrite) as folder:
        result.predictions.write(folder / "predictions.parquet")
        write_members(folder / MEMBERS, members, _heaviest(result))
        scores = {t["target"]: t["scores"] for t in (target.to_dict() for target in result.targets)}
        write_json(folder / "metrics.json", {"scores": scores, "joint": jsonable(result.joint)})
        if result.sweeps:
            write_json(folder / "sweep.json", [each.to_dict() for each in result.sweeps])
        yield folder


def _heaviest(result: BlendResult) -> list[str]:
    """Names of the members, those first that weigh most for some target."""
    most: dict[str, float] = {}
    for target in result.targets:
        for name, weight in target.weights.items():
            most[name] = max(weight, most.get(name, 0.0))
    return sorted(most, key=lambda name: -most[name])


def _prefixed(predictions: Predictions, prefix: str) -> Predictions:
    if not prefix:
        return predictions
    return Predictions(predictions.table.assign(member=prefix + predictions.table["member"]))


def _stores(runs: Sequence[Source]) -> list[dict[str, Any]]:
    """How each store's embeddings were made, once a store: the weights' sha256 or seed is in there."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        for store in stores_of(run):
            found.setdefault(store["fingerprint_hash"], store)
    return list(found.values())
