"""The results that lie below a folder, told by their headers alone: no table, shard or model is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from radboost.data.folder import FORMATS, file_sha256, read_json
from radboost.errors import FormatError, UserError
from radboost.report.key_numbers import Numbers, key_numbers
from radboost.report.tables import Table, interval, number

__all__ = ["SORTS", "Result", "find_results", "read_result", "results_table", "sort_results"]

SORTS = ("folder", "kind", "created", "rows", "members", "loss", "auc", "gain", "radboost", "fingerprint")
"""What a list of results can be sorted by."""

SHOWN = 12
"""Characters of a fingerprint that are shown."""


@dataclass(frozen=True)
class Result:
    """A result folder by its header.

    Attributes
    ----------
    folder
        Where, relative to the folder that was searched; ``.`` for that folder itself.
    kind
        ``cohort``, ``store``, ``training``, ``run`` or ``blend``; empty where a folder could not be looked into.
    format
        Version of its layout; None where the header does not say.
    created
        UTC, ISO 8601; empty where the header does not say.
    radboost
        Version of the program that made it; empty where the header does not say.
    fingerprint
        Of a cohort its crops', of a store what decides its embeddings; of the others sha256 of the header file.
    task
        Name of the task; empty without one.
    inputs
        Fingerprints of the cohort and the stores that it was made from, as far as its header says.
    numbers
        See `Numbers`.
    broken
        Why it cannot be used; None where nothing speaks against it.
    """

    folder: PurePosixPath
    kind: str
    format: int | None = None
    created: str = ""
    radboost: str = ""
    fingerprint: str = ""
    task: str = ""
    inputs: tuple[str, ...] = ()
    numbers: Numbers = field(default_factory=Numbers)
    broken: str | None = None

    def to_dict(self) -> dict[str, object]:
        """Give it as JSON-able values."""
        return {**asdict(self), "folder": str(self.folder)}


def find_results(root: Path) -> Iterator[Result]:
    """Walk a folder for results, in order of name; a result is not descended into, nor are links and hidden folders.

    A result that is damaged is given with its reason.

    Raises
    ------
    UserError
        `root` is no folder.
    """
    if not root.is_dir():
        raise UserError("is no folder", where=root, do="Name a folder with results below it")
    yield from _below(root, PurePosixPath())


def _below(root: Path, folder: PurePosixPath) -> Iterator[Result]:
    try:
        with os.scandir(root / folder) as entries:
            found = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    except OSError as error:
        yield Result(folder, "", broken=f"cannot be looked into: {error.strerror}")
        return
    for kind in FORMATS:
        if found.get(f"{kind}.json") is False:
            yield read_result(root / folder, folder, kind)
            return
    for name in sorted(name for name, is_folder in found.items() if is_folder and not name.startswith(".")):
        yield from _below(root, folder / name)


def read_result(place: Path, folder: PurePosixPath, kind: str) -> Result:
    """Read what the header of one result folder says.

    Parameters
    ----------
    place
        The folder.
    folder
        How it is named in the result.
    kind
        Whose header lies in it.
    """
    path, known = place / f"{kind}.json", Result(folder, kind)
    try:
        header = read_json(path)
        if not isinstance(header, dict) or header.get("kind") != kind:
            return replace(known, broken=f"{kind}.json does not describe a {kind}")
        known = _known(known, header, path)
        if known.format != FORMATS[kind]:
            return replace(known, broken=f"of format {known.format}; this radboost reads {FORMATS[kind]}")
        task = str((header.get("task") or {}).get("name", ""))
        return replace(known, task=task, inputs=_inputs(header), numbers=key_numbers(place, kind, header))
    except FormatError as error:
        # The list names the folder already; the path of the machine stays out of it.
        name = Path(error.where).name if error.where is not None else ""
        return replace(known, broken=f"{name} {error.what}".strip())
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return replace(known, broken=f"has a damaged header: {type(error).__name__} at {error}")


def _known(found: Result, header: Mapping[str, Any], path: Path) -> Result:
    version = header.get("format")
    return replace(
        found,
        format=version if isinstance(version, int) else None,
        created=str(header.get("created", "")),
        radboost=str(header.get("radboost", "")),
        fingerprint=_fingerprint(header, path),
    )


def _fingerprint(header: Mapping[str, Any], path: Path) -> str:
    found = header.get("fingerprint_hash") or header.get("fingerprint")
    return found if isinstance(found, str) else file_sha256(path)


def _inputs(header: Mapping[str, Any]) -> tuple[str, ...]:
    inputs = header.get("inputs", {})
    cohort = inputs.get("cohort", header.get("cohort"))
    stores = inputs.get("stores", header.get("stores", []))
    return tuple(str(f) for f in (cohort, *(store["fingerprint_hash"] for store in stores)) if f)


def sort_results(results: list[Result], key: str, *, reverse: bool = False) -> list[Result]:
    """Sort by one of `SORTS`; what has no such number or word comes last, either way round.

    Raises
    ------
    UserError
        There is no such key.
    """
    if key not in SORTS:
        raise UserError("is nothing to sort by", where="--sort", got=key, do=f"Give one of {', '.join(SORTS)}")
    values = [(_value(each, key), each) for each in results]
    there = sorted((pair for pair in values if pair[0] not in (None, "")), key=lambda pair: pair[0], reverse=reverse)
    return [each for _, each in there] + [each for value, each in values if value in (None, "")]


def _value(result: Result, key: str) -> Any:
    if key == "kind":
        return list(FORMATS).index(result.kind) if result.kind else None
    if hasattr(result, key):
        value = getattr(result, key)
        return str(value) if key == "folder" else value
    value = getattr(result.numbers, key)
    return value[0] if isinstance(value, tuple) else value


def results_table(results: list[Result], root: Path) -> Table:
    """Results as a table, one row each, broken ones with their reason below."""
    scores = ("log loss", "AUC", "better than the prior by")
    columns = ("", "kind", "task", "made (UTC)", "rows", "members", *scores, "fingerprint", "radboost")
    rows = tuple(_row(each) for each in results)
    broken = [each for each in results if each.broken is not None]
    notes = [f"broken: {_clean(str(each.folder))}: {_clean(each.broken or '')}" for each in broken]
    scored = {each.numbers.of for each in results if each.numbers.of}
    if scored:
        notes.append(
            "log loss and AUC are out of fold, with 95 % intervals by bootstrap over patients: of a run its best "
            "member by log loss, chosen by that very score; of a blend the cross-fitted blend"
        )
    if not results:
        notes.append("no cohort, store, training, run or blend lies here")
    return Table(f"results in {root}", columns, rows, tuple(notes))


def _row(each: Result) -> tuple[str, ...]:
    numbers = each.numbers
    kind = each.kind or "?"
    return (
        _clean(str(each.folder)),
        kind if each.broken is None else f"{kind}, broken",
        _clean(each.task),
        each.created[:16].replace("T", " "),
        "" if numbers.rows is None else f"{numbers.rows:,}",
        "" if numbers.members is None else str(numbers.members),
        _measured(numbers.loss),
        _measured(numbers.auc),
        _measured(numbers.gain, "+.4f"),
        each.fingerprint[:SHOWN],
        _clean(each.radboost),
    )


def _measured(found: tuple[float, float, float] | None, how: str = ".3f") -> str:
    if found is None:
        return ""
    return f"{number(found[0], 3) if how == '.3f' else format(found[0], how)} {interval(*found[1:])}"


def _clean(text: str) -> str:
    """Without what would move a terminal's cursor or turn its text round: names of folders are anybody's."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
