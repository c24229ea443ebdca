"""A user's own task from a TOML file: any table, no Python.

The file holds what `radboost.data.task.Task` holds; `docs/tasks/custom.md` explains every key.
"""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from radboost.data.task import (
    Images,
    LongTable,
    Lookup,
    Metadata,
    MetricParts,
    Part,
    Regions,
    Slots,
    Stacked,
    Submission,
    Target,
    Task,
    WideTable,
)
from radboost.data.volumes import Kind, Points, Volumes
from radboost.errors import TaskError, offenders

__all__ = ["read_task"]

_TOP = {
    "name",
    "table",
    "test_table",
    "unit",
    "group",
    "metric",
    "targets",
    "images",
    "slots",
    "metadata",
    "submission",
    "constraints",
    "long",
    "from_headers",
    "stacked",
    "regions",
    "wide",
    "lookup",
    "parts",
    "volumes",
}
_PARTS: dict[str, type] = {
    "images": Images,
    "slots": Slots,
    "metadata": Metadata,
    "submission": Submission,
    "long": LongTable,
    "stacked": Stacked,
    "regions": Regions,
    "wide": WideTable,
    "lookup": Lookup,
    "parts": MetricParts,
    "volumes": Volumes,
}
_TARGET = {f.name for f in fields(Target)} - {"name"}


def read_task(path: Path) -> Task:
    """Read a task file.

    Raises
    ------
    TaskError
        The file cannot be read, is no TOML, lacks a required key, or holds an unknown one.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise TaskError("cannot be read", where=path, got=error.strerror) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TaskError("is not valid TOML", where=path, got=str(error)) from error
    _known(path, "", content, _TOP)
    needed = ("table", "unit", "group", "targets", *(() if "volumes" in content else ("images",)))
    absent = [key for key in needed if key not in content]
    if absent:
        raise TaskError("lacks required keys", where=path, got=offenders(absent), do="See docs/tasks/custom.md")
    for part, kind in _PARTS.items():
        _known(path, f"[{part}] ", _table(path, part, content.get(part, {})), {f.name for f in fields(kind)})
    parts = {
        **content,
        "name": content.get("name", path.stem),
        "unit": [content["unit"]] if isinstance(content["unit"], str) else content["unit"],
        "targets": [_target(path, name, value) for name, value in _table(path, "targets", content["targets"]).items()],
        "slots": _slots(path, content.get("slots", {})),
        "images": _images(path, content.get("images", {}), series="volumes" in content),
        "constraints": _constraints(path, content.get("constraints", {})),
    }
    if "volumes" in content:
        volumes = _volumes(path, content["volumes"])
        # Its slots follow from its kinds of series; [slots] adds how they are pooled.
        own = {"values": list(volumes.slots), "blocks": [list(block) for block in volumes.blocks]}
        parts |= {"volumes": content["volumes"], "slots": {**own, **parts["slots"]}}
    if "stacked" in content:
        parts["stacked"] = _stacked(path, content["stacked"])
    if "regions" in content:
        classes = _pairs(path, "[regions] classes", content["regions"].get("classes", {}), "class")
        parts["regions"] = {"picture": [], "columns": [], "paths": [], **content["regions"], "classes": classes}
    _texts(path, parts)
    return Task.from_dict(parts)


def _known(path: Path, where: str, content: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(content) - known)
    if unknown:
        do = f"Known: {', '.join(sorted(known))}"
        raise TaskError(f"{where}has unknown keys", where=path, got=offenders(unknown), do=do)


def _table(path: Path, name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TaskError(f"[{name}] must be a table of keys", where=path, got=type(value).__name__)
    return value


def _target(path: Path, name: str, value: Any) -> dict[str, Any]:
    content = _table(path, f"targets.{name}", value)
    _known(path, f"[targets.{name}] ", content, _TARGET)
    # Class names are compared as text with the table's cells, so 0 and "0" mean the same.
    listed = content.get("classes", ["0", "1"])
    if not isinstance(listed, list):
        raise TaskError(f"[targets.{name}] classes must be a list", where=path, got=listed)
    classes = [str(c) for c in listed]
    aliases = _pairs(path, f"[targets.{name}] aliases", content.get("aliases", {}), "class")
    return {"column": name, **content, "name": name, "classes": classes, "aliases": aliases}


def _slots(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "aliases": _pairs(path, "[slots] aliases", content.get("aliases", {}), "slot")}


def _stacked(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    listed = content.get("parts")
    if not isinstance(listed, list):
        raise TaskError("[[stacked.parts]] must be a list of tables", where=path, got=listed)
    parts = []
    for number, value in enumerate(listed):
        part = _table(path, f"[stacked.parts] {number}", value)
        _known(path, f"[stacked.parts] {number} ", part, {f.name for f in fields(Part)})
        pairs = {
            name: _pairs(path, f"[stacked.parts] {name}", part.get(name, {}), "text")
            for name in ("constants", "renames")
        }
        parts.append({"file": "", **part, **pairs})
    return {"parts": parts, "prevails": _pairs(path, "[stacked] prevails", content.get("prevails", {}), "text")}


def _pairs(path: Path, where: str, value: Any, of: str) -> list[list[str]]:
    if not isinstance(value, dict):
        raise TaskError(f"{where} must be a table of value = {of}", where=path, got=value)
    return [[key, str(text)] for key, text in value.items()]


def _constraints(path: Path, value: Any) -> list[dict[str, Any]]:
    content = _table(path, "constraints", value)
    for name, parts in content.items():
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise TaskError(f"[constraints] {name} must be a list of targets", where=path, got=parts)
    return [{"whole": name, "parts": parts} for name, parts in content.items()]


def _volumes(path: Path, content: dict[str, Any]) -> Volumes:
    """Check the keys, and give what they describe."""
    listed = content.get("kinds")
    if not isinstance(listed, list):
        raise TaskError("[[volumes.kinds]] must be a list of tables", where=path, got=listed)
    for number, kind in enumerate(listed):
        table = _table(path, f"volumes.kinds {number}", kind)
        _known(path, f"[volumes.kinds] {number} ", table, {f.name for f in fields(Kind)})
    if "points" in content:
        points = _table(path, "volumes.points", content["points"])
        # Where places lie is learnt from data, not written by hand.
        _known(path, "[volumes.points] ", points, {f.name for f in fields(Points)} - {"locator"})
    try:
        return Volumes.from_dict(content)
    except TypeError as error:
        raise TaskError("[volumes] lacks keys", where=path, got=str(error), do="See docs/tasks/custom.md") from error


def _images(path: Path, content: dict[str, Any], *, series: bool) -> dict[str, Any]:
    if series:
        return {"crop": "box", **content}
    paths = content.get("paths", [])
    if isinstance(paths, str):
        paths = [paths]
    if not paths:
        raise TaskError("[images] needs paths", where=path, do='For example paths = "images/{image_id}.png"')
    return {**content, "paths": paths}


def _texts(path: Path, parts: dict[str, Any]) -> None:
    """Lists of columns must hold text: a stray number would only fail much later, as an unknown column."""
    lists = {"unit": parts["unit"], "images.paths": parts["images"].get("paths", [])}
    lists["from_headers"] = parts.get("from_headers", [])
    listed = (
        ("metadata", ("numeric", "categorical", "forbidden", "headers", "relative", "categories")),
        ("slots", ("values", "pool")),
        ("regions", ("paths", "picture", "columns")),
    )
    for name, keys in listed:
        lists |= {f"{name}.{key}": parts.get(name, {}).get(key, []) for key in keys}
    for name, values in lists.items():
        if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
            raise TaskError(f"{name} must be a list of text", where=path, got=values)
    for name in ("name", "table", "group", "test_table", "metric"):
        _plain(path, name, parts.get(name, ""), "str")
    for target in parts["targets"]:
        _plain(path, f"targets.{target['name']}.column", target["column"], "str")
    volumes, stacked = parts.get("volumes", {}), parts.get("stacked", {})
    tables = [(name, kind, parts.get(name, {})) for name, kind in _PARTS.items()]
    tables.append(("volumes.points", Points, volumes.get("points", {})))
    tables += [("volumes.kinds", Kind, each) for each in volumes.get("kinds", ())]
    tables += [("stacked.parts", Part, each) for each in stacked.get("parts", ())]
    for name, kind, content in tables:
        for each in fields(kind):
            if each.name in content:
                _plain(path, f"{name}.{each.name}", content[each.name], each.type)


def _plain(path: Path, name: str, value: object, kind: object) -> None:
    """Refuse what is no text where a field's annotation wants text, and what is neither true nor false."""
    if kind in ("str", "str | None") and not isinstance(value, str):
        raise TaskError(f"{name} must be text", where=path, got=value)
    if kind == "bool" and not isinstance(value, bool):
        raise TaskError(f"{name} must be true or false", where=path, got=value)
