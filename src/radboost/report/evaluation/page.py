"""The page of a report: what is asked, the answer in numbers, and how they were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from radboost.data.folder import digest
from radboost.data.predictions import PART, Block
from radboost.data.progress import Progress, Silent
from radboost.errors import UserError
from radboost.metrics import JOINT, PARTS, Estimate, PartsLogLoss, Scored, clustered_interval, joint_rows, log_loss
from radboost.report.evaluation.calibration import calibration_items
from radboost.report.evaluation.classes import class_items, class_numbers
from radboost.report.evaluation.curves import curve_figures
from radboost.report.evaluation.hardest import Pictures, hardest_items
from radboost.report.evaluation.honesty import honesty_section, sweep_section
from radboost.report.evaluation.learning import learning_section
from radboost.report.evaluation.members import blend_weights, members_section, told
from radboost.report.evaluation.numbers import estimates, number, numbers_table
from radboost.report.evaluation.operating import RATES, Operated, operate, operating_items
from radboost.report.evaluation.paired import paired_section
from radboost.report.evaluation.subgroups import subgroup_items
from radboost.report.evaluation.subject import Question, Settings, Subject, answered, questions
from radboost.report.page import Cell, Facts, Item, Note, Number, Page, Section, Table, isolate

__all__ = ["Around", "evaluation_page"]

MOST_SENTENCES = 6
"""Targets that the summary puts into words; its table has all."""


@dataclass(frozen=True)
class Around:
    """What is known beside the predictions.

    Attributes
    ----------
    columns
        What is known of hashed units, for subgroups; None without a cohort.
    pictures
        Gives crops of hashed units; None where none are wanted.
    facts
        More lines for what the page was made from.
    """

    columns: pd.DataFrame | None = None
    pictures: Pictures | None = None
    facts: tuple[tuple[str, Cell], ...] = ()


@dataclass
class _Made:
    """What a page gathers on its way."""

    sections: list[Item] = field(default_factory=list)
    data: dict[str, object] = field(default_factory=dict)
    rows: list[tuple[Cell, ...]] = field(default_factory=list)
    targets: dict[str, object] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    """What every target's section needs."""

    subject: Subject
    settings: Settings
    around: Around
    made: _Made


def evaluation_page(
    subjects: Sequence[Subject], settings: Settings, around: Around | None = None, progress: Progress | None = None
) -> Page:
    """Judge the first of some predictions, target by target, and compare the others with it.

    Parameters
    ----------
    subjects
        One or more.
    settings, around
        What is shown, and what else is known.
    progress
        Told of every target.

    Raises
    ------
    UserError
        No unit is labelled, or the columns know none of the units.
    """
    around, progress, first = around or Around(), progress or Silent(), subjects[0]
    blocks = [block for block in first.predictions.blocks() if len(answered(block))]
    if not blocks:
        raise UserError("hold no labelled unit, so there is nothing to judge", where=first.name)
    if around.columns is not None and not np.isin(blocks[0].unit, around.columns.index).any():
        do = "Give the cohort that they were made from, or one that shares its key"
        raise UserError("knows none of the units that were predicted", where="--cohort", do=do)
    made = _Made()
    progress.start("judging", len(blocks) + len(subjects) - 1)
    # First, since it refuses what cannot be compared.
    paired, data = paired_section(first, subjects[1:], settings)
    progress.advance(len(subjects) - 1)
    job = _Job(first, settings, around, made)
    for place, block in enumerate(blocks, start=1):
        made.sections.append(_target(f"target-{place}", block, job))
        progress.advance(1)
    more = (
        paired,
        *(
            members_section(subject, settings, place)
            for place, subject in enumerate(subjects)
            if not told(subject, first)
        ),
        honesty_section(first),
        sweep_section(first),
        learning_section(first),
    )
    sections: list[Item] = [_overview(first, blocks, made, settings), *made.sections]
    sections += [section for section in more if section is not None]
    sections.append(_methods(settings, blocks))
    made.data |= {"subject": first.name, "targets": made.targets, "paired": data, "weights": blend_weights(first)}
    task = f" for the task {isolate(first.task.name)}" if first.task else ""
    lead = f"How good are the predictions of {isolate(first.name)}{task}, and how sure is that?"
    facts = (*_origin(first, settings), *around.facts)
    return Page(f"Report on {isolate(first.name)}", lead, tuple(sections), facts, made.data)


def _target(name: str, block: Block, job: _Job) -> Section:
    subject, settings, around, made = job.subject, job.settings, job.around, job.made
    classes = subject.classes(block)
    asked = questions(block, classes)
    found = [estimates(question, settings) for question in asked]
    items: list[Item] = []
    data: dict[str, object] = {"classes": list(classes)}
    whole: dict[str, Number] = {}
    if len(classes) > 2:
        whole = class_numbers(block, settings)
        items.append(Facts((("units", len(asked[0])), ("patients", asked[0].groups), *whole.items())))
        data["all classes"] = whole
    else:
        items.append(_headline(asked[0], found[0], settings))
    # The class that matters most stands last; the figures of one question are about it.
    main, main_found = asked[-1], found[-1]
    items += curve_figures(name, list(zip(asked, found, strict=True)), settings)
    items += calibration_items(name, main, main_found, settings)
    items.append(numbers_table(f"{name}-numbers", asked, found))
    if len(classes) > 2:
        items += class_items(name, block, classes, settings)
    operated = operate(main, settings)
    items.append(Section("Operating points", tuple(operating_items(name, main, operated))))
    parts = _columns(block, main, around)
    if parts is not None:
        inside, data["subgroups"] = subgroup_items(name, main, operated[0], parts, settings)
        if inside:
            items.append(Section("Subgroups", tuple(inside)))
    hardest = hardest_items(name, main, settings, around.columns, around.pictures)
    if hardest:
        items.append(Section("Hardest units", tuple(hardest)))
    data["numbers"] = {
        q.positive: {k: number(v) for k, v in each.items()} for q, each in zip(asked, found, strict=True)
    }
    data |= {"units": len(main), "patients": main.groups, "positives": {q.positive: q.positives for q in asked}}
    data["operating points"] = {each.name: _operated(each) for each in operated}
    made.targets[block.target] = data
    made.sentences.append(_sentence(main, main_found))
    loss = whole.get("log loss") or number(main_found["log loss"], 4)
    made.rows.append(
        (block.target, main.positive, len(main), main.groups, main.positives, number(main_found["AUC"]), loss)
    )
    return Section(f"Target {isolate(block.target)}", tuple(items))


def _sentence(question: Question, found: dict[str, Estimate]) -> str:
    """Say in words what the numbers come to."""
    area, gain = found["AUC"], found["log loss, gain on the base rate"]
    order = "too few units for an interval" if np.isnan(area.low) else "not shown to differ from chance"
    order = "better than chance" if area.low > 0.5 else "worse than chance" if area.high < 0.5 else order
    worth = "better than" if gain.low > 0 else "worse than" if gain.high < 0 else "not shown to differ from"
    return (
        f"{isolate(question.positive)}: over {len(question):,} units of {question.groups:,} patients, "
        f"{question.positives:,} of them positive, the AUC is {number(area).text} ({order}), "
        f"and the log loss {number(found['log loss'], 4).text} is {worth} that of "
        f"predicting the base rate for everybody (gain {number(gain, 4, signed=True).text})."
    )


def _operated(each: Operated) -> dict[str, object]:
    band = each.rates
    rates = {
        rate: Number(float(band.value[k]), float(band.low[k]), float(band.high[k])) for k, rate in enumerate(RATES)
    }
    finite = [t for t in each.thresholds if np.isfinite(t)]
    return {"thresholds": finite, "called": int(each.called.sum()), "cross-fitted": each.crossfit, **rates}


def _headline(question: Question, found: dict[str, Estimate], settings: Settings) -> Facts:
    keys = ("AUC", "average precision", f"sensitivity at specificity {settings.specificity:g}", "pF1")
    shown = [(key, number(found[key])) for key in keys]
    shown.append(("log loss", number(found["log loss"], 4)))
    counts: list[tuple[str, Cell]] = [
        ("units", len(question)),
        ("patients", question.groups),
        ("positive units", question.positives),
    ]
    return Facts((*counts, *shown))


def _columns(block: Block, question: Question, around: Around) -> pd.DataFrame | None:
    """Columns for subgroups: the cohort's, and the part of the metric where the units have one."""
    if block.part is None or (around.columns is not None and PART in around.columns):
        return around.columns
    parts = pd.DataFrame({PART: block.part}, index=pd.Index(block.unit, name="unit")).reindex(question.unit)
    return parts if around.columns is None else parts.join(around.columns)


def _overview(subject: Subject, blocks: Sequence[Block], made: _Made, settings: Settings) -> Section:
    items: list[Item] = [Note(note, warning=True) for note in subject.notes]
    items += [Note(sentence) for sentence in made.sentences[:MOST_SENTENCES]]
    told = ("target", "class", "units", "patients", "positive", "AUC", "log loss")
    best = [row for row in made.rows if isinstance(row[5], Number) and row[5].low > 0.5]
    said = f"{len(best)} of {len(made.rows)} targets are ranked better than by chance, by their interval"
    several = any(len(block.classes) > 2 for block in blocks)
    notes = (
        ("Of several classes the AUC is that of the last against the rest, the log loss that of all.",)
        if several
        else ()
    )
    items.append(Table("overview", f"All targets. {said}.", told, made.rows, notes))
    joint = _joint(subject, blocks, settings)
    if joint:
        items.append(Facts(tuple(joint.items())))
        made.data["task metric"] = joint
    return Section("Summary", tuple(items))


def _joint(subject: Subject, blocks: Sequence[Block], settings: Settings) -> dict[str, Cell]:
    """Give the task's own metric where it joins targets or parts."""
    if subject.task is None or subject.task.metric not in ("joint_log_loss", "parts_log_loss"):
        return {}
    known = [answered(block) for block in blocks]
    rows = [Scored(b.label, _probability(b), b.task_weight, b.group) for b in known]
    if subject.task.metric == "joint_log_loss":
        joined = joint_rows(rows)
        value = log_loss(joined.y, joined.p, joined.weight)
        return {f"log loss of {JOINT}": Number(value, *clustered_interval(log_loss, joined, settings.how), 4)}
    if known[0].part is None or subject.task.parts is None:
        return {}
    metric = PartsLogLoss(known[0].part, known[0].group, subject.task.parts.any_part)
    few = type(settings.how)(min(settings.how.replicates, 200), settings.how.seed, settings.how.level)
    found: dict[str, Cell] = {
        f"log loss, {PARTS}": Number(
            metric(rows[0].y, rows[0].p, rows[0].weight), *clustered_interval(metric, rows[0], few), 4
        )
    }
    for name, value in metric.by_part(rows[0].y, rows[0].p, rows[0].weight).items():

        def own(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None, name: str = name) -> float:
            return metric.by_part(y, p, weight)[name]

        found[f"log loss, {name}"] = Number(value, *clustered_interval(own, rows[0], few), 4)
    return found


def _probability(block: Block) -> np.ndarray:
    return block.p[:, 0, 1] if len(block.classes) == 2 else block.p[:, 0]


def _methods(settings: Settings, blocks: Sequence[Block]) -> Section:
    how = settings.how
    folds = {int(k) for block in blocks for k in np.unique(block.fold)}
    said = (
        f"Predictions are out of fold ({len(folds)} folds): no model saw a patient whom it predicts."
        if len(folds) > 1
        else "The units stand in one fold or none: new exams, one fold of a training, or predictions made elsewhere."
    )
    notes = (
        f"{said} Every unit counts by its task weight; units of weight 0 and without a label are left out.",
        f"Intervals are the middle {how.level:.0%} of {how.replicates:,} bootstrap replicates that draw whole patients "
        f"with replacement (percentile method, seed {how.seed}). A number that fewer than 20 replicates define has "
        "none; a share of none or all has the exact binomial interval of as many patients. The p-value of a paired "
        "difference in AUC is DeLong's, clustered by patient (Obuchowski 1997).",
        "Partial areas are standardised so that chance has .5 (McClish 1989). Average precision is the sum of "
        "precisions weighed by the recall that they add. The calibration error (ECE) takes ten bins of equal weight; "
        "drawing patients adds noise to it, so that its interval lies high. Net benefit: Vickers and Elkin (2006). "
        "pF1 counts every unit as positive to the degree of its probability. Log loss is in nats.",
    )
    return Section("How the numbers were made", tuple(Note(note) for note in notes))


def _origin(subject: Subject, settings: Settings) -> tuple[tuple[str, Cell], ...]:
    header = subject.header
    table = subject.predictions.table
    unit_hash = digest(sorted(table["unit"].unique().astype(str).tolist()))
    rows: list[tuple[str, Cell]] = [("predictions", subject.name), ("units, hashed", unit_hash)]
    rows += [
        (name, str(header[key]))
        for name, key in (("made by radboost", "radboost"), ("policy", "policy"))
        if key in header
    ]
    rows.append(("fold assignment", str(table["fold_hash"].iat[0])))
    rows += [("task", subject.task.name)] if subject.task else []
    stores = header.get("stores") or header.get("inputs", {}).get("stores", [])
    rows += [("store fingerprint", str(store["fingerprint_hash"])) for store in stores]
    return (*rows, ("bootstrap", f"{settings.how.replicates} replicates, seed {settings.how.seed}"))
