"""What a finished command left: the numbers that its result keeps, and pages and pictures to be looked at."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from radboost.data.folder import FORMATS, read_json
from radboost.report.results import read_result
from radboost.report.tracking.names import flat_numbers, safe_name
from radboost.report.tracking.settings import resolved

__all__ = ["PAGES", "PICTURES", "Outcome", "gather"]

PAGES = (".html", ".htm")
PICTURES = (".png", ".svg")


@dataclass(frozen=True)
class Outcome:
    """What is logged of a finished command.

    Attributes
    ----------
    tags
        What the result is, and what it was made of.
    settings
        What its header keeps of how it was made, defaults and all.
    metrics
        Name to number.
    curves
        Name to numbers by step, as a training's epochs.
    pages
        Name for the tracker to file; the file's own name is the user's, and stays here.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, list[tuple[int, float]]] = field(default_factory=dict)
    pages: Mapping[str, Path] = field(default_factory=dict)


def gather(command: str, out: Path | None) -> Outcome:
    """Look at what a command wrote.

    Parameters
    ----------
    command
        Its name, after which a page is called.
    out
        Its ``--out``; None without one.

    Raises
    ------
    FormatError
        A file of the result is damaged.
    """
    if out is None:
        return Outcome()
    if out.is_dir():
        kind = next((kind for kind in FORMATS if (out / f"{kind}.json").is_file()), None)
        return Outcome() if kind is None else _of_result(out, kind)
    if out.suffix.lower() in PAGES and out.is_file():
        numbers = out.with_name(f"{out.stem}-files") / "metrics.json"
        metrics = flat_numbers(read_json(numbers)) if numbers.is_file() else {}
        return Outcome(metrics=metrics, pages={f"{command}{out.suffix.lower()}": out})
    return Outcome()


def _of_result(out: Path, kind: str) -> Outcome:
    found = read_result(out, PurePosixPath(), kind)
    header = read_json(out / f"{kind}.json")
    tags = {"result.kind": kind, "result.fingerprint": found.fingerprint, "task": found.task}
    tags |= {f"input.{number}": text for number, text in enumerate(found.inputs)}
    tags |= {f"version.{name}": str(text) for name, text in header.get("environment", {}).items()}
    # A cohort is private: of it the header's counts alone are told.
    counts = {name: header[name] for name in ("crops", "units") if kind == "cohort" and name in header}
    metrics = {**flat_numbers(counts), **flat_numbers(_measured(out, kind, found.numbers.rows))}
    pages = {path.name: path for path in sorted(out.iterdir()) if path.suffix.lower() in PAGES + PICTURES}
    told = {name: text for name, text in tags.items() if text}
    if kind == "cohort":
        return Outcome(told, metrics=metrics)
    return Outcome(told, resolved(header.get("config")), metrics, dict(_curves(out / "epochs.csv")), pages)


def _measured(out: Path, kind: str, rows: int | None) -> Any:
    if kind == "store":
        # The account of the last call; a store that was complete has none of its own.
        lines = (out / "runs.jsonl").read_text("utf-8").splitlines() if (out / "runs.jsonl").is_file() else []
        return {"rows": rows, **(json.loads(lines[-1]) if lines else {})}
    return read_json(out / "metrics.json") if (out / "metrics.json").is_file() else {}


def _curves(path: Path) -> Iterator[tuple[str, list[tuple[int, float]]]]:
    """Read a training's scores by epoch, a curve a fold, stage and score."""
    if not path.is_file():
        return
    curves: dict[str, list[tuple[int, float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            place = f"fold{row.pop('fold', '')}/{row.pop('stage', '')}"
            epoch = int(float(row.pop("epoch")))
            row.pop("step", None)
            for name, text in row.items():
                if text and math.isfinite(float(text)):
                    curves.setdefault(safe_name(f"{place}/{name}"), []).append((epoch, float(text)))
    yield from curves.items()
