"""What decides whether two embeddings may lie in one store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radboost.errors import MismatchError

__all__ = ["differing", "refuse_difference"]


def _flat(value: object, prefix: str = "") -> dict[str, object]:
    if not isinstance(value, Mapping):
        return {prefix: list(value) if isinstance(value, tuple) else value}
    flat: dict[str, object] = {}
    for name, part in value.items():
        flat.update(_flat(part, f"{prefix}.{name}" if prefix else str(name)))
    return flat


def differing(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, tuple[object, object]]:
    """Name the fields in which two fingerprints differ, nested ones by a dotted path.

    Returns
    -------
    dict
        Field to (stored, asked); None stands for a field that is absent.

    >>> differing({"size": 256, "crop": {"pad": 1}}, {"size": 512, "crop": {"pad": 1}})
    {'size': (256, 512)}
    """
    left, right = _flat(stored), _flat(asked)
    fields = sorted(left.keys() | right.keys())
    return {f: (left.get(f), right.get(f)) for f in fields if _listed(left.get(f)) != _listed(right.get(f))}


def _listed(value: object) -> object:
    """JSON knows lists only, so a tuple and the list it became are equal."""
    return [_listed(v) for v in value] if isinstance(value, list | tuple) else value


def refuse_difference(stored: Mapping[str, Any], asked: Mapping[str, Any], where: Path | str) -> None:
    """Raise MismatchError that names each field in which a store and a request differ."""
    fields = differing(stored, asked)
    if not fields:
        return
    listed = "; ".join(
        f"{name}: the store has {_short(old)}, asked {_short(new)}" for name, (old, new) in fields.items()
    )
    do = "Another fingerprint is another store: choose another --out, or ask for what the store has"
    raise MismatchError("was extracted otherwise", where=where, got=listed, do=do)


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 48 else f"{text[:45]}..."
