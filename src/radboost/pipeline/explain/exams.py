"""Exams to explain: new ones from a folder, or units of a cohort with its stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from radboost.booster.design import Design, build_design
from radboost.data.cohort import Cohort
from radboost.data.identity import keyed_hash, read_key
from radboost.data.index import IndexConfig, index
from radboost.data.progress import Progress
from radboost.data.store import EmbeddingStore
from radboost.errors import LeakError, MismatchError, UserError, offenders
from radboost.extractor.config import ExtractConfig
from radboost.extractor.extract import extract
from radboost.extractor.probe import Probe
from radboost.pipeline.explain.copies import Patient
from radboost.pipeline.explain.system import Asked, FloatArray, Question, System
from radboost.pipeline.prediction import PredictConfig, recipe_of

__all__ = ["Exams", "new_exams", "stored_exams", "unit_probabilities"]


@dataclass(frozen=True)
class Exams:
    """A cohort and what embeds it.

    Attributes
    ----------
    cohort
        Of the exams.
    stores
        In the order of `System.stores`.
    recipes
        How each was made, with weights at hand; empty where no network is to be run.
    """

    cohort: Cohort
    stores: tuple[EmbeddingStore, ...]
    recipes: tuple[ExtractConfig, ...]

    @cached_property
    def design(self) -> Design:
        """All units."""
        return build_design(self.cohort, self.stores)

    def patient(self, unit: str) -> Patient:
        """Cut to the patient of a unit."""
        return Patient.of(self.cohort, self.stores, unit)

    @contextmanager
    def probes(self, shuffle: int | None = None) -> Iterator[list[Probe]]:
        """Hold a probe for each store; see `Probe` for `shuffle`."""
        with ExitStack() as stack:
            yield [stack.enter_context(Probe(each, shuffle)) for each in self.recipes]

    def folds(self, system: System) -> dict[str, tuple[int, ...] | None]:
        """Tell which models explain each unit.

        A unit whose patient was learnt from is explained by the models of its own fold, which did not see the patient;
        any other by all, as `radboost predict` predicts it.

        Raises
        ------
        LeakError
            Patients were learnt from under other folds, so that no model is known not to have seen them.
        """
        saw = system.groups
        units = self.cohort.units
        learnt = units["group_id"].isin(saw)
        if learnt.any() and (self.cohort.fold_hash != system.fold_hash or (units["fold"][learnt] < 0).any()):
            do = "Give the cohort with the folds that it was learnt with"
            got = f"{int(learnt.sum())} units"
            raise LeakError("patients were learnt from under other folds", where=self.cohort.folder, got=got, do=do)
        found = zip(units["unit"], units["fold"], learnt, strict=True)
        return {str(unit): (int(fold),) if known else None for unit, fold, known in found}


def unit_probabilities(system: System, exams: Exams, question: Question) -> FloatArray:
    """Probability of each unit of `Cohort.units`, each by the models of `Exams.folds`."""
    folds = exams.folds(system)
    names = exams.cohort.units["unit"].tolist()
    p = np.full(len(names), np.nan)
    for which in dict.fromkeys(folds.values()):
        rows = np.flatnonzero([folds[name] == which for name in names])
        asked = Asked(system, question, which)
        # Neighbours in the series are there only where the whole cohort is.
        p[rows] = (
            asked.probability(exams.design)[rows] if system.in_order else asked.probability(exams.design.take(rows))
        )
    return p


def new_exams(system: System, data_dir: Path, work: Path, config: PredictConfig, progress: Progress) -> Exams:
    """Index and embed new exams, as `radboost predict` does.

    Parameters
    ----------
    system
        What will predict them.
    data_dir
        Laid out as the task's data.
    work
        Folder for their cohort and stores; what an earlier call left there is used.
    config
        Key, checkpoints, device, batch size and workers.
    progress
        Who listens.

    Raises
    ------
    MismatchError
        The key is not the training cohort's.
    WeightsError
        Weights of a backbone are needed and not given.
    """
    recipes = tuple(recipe_of(made["config"], config) for made in system.stores)
    key = None if config.key is None else read_key(config.key)
    if key is not None and keyed_hash(key, "key") != system.key_id:
        do = "Give the `key` file of the cohort that it was made from"
        raise MismatchError("is not the training cohort's key", where=config.key, do=do)
    if key is None and (work / "cohort" / "key").is_file():
        key = read_key(work / "cohort" / "key")
    made = IndexConfig(key=key, new_exams=True, workers=config.workers)
    cohort = index(data_dir, system.task, made, progress).cohort.save(work / "cohort", overwrite=True)
    stores = [
        extract(cohort, work / f"store-{store['fingerprint_hash'][:12]}", each, progress).store
        for store, each in zip(system.stores, recipes, strict=True)
    ]
    return Exams(cohort, tuple(stores), recipes)


def stored_exams(
    system: System, cohort_folder: Path, store_folders: Sequence[Path], config: PredictConfig, *, look: bool = True
) -> Exams:
    """Read a cohort and its stores.

    Parameters
    ----------
    system
        What will predict them.
    cohort_folder, store_folders
        The cohort, and a store of it for each fingerprint that is needed.
    config
        Checkpoints, device, batch size and workers.
    look
        Whether networks are to be run on pixels.

    Raises
    ------
    MismatchError
        A store is missing, or the cohort has other targets.
    WeightsError
        Weights of a backbone are needed and not given.
    """
    cohort = Cohort.load(cohort_folder)
    if cohort.need_task().targets != system.task.targets:
        raise MismatchError("the cohort has other targets", where=cohort.folder, do="Give one of the same task")
    stores = {store.fingerprint_hash: store for store in map(EmbeddingStore.open, store_folders)}
    needed = [made["fingerprint_hash"] for made in system.stores]
    absent = [name[:12] for name in needed if name not in stores]
    if absent:
        do = "Give each with --store; `store.json` names its fingerprint_hash"
        raise MismatchError("stores are needed that were not given", got=offenders(absent), do=do)
    if look:
        cohort.need_files()
        if not cohort.root.is_dir():
            raise UserError("the images are not where the cohort says", where=cohort.root, do="Index them anew")
    recipes = tuple(recipe_of(made["config"], config) for made in system.stores) if look else ()
    return Exams(cohort, tuple(stores[name] for name in needed), recipes)
