"""A blend beside itself in-sample, and the three policies in other worlds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from radboost.data.folder import read_json
from radboost.report.evaluation.subject import Subject
from radboost.report.page import Cell, Figure, Item, Number, Section, Table, colour, draw, isolate, plain

__all__ = ["honesty_section", "learning_section", "sweep_section"]

AXES = {
    "strength": "power of the target weights (0: the data, 1: the target set)",
    "prevalence": "prevalence of the last class",
}
POLICIES = {"safe": "c1", "risky": "c2", "robust": "c3"}
MOST = 6


def honesty_section(subject: Subject) -> Section | None:
    """Set the cross-fitted blend beside the same in-sample, the best member and the prior; None if it is no blend."""
    if subject.header.get("kind") != "blend":
        return None
    items: list[Item] = []
    for target in subject.header["targets"]:
        rows: list[tuple[Cell, ...]] = [_score(each) for each in target["scores"]]
        by_name = {str(each["name"]): _value(each["loss"]) for each in target["scores"]}
        honest = next(iter(by_name.values()))
        inside = next((value for name, value in by_name.items() if "in-sample" in name), None)
        said = "" if inside is None else f" In-sample it looks {honest - inside:+.4f} nats better than it is."
        items.append(
            Table(
                f"cross-fitted-{target['target']}",
                f"{isolate(target['target'])}, {target['units']:,} units of {target['groups']:,} patients: the "
                f"cross-fitted blend (first row, the one to quote) and others.{said}",
                ("predictions", "log loss", "AUC", "pF1", "F1 at threshold", "blend minus this"),
                rows,
            )
        )
    lead = "Blend weights and thresholds of the first row were chosen without the fold that they are judged on."
    return Section("In-sample against cross-fitted", tuple(items), lead)


def _value(found: Mapping[str, Any] | None) -> float:
    return float("nan") if not found or found["value"] is None else float(found["value"])


def _number(found: Mapping[str, Any] | None, digits: int, *, signed: bool = False) -> Number:
    values = [float("nan") if not found or found[k] is None else float(found[k]) for k in ("value", "low", "high")]
    return Number(values[0], values[1], values[2], digits, signed)


def _score(each: Mapping[str, Any]) -> tuple[Cell, ...]:
    name = str(each["name"]) + (f" ({each['detail']})" if each["detail"] else "")
    cells = (_number(each[k], 4 if k == "loss" else 3) for k in ("loss", "auc", "pf1", "f1"))
    return (name, *cells, _number(each["lead"], 4, signed=True))


def sweep_section(subject: Subject) -> Section | None:
    """Draw safe, risky and robust in worlds between the data and the target set; None where no sweep was made."""
    if subject.folder is None or not (subject.folder / "sweep.json").is_file():
        return None
    sweeps = read_json(subject.folder / "sweep.json")
    targets = list(dict.fromkeys(each["target"] for each in sweeps))[:MOST]
    items = tuple(_sweep(each) for each in sweeps if each["target"] in targets)
    lead = "Cross-fitted log loss of the three policies under other weights of the same units, above the best of them."
    return Section("Safe, risky and robust", items, lead) if items else None


def _sweep(sweep: Mapping[str, Any]) -> Figure:
    at, losses = np.array(sweep["at"]), np.array(list(sweep["losses"].values()))
    above = losses - losses.min(axis=0)

    def paint(axes: Axes) -> None:
        for name, values in zip(sweep["losses"], above, strict=True):
            axes.plot(at, values, color=colour(POLICIES.get(name, "c4")), marker="o", markersize=3, label=name)
        for cross in sweep["cross"]:
            axes.axvline(cross["at"], color=colour("line"), linestyle=":", zorder=0)
        if sweep["axis"] == "prevalence" and at[0] > 0:
            axes.set_xscale("log")
            axes.minorticks_off()
            axes.set_xticks(at, [f"{rate:.2g}" for rate in at], fontsize=7)
        axes.set(xlabel=AXES[sweep["axis"]], ylabel="log loss above the best", title=plain(sweep["target"]))
        axes.set_ylim(bottom=0)
        axes.legend()

    best = list(sweep["losses"])[int(losses[:, 0].argmin())]
    turns = "; ".join(f"{cross['to']} from {cross['at']:.3g} on" for cross in sweep["cross"])
    said = f"{best} is the best at {at[0]:.3g}" + (f", {turns}" if turns else ", and everywhere else")
    worst = f"Largest loss by choosing wrongly: {above.max():.4f} nats."
    caption = f"{isolate(sweep['target'])} along the {sweep['axis']}: {said}. {worst}"
    return Figure(f"sweep-{sweep['target']}-{sweep['axis']}", caption, f"Three lines of log loss. {said}.", draw(paint))


def learning_section(subject: Subject) -> Section | None:
    """Draw how learning went: epochs of a training's networks, trials of a run's search; None where neither is kept."""
    items: list[Item] = []
    if subject.folder is not None and (subject.folder / "epochs.csv").is_file():
        items += _epochs(pd.read_csv(subject.folder / "epochs.csv"))
    tuning = subject.header.get("tuning") or []
    if tuning:
        items.append(_trials(tuning))
    return Section("Learning curves", tuple(items)) if items else None


def _epochs(table: pd.DataFrame) -> list[Item]:
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
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.legend()

        last = table.groupby("fold")[name].last().mean()
        caption = f"{isolate(name)} by epoch, a line a fold; at the end {last:.4f} on average."
        items.append(
            Figure(
                f"epochs-{name}",
                caption,
                f"One line a fold over {table.groupby('fold').size().max()} epochs.",
                draw(paint),
            )
        )
    return items


def _trials(tuning: list[Mapping[str, Any]]) -> Figure:
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
    return Figure("tuning", f"{said}.", f"Falling steps, one line a job. {said}.", draw(paint))
