"""The page of an exploration, put together from its sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd

from radboost import __version__
from radboost.data.cohort import Cohort
from radboost.data.progress import Progress, Silent
from radboost.metrics import Bootstrap
from radboost.report.explore.counts import counts_section, sizes
from radboost.report.explore.crops import SheetAsked, crops_section
from radboost.report.explore.doubles import doubles_section, find_doubles
from radboost.report.explore.drift import drift_section
from radboost.report.explore.faults import faults_section
from radboost.report.explore.fields import Look, look_at
from radboost.report.explore.folds import folds_section
from radboost.report.explore.headers import headers_section
from radboost.report.explore.images import images_section
from radboost.report.explore.levels import Levels, levels_of
from radboost.report.explore.missing import missing_section
from radboost.report.explore.prevalence import prevalence_section
from radboost.report.explore.reading import Opened, open_files
from radboost.report.explore.table import other_columns
from radboost.report.page import Cell, Item, Note, Page, Section

__all__ = ["ExploreConfig", "explore"]

T = TypeVar("T")


@dataclass(frozen=True)
class ExploreConfig:
    """What a page shows.

    Attributes
    ----------
    columns
        Columns of the task's table, beside its features, that are counted; those that the task forbids as features
        are counted in any case.
    crops
        Crops of each kind on the contact sheet; 0 for none.
    files
        Most files that are opened to read headers, where the cohort holds none, and to find copies; 0 for none.
    seed
        Of the draws and of the bootstrap.
    replicates
        Of the bootstrap.
    workers
        Processes that read files; None for one a core.
    """

    columns: tuple[str, ...] = ()
    crops: int = 6
    files: int = 1000
    seed: int = 0
    replicates: int = 1000
    workers: int | None = None


@dataclass(frozen=True)
class _Seen:
    """A cohort laid out, with what was read from files."""

    look: Look
    headers: pd.DataFrame | None
    opened: Opened

    @property
    def sampled(self) -> int:
        """Files that `headers` were read from; 0 where the cohort holds its own."""
        return self.opened.files if self.opened.headers is not None else 0

    @property
    def whole(self) -> bool:
        """Whether header fields are known of every file."""
        return not self.sampled or self.sampled >= self.look.cohort.manifest["path"].nunique()


def explore(
    cohort: Cohort, target: Cohort | None = None, config: ExploreConfig | None = None, progress: Progress | None = None
) -> Page:
    """Say what is in a cohort before any model is fitted.

    Parameters
    ----------
    cohort
        With or without a task, private or shared.
    target
        A cohort that is to be predicted, which is compared with it; None for none.
    config, progress
        What is shown, and who listens.

    Returns
    -------
    Page
        Its `data` has the headline numbers; every table has the rest.

    Raises
    ------
    UserError
        A column asked for is not in the task's table, or the table cannot be found.
    """
    config, progress = config or ExploreConfig(), progress or Silent()
    how = Bootstrap(config.replicates, config.seed)
    seen = _seen(cohort, config, progress)
    look = seen.look
    cohort = look.cohort
    levels = _levels(look)
    told: list[str] = []

    def tell(found: tuple[T, list[str]]) -> T:
        told.extend(found[1])
        return found[0]

    sections: list[Section | None] = [
        counts_section(look, levels, how),
        tell(prevalence_section(look, levels, how)),
        tell(missing_section(look, how)),
        tell(folds_section(look, levels, how)),
    ]
    data: dict[str, object] = {"sizes": sizes(look)}
    if target is not None:
        other = _seen(target, config, progress, needed=False)
        sources = ["metadata", "table", "image", *(["header", "pixels"] if seen.whole and other.whole else [])]
        section, said, data["drift"] = drift_section(look, other.look, sources, how)
        sections.append(section)
        told += said
    doubles = find_doubles(cohort, seen.headers, seen.opened)
    sections += [
        images_section(look, seen.headers, seen.sampled),
        headers_section(look, seen.sampled),
        tell(doubles_section(cohort, doubles, seen.opened.files)),
        tell(faults_section(cohort)),
        crops_section(look, SheetAsked(config.crops, config.seed, config.workers), progress),
    ]
    data["told"] = told
    items: list[Item] = [_first(told), *(section for section in sections if section is not None)]
    lead = "Counts, gaps and differences that decide what a model can learn here, before any model is fitted."
    title = "What is in the cohort" if cohort.task is None else f"What is in the cohort: {cohort.task.name}"
    return Page(title, lead, tuple(items), tuple(_origin(cohort, target, config)), data)


def _seen(cohort: Cohort, config: ExploreConfig, progress: Progress, *, needed: bool = True) -> _Seen:
    opened = open_files(cohort, config.files, config.seed, config.workers, progress)
    cohort = opened.filled(cohort)
    own = cohort.header_features()
    headers = opened.headers if own is None else own
    return _Seen(look_at(cohort, headers, other_columns(cohort, config.columns, needed=needed)), headers, opened)


def _levels(look: Look) -> list[Levels]:
    """Cut what is counted: all of table and image, and words of headers that have more than one value."""
    words = [one for one in look.of("header") if not one.numeric and not one.name.startswith("grain_")]
    fields = [*look.of("metadata", "table", "image"), *words]
    found = [levels_of(one, look.group) for one in fields]
    return [one for one in found if one.field.source != "header" or len(one.names) > 1]


def _first(told: Sequence[str]) -> Section:
    """Say first what a reader should not miss."""
    if not told:
        return Section("In short", (Note("Nothing here stands out by the rules that this page goes by."),))
    return Section("In short", tuple(Note(text, warning=True) for text in told))


def _origin(cohort: Cohort, target: Cohort | None, config: ExploreConfig) -> list[tuple[str, Cell]]:
    facts: list[tuple[str, Cell]] = [
        ("task", cohort.task.name if cohort.task else "none"),
        ("cohort fingerprint", cohort.fingerprint),
        ("fold hash", cohort.fold_hash),
        ("key of the hashes", cohort.key_id),
    ]
    if target is not None:
        facts.append(("target fingerprint", target.fingerprint))
    return [
        *facts,
        ("radboost", __version__),
        ("seed", config.seed),
        ("bootstrap replicates", config.replicates),
        ("most files opened", config.files),
    ]
