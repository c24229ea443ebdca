"""A run: out-of-fold predictions and the models behind them, in memory or as a folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote

import numpy as np

from radboost.booster.design import Design
from radboost.booster.fits import ALL_ROWS, SHARED, SHARING
from radboost.booster.member import MemberModel
from radboost.booster.prepare import Prepared
from radboost.booster.raw import RawColumns, load_prepared
from radboost.booster.rows import FloatArray, Matrix, Order
from radboost.booster.score import Score, joint_scores, parts_scores, score_predictions
from radboost.data.folder import FORMATS, new_folder, read_header, read_json, write_header, write_json
from radboost.data.predictions import Predictions
from radboost.data.task import Task
from radboost.errors import FormatError, MismatchError, UserError, offenders
from radboost.metrics.platt import Platt

__all__ = ["FORMAT", "Key", "Run"]

KIND = "run"
FORMAT = FORMATS[KIND]

Loaded = TypeVar("Loaded")


class Key(NamedTuple):
    """Which model of a run."""

    member: str
    kind: str
    target: str
    fold: int

    def folder(self, run: Path) -> Path:
        """Where it lies: ``models/<learner>/<block>/<kind>/<target>/fold<k>``, or ``all`` for a fit on all rows."""
        # A target's name comes from the user's table and may hold what a file name must not.
        return run / "models" / self.member / self.kind / quote(self.target, safe="") / _fold_name(self.fold)


class _Lazy(Mapping[Any, Loaded], Generic[Loaded]):
    """Things on disk by key, each read when first asked for."""

    def __init__(self, places: Mapping[Any, Path], read: Any) -> None:
        self._places, self._read, self._found = places, read, dict[Any, Loaded]()

    def __getitem__(self, key: Any) -> Loaded:
        if key not in self._found:
            self._found[key] = self._read(self._places[key])
        return self._found[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


@dataclass(frozen=True)
class Run:
    """What `fit-boost` makes.

    Attributes
    ----------
    content
        Header of the folder: task, fold hash, inputs, resolved config, members, folds, notes, environment.
    prepared
        Prepared columns by (kind, fold); the fold is `SHARED` for those of learners that share bins.
    models
        Models by `Key`.
    folder
        Where it was loaded from; None in memory.
    fitted
        Out-of-fold predictions in memory; None when they are to be read from `folder`.
    """

    content: Mapping[str, Any]
    prepared: Mapping[tuple[str, int], Prepared | RawColumns]
    models: Mapping[Key, MemberModel]
    folder: Path | None = None
    fitted: Predictions | None = None

    @cached_property
    def task(self) -> Task:
        """The cohort's task."""
        return Task.from_dict(self.content["task"])

    @property
    def fold_hash(self) -> str:
        """Hash of the fold assignment that the predictions are out of."""
        return str(self.content["fold_hash"])

    @property
    def members(self) -> list[tuple[str, str]]:
        """Pairs (member, kind), in the order of the predictions."""
        return [(str(m), str(k)) for m, k in self.content["members"]]

    @property
    def folds(self) -> list[int]:
        """Outer folds, one model each."""
        return [int(f) for f in self.content["folds"]]

    @property
    def refitted(self) -> bool:
        """Whether there are models of all rows too."""
        return bool(self.content["config"].get("refit", False))

    @property
    def views(self) -> int:
        """Augmented views of each crop that were learnt from, and are to be averaged over at prediction."""
        return int(self.content["inputs"].get("views", 0))

    @property
    def stores(self) -> list[dict[str, Any]]:
        """For each store: `fingerprint_hash`, and `config` with all that is needed to embed new exams alike."""
        return [dict(s) for s in self.content["inputs"]["stores"]]

    @property
    def notes(self) -> list[str]:
        """What the reader should know, one sentence each."""
        return [str(n) for n in self.content["notes"]]

    @cached_property
    def predictions(self) -> Predictions:
        """Out-of-fold predictions of the labelled units of the training split."""
        if self.fitted is not None:
            return self.fitted
        if self.folder is None or not (self.folder / "predictions.parquet").is_file():
            do = "Name the run folder that fit-boost wrote; a blend keeps models only"
            raise FormatError("holds no predictions", where=self.folder, do=do)
        return Predictions.read(self.folder / "predictions.parquet")

    @cached_property
    def scores(self) -> list[Score]:
        """Out-of-fold scores of every member and target, the prior first; then of all targets or parts together."""
        if self.folder is not None and (self.folder / "metrics.json").is_file():
            return [Score.from_dict(row) for row in read_json(self.folder / "metrics.json")["scores"]]
        joint = joint_scores(self.predictions) if len(self.task.targets) > 1 else []
        if self.task.parts is not None:
            joint = parts_scores(self.predictions, self.task.parts.any_part)
        return score_predictions(self.predictions) + joint

    def predict(
        self,
        design: Design | Sequence[Design],
        members: Sequence[tuple[str, str]] | None = None,
        *,
        refit: bool = False,
        folds: Sequence[int] | None = None,
    ) -> dict[tuple[str, str], dict[str, FloatArray]]:
        """Predict units that were not trained on: the mean of the fold models' probabilities.

        Parameters
        ----------
        design
            Of a cohort with the same task and stores of the same fingerprints; or one a view (see `views`), over which
            probabilities are averaged.
        members
            Only these (member, kind); all when absent.
        refit
            By the model of all rows in place of the fold models. No score out of fold speaks of it.
        folds
            Only by the models of these outer folds, which saw no unit of them in training; None for all.

        Returns
        -------
        dict
            By (member, kind) and target: probabilities (units, classes), rows summing to 1.

        Raises
        ------
        MismatchError
            The design comes from another task or other stores, or a member is unknown.
        UserError
            `refit` is asked for and was not when the run was made.
        """
        if refit and not self.refitted:
            do = "Run fit-boost with --refit, or predict with the fold models"
            raise UserError("the run holds no model of all rows", where=self.folder, do=do)
        folds = [ALL_ROWS] if refit else self.folds if folds is None else list(folds)
        wanted = self.members if members is None else list(members)
        unknown = [" ".join(m) for m in wanted if m not in self.members]
        if unknown:
            raise MismatchError("the run has no such members", where=self.folder, got=offenders(unknown))
        designs = [design] if isinstance(design, Design) else list(design)
        task = designs[0].task
        if (task.slots, task.metadata) != (self.task.slots, self.task.metadata):
            raise MismatchError("the design is of another task", got=task.name, do=f"Expected {self.task.name}")
        parts = [self._predict(each, wanted, folds) for each in designs]
        return {
            member: {name: np.mean([part[member][name] for part in parts], axis=0) for name in own}
            for member, own in parts[0].items()
        }

    def _predict(
        self, design: Design, wanted: Sequence[tuple[str, str]], folds: Sequence[int]
    ) -> dict[tuple[str, str], dict[str, FloatArray]]:
        out: dict[tuple[str, str], dict[str, FloatArray]] = {m: {} for m in wanted}
        order = Order(design.sequence, design.position)
        for kind in dict.fromkeys(k for _, k in wanted):
            x: dict[int, Matrix] = {}
            for fold in folds:
                # What all folds share stays, the last fold's own columns go.
                x = {place: columns for place, columns in x.items() if place == SHARED}
                for member, _ in (m for m in wanted if m[1] == kind):
                    place = self.place(member, fold)
                    if place not in x:
                        x[place] = self.prepared[kind, place].transform(design)
                    for target in self.task.targets:
                        key = Key(member, kind, target.name, fold)
                        p = self._calibrated(key, self.models[key].predict_proba(x[place], order)) / len(folds)
                        sums = out[member, kind]
                        sums[target.name] = sums[target.name] + p if target.name in sums else p
        return out

    def _calibrated(self, key: Key, p: FloatArray) -> FloatArray:
        """Map probabilities as the members were calibrated; see `radboost.metrics.platt`."""
        found = self.calibration(key)
        return p if found is None else found.apply(p)

    def calibration(self, key: Key) -> Platt | None:
        """Give the map that comes after a model; None where there is none."""
        found = self.content.get("calibration", {}).get(f"{key.member}|{key.kind}|{key.target}")
        return None if found is None else Platt.from_dict(found)

    def place(self, member: str, fold: int) -> int:
        """Which of the prepared columns a member sees."""
        return _columns_place(self.content["config"], member, fold)

    def save(self, out: Path, *, overwrite: bool = False) -> Run:
        """Write the run as a folder and return it as loaded from there; raises ExistsError where `out` is there."""
        with new_folder(out, KIND, overwrite=overwrite) as folder:
            self.predictions.write(folder / "predictions.parquet")
            self._write_models(folder, self.models, self.prepared)
            write_json(folder / "metrics.json", {"scores": [s.to_dict() for s in self.scores]})
            write_header(folder, KIND, FORMAT, self.content)
        return Run.load(out)

    def copy_members(self, out: Path, members: Sequence[tuple[str, str]]) -> None:
        """Write a run folder of some members' models alone, without predictions: all that `predict` needs.

        Parameters
        ----------
        out
            A folder that does not exist yet.
        members
            Pairs (member, kind) of this run.
        """
        out.mkdir(parents=True)
        keys = [k for k in self.models if (k.member, k.kind) in members]
        kinds = {kind for _, kind in members}
        prepared = [p for p in self.prepared if p[0] in kinds]
        if self.folder is None:
            self._write_models(out, {k: self.models[k] for k in keys}, {p: self.prepared[p] for p in prepared})
        else:
            places = [(k.folder(self.folder), k.folder(out)) for k in keys]
            places += [(_prepared_folder(self.folder, p), _prepared_folder(out, p)) for p in prepared]
            for source, goal in places:
                shutil.copytree(source, goal)
        kept = {n: v for n, v in self.content.items() if n not in ("kind", "format", "radboost", "created")}
        write_header(out, KIND, FORMAT, {**kept, "members": [list(m) for m in self.members if m in members]})

    @staticmethod
    def _write_models(
        folder: Path, models: Mapping[Key, MemberModel], prepared: Mapping[tuple[str, int], Prepared | RawColumns]
    ) -> None:
        for place, columns in prepared.items():
            columns.save(_prepared_folder(folder, place))
        for key, model in models.items():
            model.save(key.folder(folder))

    @classmethod
    def load(cls, folder: Path) -> Run:
        """Read a run folder; models are read when they are first used.

        Raises
        ------
        UserError
            The folder is no run.
        FormatError
            Its header is damaged, or a model is missing.
        """
        content = read_header(folder, KIND, FORMAT)
        try:
            targets = [t["name"] for t in content["task"]["targets"]]
            pairs = [(str(m), str(k)) for m, k in content["members"]]
            folds = [int(f) for f in content["folds"]] + [ALL_ROWS] * bool(content["config"].get("refit", False))
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError("has a damaged header", where=folder / "run.json", got=str(error)) from error
        keys = [Key(m, k, t, f) for m, k in pairs for t in targets for f in folds]
        models = {key: key.folder(folder) for key in keys}
        places = dict.fromkeys((k, _columns_place(content["config"], m, f)) for m, k in pairs for f in folds)
        prepared = {place: _prepared_folder(folder, place) for place in places}
        lost = [str(p.relative_to(folder)) for p in _missing([*models.values(), *prepared.values()])]
        if lost:
            raise FormatError("lacks models that its header names", where=folder, got=offenders(lost))
        return cls(content, _Lazy(prepared, load_prepared), _Lazy(models, MemberModel.load), folder)


def _columns_place(config: Mapping[str, Any], member: str, fold: int) -> int:
    """Say which prepared columns a member's model of one fold sees: the fold's own, or those `SHARED` by all."""
    return SHARED if config.get("share_bins", False) and member.partition("/")[0] in SHARING else fold


def _missing(folders: Iterable[Path]) -> list[Path]:
    return [p for p in folders if not p.is_dir()]


def _prepared_folder(run: Path, place: tuple[str, int]) -> Path:
    return run / "prepared" / place[0] / _fold_name(place[1])


def _fold_name(fold: int) -> str:
    return {ALL_ROWS: "all", SHARED: "shared"}.get(fold, f"fold{fold}")
