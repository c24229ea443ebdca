"""Names that tell nothing: keyed hashes of crops, units and groups.

The key lies in the cohort alone. Without it a hash can be joined with itself and turned back into nothing, which is
what lets a store, a run and a blend leave the hospital.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from pathlib import Path

from radboost.errors import UserError

__all__ = ["ID_CHARACTERS", "keyed_hash", "keyed_hashes", "new_key", "read_key"]

ID_CHARACTERS = 32
"""Length of a hashed name: 128 bits in hexadecimal, beyond accidental collision at any cohort size."""

KEY_BYTES = 32


def new_key() -> bytes:
    """Make a fresh secret key of 32 bytes."""
    return secrets.token_bytes(KEY_BYTES)


def read_key(path: Path) -> bytes:
    """Read a key file as `index --key` takes it.

    Raises
    ------
    UserError
        The file is missing or does not hold 32 bytes in hexadecimal.
    """
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise UserError(
            "cannot be read as a key", where=path, got=type(error).__name__, do="Give the `key` file of another cohort"
        ) from error
    if len(key) != KEY_BYTES:
        raise UserError("is not a key", where=path, got=f"{len(key)} bytes", do="Give the `key` file of another cohort")
    return key


def keyed_hash(key: bytes, kind: str, *parts: object) -> str:
    """Hash the name of one thing; `kind` keeps a unit and a group of the same name apart.

    Returns
    -------
    str
        32 hexadecimal characters (BLAKE2b, 128 bits, keyed).

    >>> keyed_hash(bytes(32), "unit", "17_L") == keyed_hash(bytes(32), "unit", "17_L")
    True
    >>> keyed_hash(bytes(32), "unit", "17_L") == keyed_hash(bytes(32), "group", "17_L")
    False
    """
    # The unit separator cannot appear in a path or an id, so no two part lists hash alike.
    text = "\x1f".join([kind, *(str(p) for p in parts)])
    return hashlib.blake2b(text.encode(), key=key, digest_size=ID_CHARACTERS // 2).hexdigest()


def keyed_hashes(key: bytes, kind: str, names: Iterable[object]) -> list[str]:
    """Hash many names of one kind, in order."""
    return [keyed_hash(key, kind, name) for name in names]
