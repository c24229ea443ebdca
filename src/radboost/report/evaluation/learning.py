"""How learning went: with more patients, by epoch, and by trial of a search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from radboost.data.folder import read_json
from radboost.report.evaluation.subject import Subject
from radboost.report.page import Cell, Figure, Item, Number, Section, Table, colour, draw, isolate, plain

__all__ = ["learning_section"]

MOST = 6
"""Targets whose curve is drawn."""


def learning_section(subject: Subject) -> Section | None:
    """Draw how learning went; None where nothing of it is kept.

    Of a run: scores by the number of patients (`fit-boost --curve`) and trials of its search. Of a training: epochs of
    its networks. Of a blend: those of its runs and trainings.
    """
    items: list[Item] = []
    for place, (name, folder, header) in enumerate(_sources(subject)):
        mark = f"-{place + 1}" if place else ""
        of = f" of {isolate(name)}" if name else ""
        if header.get("learning"):
            items += _patients(mark, of, header["learning"])
        if folder is not None and (folder / "epochs.csv").is_file():
            items += _epochs(mark, of, pd.read_csv(folder / "epochs.csv"))
        if header.get("tuning"):
            items.append(_trials(mark, header["tuning"]))
    return Section("Learning curves", tuple(items)) if items else None


def _sources(subject: Subject) -> list[tuple[str, Path | None, Mapping[str, Any]]]:
    """Give name, folder and header of all that was learnt: the subject itself, or what a blend is made of."""
    found: list[tuple[str, Path | None, Mapping[str, Any]]] = [("", subject.folder, subject.header)]
    if subject.folder is None or subject.header.get("kind") != "blend":
        return found
    for number, part in enumerate(subject.header["runs"], start=1):
        folder = subject.folder / part["folder"]
        header = next((folder / name for name in ("run.json", "training.json") if (folder / name).is_file()), None)
        name = f"{number}" if len(subject.header["runs"]) > 1 else ""
        found.append((f"run {name}" if name else "", folder, {} if header is None else read_json(header)))
    return found


def _patients(mark: str, of: str, points: Sequence[Mapping[str, Any]]) -> list[Item]:
    items: list[Item] = []
    for target in list(dict.fromkeys(str(each["target"]) for each in points))[:MOST]:
        own = [each for each in points if each["target"] == target]
        items += [_curve(f"patients{mark}-{target}", of, own), _numbers(f"patients{mark}-{target}-numbers", of, own)]
    return items


def _curve(name: str, of: str, points: Sequence[Mapping[str, Any]]) -> Figure:
    members = list(dict.fromkeys(str(each["member"]) for each in points))
    best = min((each for each in points if each["share"] == 1), key=lambda each: each["loss"][0])

    def paint(axes: Axes) -> None:
        for k, member in enumerate(members):
            own = [each for each in points if each["member"] == member]
            # Side by side, so that the intervals of several members can be told apart.
            x = np.array([each["patients"] for each in own]) * 1.03 ** (k - (len(members) - 1) / 2)
            value, low, high = np.array([each["loss"] for each in own], dtype=np.float64).T
            axes.plot(x, value, color=colour(k), marker="o", markersize=3, label=plain(member))
            axes.vlines(x, low, high, color=colour(k), linewidth=1.2)
        places = sorted({each["patients"] for each in points})
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(places, [f"{count:,.0f}" for count in places])
        axes.set(xlabel="patients learnt from (each doubling is one step)", ylabel="log loss, out of fold")
        axes.legend()

    caption = (
        f"Log loss for {isolate(best['target'])} by the number of patients{of} that a fit learns from, judged on the "
        f"same {best['units']:,} units of {best['groups']:,} patients. {_verdict(points, best)}"
    )
    alt = f"Log loss over numbers of patients, {len(members)} lines. {_verdict(points, best)}"
    return Figure(name, caption, alt, draw(paint))


def _verdict(points: Sequence[Mapping[str, Any]], best: Mapping[str, Any]) -> str:
    half = next((e for e in points if e["member"] == best["member"] and e["share"] == 0.5), None)
    if half is None or half["doubling"] is None:
        return "There were too few patients to learn from fewer."
    gain = _number(half["doubling"], 4, signed=True)
    verdict = (
        "the curve still falls: more patients would help"
        if gain.low > 0
        else ("more patients made it worse" if gain.high < 0 else "this does not show that more patients would help")
    )
    return f"The last doubling gained {isolate(best['member'])} {gain.text} nats; {verdict}."


def _numbers(name: str, of: str, points: Sequence[Mapping[str, Any]]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            str(each["member"]),
            Number(float(each["patients"]), digits=0),
            int(each["parts"]),
            int(each["units"]),
            int(each["groups"]),
            _number(each["loss"], 4),
            None if each["auc"] is None else _number(each["auc"], 3),
            None if each["doubling"] is None else _number(each["doubling"], 4, signed=True),
        )
        for each in points
    ]
    heading = ("member", "patients learnt from", "fits", "units judged", "patients judged", "log loss", "AUC")
    caption = f"Scores for {isolate(str(points[0]['target']))} by the number of patients{of}."
    notes = (
        "Whole patients were left out, evenly over folds and findings; all that is fitted was fitted anew without "
        "them. Scores are means over fits on parts without a common patient, so that chance in who was left out is "
        "averaged. Intervals draw the patients judged, for all fits at once; they do not hold what other "
        "training patients would change.",
    )
    return Table(name, caption, (*heading, "loss less that with twice as many"), rows, notes)


def _number(told: Sequence[float | None], digits: int, *, signed: bool = False) -> Number:
    value, low, high = (math.nan if each is None else float(each) for each in told)
    return Number(value, low, high, digits, signed)


def _epochs(mark: str, of: str, table: pd.DataFrame) -> list[Item]:
    skip = {"fold", "stage", "epoch"}
    names = [
        c for c in table.columns if c not in skip and pd.api.types.is_numeric_dtype(table[c]) and table[c].notna().any()
    ]
    items: list[Item] = []
    for name in [n for n in names if "loss" in n or "auc" in n.lower()][:4]:

        def paint(axes: Axes, name: str = name) -> None:
            for k, (fold, own) in enumerate(table.groupby("fold", sort=True)):
                axes.plot(
                    np.arange(1, len(own) + 1),
                    own[name],
                    color=colour(k),
                    marker="o",
                    markersize=3,
                    label=f"fold {fold}",
                )
            axes.set(xlabel="epoch, all stages", ylabel=plain(name))
            axes.set_xlim(0.5, table.groupby("fold").size().max() + 0.5)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.legend()

        last = table.groupby("fold")[name].last().mean()
        caption = f"{isolate(name)} by epoch{of}, a line a fold; at the end {last:.4f} on average."
        items.append(
            Figure(
                f"epochs{mark}-{name}",
                caption,
                f"One line a fold over {table.groupby('fold').size().max()} epochs.",
                draw(paint),
            )
        )
    return items


def _trials(mark: str, tuning: list[Mapping[str, Any]]) -> Figure:
    gains = []

    def paint(axes: Axes) -> None:
        for k, job in enumerate(tuning):
            losses = np.array([trial["loss"] for trial in job["trials"]])
            axes.step(
                np.arange(len(losses)),
                np.minimum.accumulate(losses) - losses[0],
                where="post",
                color=colour(k),
                label=plain(job["job"]),
            )
        axes.set(xlabel="trial", ylabel="best inner log loss, less our own settings'")
        axes.legend(fontsize=7)

    for job in tuning:
        losses = [trial["loss"] for trial in job["trials"]]
        gains.append(losses[0] - min(losses))
    said = f"The search gained {max(gains):.4f} nats at most, {float(np.mean(gains)):.4f} on average, on inner folds"
    return Figure(f"tuning{mark}", f"{said}.", f"Falling steps, one line a job. {said}.", draw(paint))
