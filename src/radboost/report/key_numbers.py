"""The few numbers by which results of one kind are told apart, from their headers and metrics alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radboost.data.folder import read_json
from radboost.errors import FormatError

__all__ = ["Measured", "Numbers", "key_numbers"]

Measured = tuple[float, float, float]
"""A value and its 95 % interval."""

TOGETHER = ("all targets", "mean of parts")
"""Names under which the scores of several targets are kept as one; see `radboost.metrics`."""


@dataclass(frozen=True)
class Numbers:
    """What a list of results shows.

    Attributes
    ----------
    rows
        Units of a cohort, training, run or blend; embedded crops of a store.
    members
        Members of a run; those of a blend that carry weight; networks of a training.
    loss, auc
        Log loss and area under the ROC curve, out of fold; None where none is kept.
    gain
        By how much the log loss is lower than the prior's, paired by unit.
    of
        Whose they are: target, and of a run the member.
    """

    rows: int | None = None
    members: int | None = None
    loss: Measured | None = None
    auc: Measured | None = None
    gain: Measured | None = None
    of: str = ""


def key_numbers(folder: Path, kind: str, header: Mapping[str, Any]) -> Numbers:
    """Read the key numbers of a result folder.

    Parameters
    ----------
    folder
        The result.
    kind
        Whose header it is.
    header
        Its content.

    Raises
    ------
    FormatError
        A file beside the header is damaged.
    KeyError, TypeError, ValueError
        The header lacks what it must have.
    """
    return _READERS[kind](folder, header)


def _cohort(folder: Path, header: Mapping[str, Any]) -> Numbers:
    return Numbers(rows=int(header["units"]))


def _store(folder: Path, header: Mapping[str, Any]) -> Numbers:
    path = folder / "parts.jsonl"
    try:
        text = path.read_text("utf-8") if path.exists() else ""
        # Not by the store's own reader, whose libraries take longer to import than a thousand headers to read. As
        # there, a last line without its newline is what a killed run left.
        rows = [int(json.loads(line)["rows"]) for line in text[: text.rfind("\n") + 1].splitlines()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError("is damaged", where=path, got=str(error)) from error
    return Numbers(rows=sum(rows))


def _training(folder: Path, header: Mapping[str, Any]) -> Numbers:
    return _scored(folder, len(header["networks"]))


def _run(folder: Path, header: Mapping[str, Any]) -> Numbers:
    return _scored(folder, len(header["members"]))


def _scored(folder: Path, members: int) -> Numbers:
    """Read the scores of members out of fold; of a result that keeps none, say how many members there are."""
    scores = read_json(folder / "metrics.json")["scores"] if (folder / "metrics.json").is_file() else []
    names = [row["target"] for row in scores]
    target = _headline(names)
    own = [row for row in scores if row["target"] == target]
    # The prior is what a member is measured against, and no choice of the run's.
    fitted = [row for row in own if row["member"] != "prior" and row["loss"][0] is not None] or own
    if not fitted:
        return Numbers(members=members)
    best = min(fitted, key=lambda row: float(row["loss"][0]))
    weighted = " (weighted)" if best["kind"] == "weighted" else ""
    return Numbers(
        rows=max(int(row["units"]) for row in scores if row["target"] not in TOGETHER),
        members=members,
        loss=_triple(best["loss"]),
        auc=_triple(best["auc"]),
        gain=_triple(best["gain"]),
        of=f"{target}: {best['member']}{weighted}",
    )


def _blend(folder: Path, header: Mapping[str, Any]) -> Numbers:
    targets = header["targets"]
    used = {name for each in targets for name, weight in each["weights"].items() if weight > 0}
    joint = header.get("joint") or []
    first = targets[0]
    scores, of = (joint, "all targets together") if joint else (first["scores"], first["target"])
    own = {row["name"]: row for row in scores}
    lead = own.get("prior", {}).get("lead")
    return Numbers(
        rows=max(int(each["units"]) for each in targets),
        members=len(used),
        loss=_estimate(own["blend"].get("loss")),
        auc=_estimate(own["blend"].get("auc")),
        # The lead is the blend's loss minus the prior's.
        gain=None if lead is None else _triple([-lead["value"], -lead["high"], -lead["low"]]),
        of=of,
    )


def _headline(names: list[str]) -> str:
    """Name the score that stands for all: that of the targets together, else the first target's."""
    return next((name for name in TOGETHER if name in names), names[0] if names else "")


def _estimate(found: Mapping[str, Any] | None) -> Measured | None:
    return None if found is None else _triple([found["value"], found["low"], found["high"]])


def _triple(found: list[float | None]) -> Measured | None:
    """Value and interval; None where it is undefined, which JSON keeps as null."""
    if any(part is None or part != part for part in found):
        return None
    value, low, high = (float(part) for part in found if part is not None)
    return value, low, high


_READERS: Mapping[str, Callable[[Path, Mapping[str, Any]], Numbers]] = {
    "cohort": _cohort,
    "store": _store,
    "training": _training,
    "run": _run,
    "blend": _blend,
}
