"""Where fits run: on this machine or on the nodes of a cluster; what was finished before is not done again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from radboost.booster.columns import Columns
from radboost.booster.config import BoostConfig
from radboost.booster.fits import Done, Job, Place, Shelf, Work
from radboost.booster.kept import Kept
from radboost.booster.spread import SPREADING, Share, Spread
from radboost.data.folder import environment
from radboost.data.progress import Progress
from radboost.engines.cluster import Cluster, Needs, node_address
from radboost.engines.gang import Gang
from radboost.engines.local import run_jobs
from radboost.engines.ray import ActorPool
from radboost.errors import RadboostError

__all__ = ["Fitter", "finish", "is_spread"]


def is_spread(work: Work, job: Job, config: BoostConfig) -> bool:
    """Whether a job's fits are shared by several workers of a cluster; they are then not those of one process."""
    return config.engine == "ray" and job.learner in SPREADING and work.rows(job) > config.split_rows


def finish(
    work: Work, jobs: Sequence[Job], config: BoostConfig, kept: Kept | None, progress: Progress
) -> dict[Job, Done]:
    """Do the jobs that are not done yet.

    Parameters
    ----------
    work, jobs
        What is to be fitted.
    config
        Says where.
    kept
        Fits of an earlier call that was ended; new ones are added as they are finished. None keeps nothing.
    progress
        Told of every fit.

    Returns
    -------
    dict
        Outcome of each job, in the order of `jobs`. It does not depend on where fits ran, but for those that
        `is_spread` tells, nor on which were found.
    """
    before = {job: done for job in jobs if kept is not None and (done := kept.find(job)) is not None}
    left = [job for job in jobs if job not in before]
    progress.start("fitting", len(jobs))
    if before:
        progress.say(f"{len(before)} of {len(jobs)} fits were finished before")
        progress.advance(len(before))
    if config.engine == "ray" and left:
        new = _elsewhere(work, left, config, kept, progress)
    else:
        new = _here(work, left, config, kept, progress)
    found = before | new
    return {job: found[job] for job in jobs}


def _here(
    work: Work, jobs: Sequence[Job], config: BoostConfig, kept: Kept | None, progress: Progress
) -> dict[Job, Done]:
    if config.device == "cuda" and any(job.learner == "xgboost" for job in jobs):
        from radboost.nets.device import resolve_device

        # XGBoost itself would go on without one, on the CPU.
        resolve_device("cuda")
    shelf = Shelf(work, jobs)

    def do(job: Job) -> Done:
        done = shelf.fit(job, None if kept is None else kept.parts)
        if kept is not None:
            kept.add(job, done)
        return done

    return dict(zip(jobs, run_jobs([partial(do, job) for job in jobs], config.workers, progress), strict=True))


def _elsewhere(
    work: Work, jobs: Sequence[Job], config: BoostConfig, kept: Kept | None, progress: Progress
) -> dict[Job, Done]:
    out: dict[Job, Done] = {}

    def take(job: Job, done: Done) -> None:
        if kept is not None:
            kept.add(job, done)
        out[job] = done
        progress.advance()

    needs = Needs(cpus=1, gpus=int(config.device == "cuda"))
    spread = [job for job in jobs if is_spread(work, job, config)]
    whole = [job for job in jobs if job not in spread]
    with Cluster(config.ray_address) as cluster:
        if whole:
            with ActorPool[Job, Done](cluster, partial(Fitter, work), needs, _same_libraries) as pool:
                for job, done in zip(whole, _mapped(pool, whole), strict=True):
                    take(job, done)
        if spread:
            count = config.workers or sum(needs.fit(node) for node in cluster.nodes())
            progress.say(f"{len(spread)} fits of more than {config.split_rows} rows are split over {count} workers")
            gang = Gang(cluster, Share, count, needs)
            with Spread(gang, node_address(), config.split_rows) as team, threadpool_limits(limits=1):
                for told in team.environments():
                    _same_libraries(told)
                together = replace(work, recipe=replace(work.recipe, team=team))
                # Columns are prepared here, one fold at a time; workers get their rows of them.
                shelf = Shelf(together, spread)
                for job in spread:
                    take(job, shelf.fit(job, None if kept is None else kept.parts))
    return out


def _mapped(pool: ActorPool[Job, Done], jobs: Sequence[Job]) -> Iterator[Done]:
    pool.first()
    yield from pool.map(iter(jobs))


def _same_libraries(told: dict[str, str]) -> None:
    here = environment()
    differing = sorted(name for name in {*here, *told} if here.get(name) != told.get(name))
    if differing:
        got = ", ".join(f"{name} {told.get(name)} there, {here.get(name)} here" for name in differing)
        do = "Install the same versions on all nodes"
        raise RadboostError("a node has other libraries, which may fit other models", got=got, do=do)


@dataclass
class Fitter:
    """What fits on a node. Jobs come fold by fold, so only the last fold's columns are kept.

    Attributes
    ----------
    work
        What all jobs share.
    """

    work: Work
    _place: Place | None = None
    _columns: Columns | None = None
    _wholes: dict[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Tell the versions of the libraries here."""
        return environment()

    def __call__(self, task: Job) -> Done:
        """Do a job, with one thread as everywhere."""
        place = self.work.place(task)
        with threadpool_limits(limits=1):
            if place.shared and place.kind not in self._wholes:
                self._wholes = {place.kind: self.work.whole(place.kind)}
            if self._columns is None or self._place != place:
                self._columns = None
                self._place, self._columns = (
                    place,
                    self.work.columns(place, self._wholes[place.kind] if place.shared else None),
                )
            return self.work.fit(task, self._columns)

    def close(self) -> None:
        """Nothing is held but memory."""
