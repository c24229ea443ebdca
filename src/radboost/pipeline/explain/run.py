"""`radboost explain` over its inputs: exams or a cohort, a training cohort, and the pointing game."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from radboost.booster.design import Design, build_design
from radboost.data.progress import Progress
from radboost.errors import UserError
from radboost.pipeline.explain.exams import Exams, new_exams, stored_exams
from radboost.pipeline.explain.explain import ExplainConfig, Explanation, explain
from radboost.pipeline.explain.sanity import play, read_planted
from radboost.pipeline.explain.system import System
from radboost.pipeline.prediction import PredictConfig

__all__ = ["Given", "explain_given"]

SEED = 0
"""Of the shuffled weights."""

Stored = tuple[Path | None, tuple[Path, ...]]


@dataclass(frozen=True)
class Given:
    """Where things lie.

    Attributes
    ----------
    system
        A blend or a run.
    exam
        Folder of exams; None where a cohort is given.
    cohort
        A cohort and its stores, in place of exams.
    train
        The training cohort and its stores, for the exams that are alike. A cohort that was learnt from is its own.
    """

    system: Path
    exam: Path | None
    cohort: Stored = (None, ())
    train: Stored = (None, ())


def explain_given(
    given: Given, config: ExplainConfig, how: PredictConfig, sanity: tuple[bool | None, int], progress: Progress
) -> Explanation:
    """Explain units, and play the pointing game.

    Parameters
    ----------
    given
        Where things lie.
    config
        What is explained.
    how
        Key, work folder, checkpoints, device, batch size, workers.
    sanity
        Whether to play (None: where lesions were planted and maps are made), and with how many units at most.
    progress
        Who listens.

    Raises
    ------
    UserError
        What is asked for does not go together; the message says why.
    """
    system = System.load(given.system)
    with ExitStack() as stack:
        exams = _exams(system, given, config, how, (stack, progress))
        found = explain(system, exams, config, _trained(system, given, exams, how), progress)
        asked, most = sanity
        planted = read_planted(exams.cohort)
        if config.where is None or asked is False or (asked is None and planted is None):
            if asked and config.where is None:
                raise UserError("the pointing game needs maps", where="--sanity", do="Leave --method none out")
            return found
        try:
            game = play(system, exams, found.question, (config.where, SEED, most), progress)
        except UserError as error:
            if asked:
                raise
            return replace(found, notes=(*found.notes, f"The pointing game was not played: {error.what}."))
        return replace(found, sanity=game)


def _exams(
    system: System, given: Given, config: ExplainConfig, how: PredictConfig, lasting: tuple[ExitStack, Progress]
) -> Exams:
    stack, progress = lasting
    if given.exam is not None:
        work = how.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="radboost-")))
        return new_exams(system, given.exam, work, how, progress)
    folder, stores = given.cohort
    if folder is None:
        raise UserError("nothing to explain", do="Give --exam, or --cohort with --store")
    return stored_exams(system, folder, stores, how, look=config.where is not None)


def _trained(system: System, given: Given, exams: Exams, how: PredictConfig) -> Design | None:
    folder, stores = given.train
    if folder is not None:
        return stored_exams(system, folder, stores, how, look=False).design
    if any(fold is not None for fold in exams.folds(system).values()):
        return build_design(exams.cohort, exams.stores)
    return None
