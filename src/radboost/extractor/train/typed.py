"""Values of a config file, held against the types of the fields that they are to fill."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from radboost.errors import UserError, offenders

__all__ = ["checked"]

_WORDS = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}


def checked(content: object, kinds: Mapping[str, Any] | type, where: str) -> dict[str, Any]:
    """Refuse what is of another type than its field, before it is compared or divided with.

    Parameters
    ----------
    content
        Of a table, as TOML or JSON gives it.
    kinds
        Type of each known key; or a dataclass whose fields they are.
    where
        File and table, for the message.

    Returns
    -------
    dict
        The same, lists as tuples.

    Raises
    ------
    UserError
        It is no table, a key is unknown, or a value is of another type; no number is infinite or undefined.
    """
    known = get_type_hints(kinds) if isinstance(kinds, type) else kinds
    do = f"Known: {', '.join(sorted(known))}"
    if not isinstance(content, Mapping):
        raise UserError("must be a table of keys", where=where, got=content, do=do)
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise UserError("unknown settings", where=where, got=offenders(unknown), do=do)
    for name, value in content.items():
        if not _fits(value, known[name]):
            do = f"Give {_told(known[name])}"
            raise UserError(f"{name} is of another type", where=where, got=repr(value), do=do)
    return {name: _tuples(value) for name, value in content.items()}


def _fits(value: object, kind: Any) -> bool:
    if get_origin(kind) in (Union, UnionType):
        return any(_fits(value, each) for each in get_args(kind))
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        if not isinstance(value, list | tuple) or (kinds[-1] is not ... and len(kinds) != len(value)):
            return False
        return all(_fits(each, kinds[0]) for each in value)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def _told(kind: Any) -> str:
    """Name a type in words."""
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_told(each) for each in get_args(kind) if each is not NoneType)
    if get_origin(kind) is tuple:
        return f"a list, each {_told(get_args(kind)[0])}"
    return _WORDS.get(kind, "something else")


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
