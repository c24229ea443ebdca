"""A command's options as text that may leave the machine: no path, no name of a file, nothing of a person."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path, PurePosixPath

from radboost.data.folder import FORMATS
from radboost.report.results import SHOWN, read_result

__all__ = ["HIDDEN", "SPOKEN", "path_kind", "resolved", "settings"]

# fmt: off
SPOKEN = frozenset((
    "allow_leak", "backbone", "by", "calibrate", "class_weight", "crop", "decode", "device", "dtype", "engine",
    "fill", "finding", "folds", "format", "frames", "head", "headers", "label", "learner", "match_prevalence", "mean",
    "metadata", "method", "missing", "model", "on", "patches", "per_target", "points", "policy", "pool", "precision",
    "schedule", "sees", "space", "split", "std", "target", "task", "threshold", "to", "window",
))
# fmt: on
"""Options whose text names a method, a metadata column or a number. Text of any other option is kept back: it may be an
id, an address or somebody's name, and a new option is kept back until it is listed here."""

UNSAID = frozenset({"debug", "json", "out", "overwrite", "track", "track_uri"})
"""Options that say nothing of what was done."""

HIDDEN = "(not logged)"
LONGEST = 500
# A backbone on the hub is named ORG/NAME; no other option that is told has a slash in it.
_PATH = re.compile(r"[/\\~]")
_PLACE = re.compile(r"(^|:)[/~.]|\\|\.\.")


def settings(options: Mapping[str, object]) -> dict[str, str]:
    """Give options as text.

    Parameters
    ----------
    options
        Name, as in Python, to value. What is None was not given, and is left out.

    Returns
    -------
    dict
        Paths are told by what lies there: a result by its kind and fingerprint, other things as a file or a folder.
    """
    return {
        name: _text(name, value)[:LONGEST]
        for name, value in options.items()
        if value is not None and name not in UNSAID and value not in ([], ())
    }


def _text(name: str, value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, Path):
        return path_kind(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_text(name, each) for each in value)
    text = str(value)
    if name not in SPOKEN:
        return _result(text)
    named = (_PLACE if name == "backbone" else _PATH).search(text)
    return path_kind(Path(text)) if named or Path(text).exists() else text


def resolved(config: object, name: str = "config") -> dict[str, str]:
    """Give the settings that a result's header has kept, defaults and all, by their path in it.

    >>> resolved({"learners": ["mlp"], "objective": {"focal": 0.0}, "tune": None})
    {'config.learners': 'mlp', 'config.objective.focal': '0.0'}
    """
    if isinstance(config, Mapping):
        return {key: text for part, value in config.items() for key, text in resolved(value, f"{name}.{part}").items()}
    if isinstance(config, Sequence) and not isinstance(config, str):
        if any(isinstance(each, Mapping | list) for each in config):
            return {k: text for n, each in enumerate(config) for k, text in resolved(each, f"{name}.{n}").items()}
        config = ", ".join(str(each) for each in config)
    text = "" if config is None else str(config)
    # Headers hold no paths; one that came there all the same goes no further.
    told = HIDDEN if _PLACE.search(text) else text[:LONGEST]
    return {name: told} if text else {}


def _result(text: str) -> str:
    """Tell a result, or a member of one as ``FOLDER:MEMBER``; anything else is kept back."""
    folder, colon, member = text.rpartition(":")
    if not colon or Path(text).exists():
        folder, colon, member = text, "", ""
    return path_kind(Path(folder)) + colon + member if Path(folder).is_dir() else HIDDEN


def path_kind(path: Path) -> str:
    """Say what lies at a path, without naming it."""
    for kind in FORMATS:
        if (path / f"{kind}.json").is_file():
            return f"{kind} {read_result(path, PurePosixPath(), kind).fingerprint[:SHOWN]}".strip()
    if path.is_dir():
        return "a folder"
    # The ending is one that a person chose among few, not a name; a longer one might be anything.
    ending = path.suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,11}", path.suffix) else ""
    return f"a file {ending}".strip()
