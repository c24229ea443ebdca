"""One writer a store."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from radboost.errors import UserError

__all__ = ["store_lock"]


@contextmanager
def store_lock(folder: Path) -> Iterator[None]:
    """Hold a store for writing; a second writer is refused.

    The system holds the lock for the open file, so a process that dies by any means lets go of it: there is no stale
    claim to take over, and a `.lock` file that lies about claims nothing.

    Raises
    ------
    UserError
        Another process holds it, or the folder cannot be written.
    """
    try:
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UserError("cannot be written", where=folder, got=error.strerror, do="Choose another --out") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            do = "Wait for it to end, or choose another --out"
            raise UserError("another extract is writing this store", where=folder, do=do) from error
        except OSError as error:
            do = "This file system knows no locks; choose an --out on another one"
            raise UserError("cannot be locked", where=folder, got=error.strerror, do=do) from error
        yield
    finally:
        os.close(handle)
