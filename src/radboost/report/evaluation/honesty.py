"""A blend beside itself in-sample, and the three policies in other worlds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from radboost.data.folder import read_json
from radboost.report.evaluation.subject import Subject
from radboost.report.page import Cell, Figure, Item, Number, Section, Table, colour, draw, isolate, plain

__all__ = ["honesty_section", "sweep_section"]

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
    items: list[Item] = []
    for each in sweeps:
        if each["target"] in targets:
            items += [_sweep(each), _sweep_table(each)]
    lead = "Cross-fitted log loss of the three policies under other weights of the same units, above the best of them."
    return Section("Safe, risky and robust", tuple(items), lead) if items else None


def _sweep(sweep: Mapping[str, Any]) -> Figure:
    at, losses = np.array(sweep["at"]), np.array(list(sweep["losses"].values()))
    above = losses - losses.min(axis=0)
    bands = sweep.get("above", {})

    def paint(axes: Axes) -> None:
        for name, values in zip(sweep["losses"], above, strict=True):
            axes.plot(at, values, color=colour(POLICIES.get(name, "c4")), marker="o", markersize=3, label=name)
            band = np.array(bands.get(name, []), dtype=np.float64)
            if len(band) == len(at):
                axes.fill_between(at, *band.T, color=colour(POLICIES.get(name, "c4")), alpha=0.12, linewidth=0)
        for cross in sweep["cross"]:
            axes.axvline(cross["at"], color=colour("line"), linestyle=":", zorder=0)
        if sweep["axis"] == "prevalence" and at[0] > 0:
            axes.set_xscale("log")
            axes.minorticks_off()
            axes.set_xticks(at, [f"{rate:.2g}" for rate in at], fontsize=7)
        axes.set(xlabel=AXES[sweep["axis"]], ylabel="log loss above the best", title=plain(sweep["target"]))
        # What a policy may gain on the best one is in the table; lines start at no loss.
        axes.set_ylim(bottom=0)
        axes.legend()

    best = list(sweep["losses"])[int(losses[:, 0].argmin())]
    turns = "; ".join(f"{cross['to']} from {cross['at']:.3g} on" for cross in sweep["cross"])
    said = f"{best} is the best at {at[0]:.3g}" + (f", {turns}" if turns else ", and everywhere else")
    worst = f"Largest loss by choosing wrongly: {above.max():.4f} nats."
    caption = f"{isolate(sweep['target'])} along the {sweep['axis']}: {said}. {worst}"
    return Figure(f"sweep-{sweep['target']}-{sweep['axis']}", caption, f"Three lines of log loss. {said}.", draw(paint))


def _sweep_table(sweep: Mapping[str, Any]) -> Table:
    """List what is drawn, with intervals; those of a blend made before they were kept are not known."""
    names = list(sweep["losses"])
    rows: list[tuple[Cell, ...]] = []
    sure = 0
    for k, world in enumerate(sweep["at"]):
        values = {name: sweep["losses"][name][k] for name in names}
        best = min(names, key=values.__getitem__)
        losses = [_with_ends(values[name], sweep.get("intervals", {}).get(name), k) for name in names]
        above = {
            name: _with_ends(values[name] - values[best], sweep.get("above", {}).get(name), k, signed=True)
            for name in names
            if name != best
        }
        sure += sum(each.low > 0 for each in above.values())
        rows.append((Number(world), best, *losses, *(above.get(name) for name in names)))
    known = f"{sweep['units']:,} units of {sweep['groups']:,} patients; " if sweep.get("groups") else ""
    caption = (
        f"{isolate(sweep['target'])} along the {sweep['axis']}: {known}{sure} of {len(rows) * (len(names) - 1)} "
        "differences from the best policy have an interval above 0."
    )
    heading = (sweep["axis"], "best", *(f"log loss, {n}" for n in names), *(f"{n} minus best" for n in names))
    return Table(f"sweep-{sweep['target']}-{sweep['axis']}-numbers", caption, heading, rows)


def _with_ends(value: float, ends: Any, k: int, *, signed: bool = False) -> Number:
    low, high = (math.nan if end is None else float(end) for end in (ends[k] if ends else (None, None)))
    return Number(value, low, high, 4, signed)
